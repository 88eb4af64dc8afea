"""Learns to map updates back to the batches behind them, and judges how well it does.

The attacker trains on simulated updates: batches of auxiliary records, local training on
the victim's model, the defenses as their public cards say. What it learned it tries on
held-out auxiliary records, which it never saw: that is its own judgement of itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .gradient_features import GradientFeatures
from .hashing import SignedHash
from .kernel_ridge import KernelRidge, chosen_ridge
from .rehearsal_batches import ENOUGH, RehearsalBatches, rehearsal_batches

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AuxiliaryData
    from .simulation import Simulation

_MOST_CANDIDATES = 1000
_REPLAYED = 64
_TYPICAL = 0.95


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TrainedInverse:
    """A map from updates to batches, and what held-out auxiliary batches say of it.

    Fields
    ------
    error, prior_error : mean squared error of held-out records, and of the best mean record
    identified : share of held-out records that pick themselves out of `candidates` records
    judged : how many held-out records these rest on
    typical : replay distance that 95 % of held-out batches stay below
    """

    hashing: SignedHash
    features: GradientFeatures
    regression: KernelRidge
    value_range: tuple[float, float] | None
    error: float
    prior_error: float
    identified: float
    candidates: int
    judged: int
    typical: float

    def __call__(self, update: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Return the records `[records, *shape]` behind an update `[p]`."""
        found = self.regression(self.features(self.hashing(update[None])))[0]
        return bounded(found, self.value_range).view(-1, *shape)

    def replay_distance(self, update: Tensor, replayed: Tensor) -> float:
        """Return 1 - cosine between the features of an update `[p]` and a hashed one `[m]`."""
        pair = self.features(torch.stack([self.hashing(update[None])[0], replayed]))
        return float(1 - pair[0] @ pair[1])


def trained_inverse(
    simulation: Simulation,
    auxiliary: AuxiliaryData,
    labels: Tensor | None,
    *,
    examples: int,
    hashed: int,
    components: int,
    degree: int,
    rng: torch.Generator,
) -> TrainedInverse:
    """Train on `examples` simulated updates of batches with these labels (`[records]`)."""
    learn, judge = rehearsal_batches(auxiliary, labels, simulation.records, examples, rng)
    hashing = SignedHash.of(simulation.coordinates, hashed, rng)
    seen, noise = simulation.hashed(auxiliary.inputs[learn.rows], learn.targets, hashing, rng)
    unseen, _ = simulation.hashed(auxiliary.inputs[judge.rows], judge.targets, hashing, rng)
    features = GradientFeatures.of(seen, noise, components)
    # Under noise each example is learned from as it was and as it is seen.
    z = torch.cat([features(seen), features(seen, rng)]) if noise else features(seen)
    z_held = features(unseen, rng)
    y, y_held = (auxiliary.inputs[b.rows].flatten(2) for b in (learn, judge))
    mean = _mean(y, learn.own)
    y = y.repeat(2, 1, 1) if noise else y
    ridge, guess = chosen_ridge((z, y.flatten(1)), (z_held, y_held.flatten(1)), mean, degree)
    guess = bounded(guess, simulation.value_range).view_as(y_held)
    shape = auxiliary.inputs.shape[1:]
    replayed, _ = simulation.hashed(
        guess[:_REPLAYED].unflatten(2, shape), judge.targets[:_REPLAYED], hashing, rng
    )
    distances = 1 - (features(replayed) * z_held[:_REPLAYED]).sum(1)
    candidates, hits = _identified(auxiliary, judge, guess)
    own = judge.own if int(judge.own.sum()) >= ENOUGH else torch.ones_like(judge.own)
    priors = [mean.view_as(y[0]), y.mean((0, 1))]
    regression = KernelRidge.of(
        torch.cat([z, z_held]),
        torch.cat([y, y_held]).flatten(1),
        mean,
        ridge=ridge,
        degree=degree,
    )
    return TrainedInverse(
        hashing=hashing,
        features=features,
        regression=regression,
        value_range=simulation.value_range,
        error=float((guess - y_held)[own].square().mean()),
        prior_error=min(float((p - y_held)[own].square().mean()) for p in priors),
        identified=float(hits[own].float().mean()),
        candidates=candidates,
        judged=int(own.sum()),
        typical=float(distances.quantile(_TYPICAL)),
    )


def bounded(values: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    """Return values cut off at the range of the data, where there is one."""
    return values if value_range is None else values.clamp(*value_range)


def _mean(records: Tensor, own: Tensor) -> Tensor:
    """Return the mean record of each slot, `[slots * d]`, over records of its class if any."""
    weight = torch.where(own.any(0), own, True).to(records.dtype)
    return (torch.einsum("ns,nsd->sd", weight, records) / weight.sum(0)[:, None]).flatten()


def _identified(
    auxiliary: AuxiliaryData, judge: RehearsalBatches, guess: Tensor
) -> tuple[int, Tensor]:
    """Return the number of candidates, and whether each guess `[n, s, d]` picks its record."""
    every = torch.arange(len(auxiliary.inputs))
    others = every[~torch.isin(every, judge.rows)]
    wanted, place = judge.rows.unique(return_inverse=True)
    room = max(0, _MOST_CANDIDATES - len(wanted))
    gallery = auxiliary.inputs[torch.cat([wanted, others[:room]])].flatten(1)
    distances = torch.cdist(guess.flatten(0, 1), gallery)
    return len(gallery), distances.argmin(1).view_as(place) == place
