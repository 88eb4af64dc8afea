from collections.abc import Iterator

import pytest

from seepage.crypto.cards import protocol_card
from seepage.crypto.hybrid.session import Hybrid
from seepage.crypto.hybrid.team import Team


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    """Processes that have started, for all sums here."""
    if missing := protocol_card("hybrid").missing():
        pytest.skip(f"OpenFHE or SPU is not here: {missing}")
    with Hybrid().meet() as met:
        yield met
