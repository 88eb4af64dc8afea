"""What attacks remember: by content alone, and no more than they may."""

import torch

from seepage.attacks.inversion.learned.gaussian_prior import GaussianPrior
from seepage.attacks.memory import Memory, content


def test_makes_once_and_forgets_the_least_recently_used() -> None:
    memory = Memory[torch.Tensor](lambda t: [t], most_bytes=2 * 4 * 100)
    made: list[str] = []

    def ask(key: str) -> None:
        """Recall a tensor of 400 bytes under `key`."""
        memory.recall(key, lambda: made.append(key) or torch.zeros(100))

    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key)
    assert made == ["a", "b", "c", "b"]


def test_content_tells_values_types_shapes_and_facts_apart() -> None:
    x = torch.arange(6.0)
    variants = [x, x + 1, x.double(), x.view(2, 3), x.flip(0)]
    keys = {content("p", [v]) for v in variants} | {content("q", [x]), content("p", [x, x])}
    assert len(keys) == 7
    assert content("p", [x.clone()]) == content("p", [x])


def test_a_prior_is_the_same_whatever_was_asked_before() -> None:
    samples = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    first = GaussianPrior.of(samples, 3)
    fewer = GaussianPrior.of(samples, 2)
    moved = GaussianPrior.of(samples + 1, 3)
    assert GaussianPrior.of(samples.clone(), 3) is first
    assert fewer.basis.shape == (8, 2)
    assert torch.allclose(moved.mean, first.mean + 1)
