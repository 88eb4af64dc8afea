import pytest
from attack_federations import Federation, federation


@pytest.fixture(scope="session")
def federations() -> list[Federation]:
    """Four overfit federations, for all tests of memberships."""
    return [federation(seed) for seed in range(4)]
