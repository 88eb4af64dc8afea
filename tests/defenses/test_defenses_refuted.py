"""Broken variants of the defenses of updates, each refuted by its releases; the sound ones not.

A test sees releases with a unit and with its neighbor, and what the defense claims of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import inf

import pytest
import torch
from release_tests import refutes
from torch import Tensor

from seepage.core.defense import Defense
from seepage.core.errors import RefusedError
from seepage.core.privacy import Exposure
from seepage.core.seeds import torch_rng
from seepage.defenses.api import CentralDP, DistributedDP, LocalDP
from seepage.defenses.dp import distributed_dp
from seepage.defenses.dp.discrete_noise import discrete_gaussian

Update = Mapping[str, Tensor]
ONCE = Exposure(rounds=1, local_steps=1, batch_size=4, examples=4, clients=2, cohort=2)
CLIENTS = 2


@pytest.fixture(autouse=True)
def pooled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw exact noise by the hundred thousand, because a few at a time are slow."""
    pools: dict[int, Tensor] = {}

    def from_pool(count: int, deviation: int, rng: torch.Generator) -> Tensor:
        if len(pools.get(deviation, ())) < count:
            pools[deviation] = discrete_gaussian(100_000, deviation, rng)
        drawn, pools[deviation] = pools[deviation][:count], pools[deviation][count:]
        return drawn

    monkeypatch.setattr(distributed_dp, "discrete_gaussian", from_pool)


def update(scale: float = 50.0) -> dict[str, Tensor]:
    return {"w": scale * torch.tensor([1.0, 1.0, -1.0, 1.0]), "shift": torch.tensor(scale)}


def scalar(scale: float = 50.0) -> dict[str, Tensor]:
    return {"w": torch.zeros(4), "shift": torch.tensor(scale)}


def once(defense: Defense, updates: list[Update], rng: torch.Generator) -> Update:
    """Return what a round of these clients releases, as the engine does it."""
    sent = [defense.bound_update(defense.protect_update(u, rng)) for u in updates]
    mean = {n: sum(u[n] for u in sent) / len(sent) for n in sent[0]}
    return defense.protect_aggregate(mean, len(sent), rng)


def refutation(defense: Defense, clients: int = CLIENTS) -> str:
    """Return what a round's releases show against the claim of one release."""
    claim = defense.profile(ONCE)
    replaced = isinstance(defense, LocalDP)
    for make in (update, scalar):

        def release(there: bool, rng: torch.Generator, make=make) -> Update:
            if replaced:
                return defense.protect_update(make() if there else make(-50.0), rng)
            others = [update(0.1)] * (clients - 1)
            return once(defense, [make() if there else make(0.0), *others], rng)

        counts = {"train": 300, "test": 500} if isinstance(defense, DistributedDP) else {}
        if found := refutes(claim, release, **counts):
            return found
    return ""


def keeps_nan(defense: Defense) -> bool:
    """Whether a NaN in one coordinate passes."""
    bad = update()
    bad["w"][2] = torch.nan
    try:
        once(defense, [bad, update()], torch_rng(0))
    except RefusedError:
        return False
    return True


def halved(kind: type[Defense], base: Defense) -> Defense:
    """Return a defense that claims what `base` does, with half of its noise."""

    class Halved(kind):
        def profile(self, exposure: Exposure) -> object:
            return base.profile(exposure)

    return Halved(**{**vars(base), "noise_multiplier": base.noise_multiplier / 2})


class UnclippedLocal(LocalDP):
    def protect_update(self, update, rng):
        wide = {"max_norm": 4 * self.max_norm, "noise_multiplier": self.noise_multiplier / 4}
        return LocalDP(**{**vars(self), **wide}).protect_update(update, rng)


class LocalInL2(LocalDP):
    """Laplace noise, but the L2 norm is clipped."""

    def protect_update(self, update, rng):
        from seepage.defenses.dp.bounding import clip
        from seepage.defenses.dp.laplace_noise import add_laplace

        return add_laplace(clip(update, self.max_norm), self.noise_multiplier * self.max_norm, rng)


class ScalarEscapes(LocalDP):
    def protect_update(self, update, rng):
        sent = dict(super().protect_update(update, rng))
        sent["shift"] = update["shift"].clamp(-self.max_norm, self.max_norm)
        return sent


class UncheckedLocal(LocalDP):
    def protect_update(self, update, rng):
        fixed = {n: v.nan_to_num() for n, v in update.items()}
        return {n: v + 0 * update[n] for n, v in super().protect_update(fixed, rng).items()}


class UnclippedCentral(CentralDP):
    def bound_update(self, update):
        return update


class ScalarEscapesTheMean(CentralDP):
    def protect_aggregate(self, aggregate, contributors, rng):
        return {
            **super().protect_aggregate(aggregate, contributors, rng),
            "shift": aggregate["shift"],
        }


class NoisePerClientOnTheMean(CentralDP):
    """Divides the noise by the number of clients twice."""

    def protect_aggregate(self, aggregate, contributors, rng):
        return super().protect_aggregate(aggregate, contributors**2, rng)


class UnclippedDistributed(DistributedDP):
    def rounded(self, flat, rng):
        return super().rounded(flat, rng) * 3


class ScalarEscapesTheSum(DistributedDP):
    def protect_update(self, update, rng):
        rest = {n: v for n, v in update.items() if v.ndim}
        sent = dict(super().protect_update(rest, rng))
        grid = (update["shift"].clamp(-1, 1).double() / self.granularity).round()
        sent["shift"] = torch.where(grid % self.modulus == 0, self.modulus, grid % self.modulus)
        return sent


class AnyCohort(DistributedDP):
    def _require_contributors(self, contributors: int) -> None:
        pass


Z = 1.0
LOCAL = LocalDP(noise_multiplier=Z)
LAPLACE = LocalDP(noise_multiplier=Z, noise="laplace")
CENTRAL = CentralDP(noise_multiplier=Z / 2)
DISTRIBUTED = DistributedDP(noise_multiplier=0.7, threshold=CLIENTS, dimension=5)


@pytest.mark.parametrize(
    "sound", [LOCAL, LAPLACE, CENTRAL, DISTRIBUTED], ids=["gaussian", "laplace", "central", "sum"]
)
def test_the_sound_defense_is_not_refuted_and_keeps_no_nan(sound: Defense) -> None:
    assert refutation(sound) == ""
    assert not keeps_nan(sound)


@pytest.mark.parametrize(
    "broken",
    [
        halved(LocalDP, LOCAL),
        halved(LocalDP, LAPLACE),
        halved(CentralDP, CENTRAL),
        halved(DistributedDP, DISTRIBUTED),
        UnclippedLocal(**vars(LOCAL)),
        UnclippedLocal(**vars(LAPLACE)),
        ScalarEscapes(**vars(LOCAL)),
        UnclippedCentral(**vars(CENTRAL)),
        ScalarEscapesTheMean(**vars(CENTRAL)),
        NoisePerClientOnTheMean(**vars(CENTRAL)),
        UnclippedDistributed(**vars(DISTRIBUTED)),
        ScalarEscapesTheSum(**vars(DISTRIBUTED)),
    ],
    ids=lambda broken: f"{type(broken).__name__}-{broken.card.name}",
)
def test_releases_refute_a_broken_variant(broken: Defense) -> None:
    assert "true positives" in refutation(broken)


def test_a_nan_that_passes_is_seen_in_the_release() -> None:
    assert keeps_nan(UncheckedLocal(**vars(LOCAL)))


def test_laplace_noise_needs_the_l1_norm() -> None:
    """Equal seeds give equal noise, so that a difference shows what the noise must cover."""
    for defense, within in ((LAPLACE, True), (LocalInL2(**vars(LAPLACE)), False)):
        one, other = (defense.protect_update(update(s), torch_rng(0)) for s in (50.0, -50.0))
        apart = sum(float((one[n] - other[n]).abs().sum()) for n in one)
        assert (apart <= 2 * defense.max_norm + 1e-5) == within


def test_fewer_clients_than_the_threshold_are_refused_because_they_bring_too_little_noise() -> None:
    defense = DistributedDP(noise_multiplier=0.7, threshold=8, dimension=5)
    assert "true positives" in refutation(AnyCohort(**vars(defense)), clients=2)
    with pytest.raises(RefusedError, match="fewer than the threshold of 8"):
        once(defense, [update()] * 7, torch_rng(0))


def test_colluders_who_leave_their_noise_out_are_accounted_for() -> None:
    """The server takes what six of eight clients sent out of the sum."""

    def refuted(colluders: int) -> str:
        defense = DistributedDP(noise_multiplier=0.7, threshold=8, colluders=colluders, dimension=5)

        def release(there: bool, rng: torch.Generator) -> Update:
            silent = AnyCohort(**vars(defense))
            return once(silent, [update() if there else update(0.0), update(0.1)], rng)

        return refutes(defense.profile(ONCE), release, train=300, test=500)

    assert refuted(6) == ""
    assert "true positives" in refuted(0)


def test_without_noise_nothing_is_claimed() -> None:
    for defense in (LOCAL, LAPLACE, CENTRAL, DISTRIBUTED):
        record = replace(defense, noise_multiplier=0.0).privacy(ONCE)[0]
        assert record.total_epsilon == record.information_bits == inf
