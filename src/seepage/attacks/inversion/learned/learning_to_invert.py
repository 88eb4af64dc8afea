"""Learns to invert gradients from auxiliary data, and applies what it learned.

Draws batches of auxiliary records, computes the updates that clients would send for them
under the public defenses, and fits a map from (hashed) updates to records (Wu et al. 2023,
"Learning To Invert: Simple Adaptive Attacks for Gradient Inversion in Federated Learning",
arXiv 2210.10880). The paper trains a network of three layers by gradient descent on tens
of thousands of records. Here the map is a kernel ridge regression on whitened updates, in
closed form: with a few thousand records it errs less, and takes seconds. It is fitted to
batches of the very labels that were observed, so that no order has to be learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, require_least
from ....core.views import AuxiliaryData
from ...attribute.labels import batch_labels
from ..observed import observed_gradient
from .rehearsal_batches import ENOUGH
from .simulated_defenses import unmodeled
from .simulation import Simulation
from .trained_inverse import TrainedInverse, trained_inverse
from .training_memory import fingerprint, remembered

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView

_CONVINCED = 0.9
_LITTLE = 0.8
_LEAST_AUXILIARY = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class LearningToInvert:
    """Gradient inversion by regression on simulated updates.

    A Poisson batch is taken for one of its expected size. A defense that it does not know
    is taken for none, and the explanation says so.

    Fields
    ------
    examples : simulated updates to learn from, a fourth more or less
    hashed : values that an update is hashed to, where it has more
    components : principal components of the simulated updates that are kept
    degree : of the polynomial kernel; 1 is linear regression
    most_records : refuse updates of more records than this
    adaptive : simulate the defenses; false is an attacker who does not know of them
    """

    examples: int = 1500
    hashed: int = 65536
    components: int = 512
    degree: int = 3
    most_records: int = 16
    adaptive: bool = True

    def __post_init__(self) -> None:
        require_least("learning-to-invert", self, examples=20, hashed=1, components=1, degree=1)

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:  # noqa: ARG002
        """Return as many records as the update rests on, the likeliest ones.

        Nothing is drawn from `rng`: training is seeded by what it depends on, and the same
        for all views of a model state. Raises `NotApplicableError` without auxiliary
        records or the batch size, or where the update is not finite.
        """
        auxiliary = view.fact(AuxiliaryData)
        if auxiliary is None or len(auxiliary.targets) < _LEAST_AUXILIARY:
            held = 0 if auxiliary is None else len(auxiliary.targets)
            raise NotApplicableError(
                f"the observer holds {held} auxiliary records to learn from; it takes "
                f"{_LEAST_AUXILIARY} at least"
            )
        simulation = Simulation(view, adaptive=self.adaptive)
        records = simulation.records
        observed_gradient(view)
        if records > self.most_records:
            return Reconstruction.nothing(
                view.job.input_shape,
                f"the update rests on {records} records; learning to tell more than "
                f"{self.most_records} apart is hopeless (raise most_records to try)",
            )
        labels = _labels(view, records)
        inverse = remembered(
            fingerprint(simulation, auxiliary, labels, self),
            view.loss,
            lambda seeded: trained_inverse(
                simulation,
                auxiliary,
                labels,
                examples=self.examples,
                hashed=self.hashed,
                components=self.components,
                degree=self.degree,
                rng=seeded,
            ),
        )
        return _claim(simulation, inverse, labels)


def _claim(
    simulation: Simulation, inverse: TrainedInverse, labels: Tensor | None
) -> Reconstruction:
    observed = simulation.observed
    inputs = inverse(observed, simulation.view.job.input_shape)
    objective, usual = inverse.error, True
    if labels is not None:
        seeded = torch.Generator().manual_seed(0)
        replayed, _ = simulation.hashed(inputs[None], labels[None], inverse.hashing, seeded)
        objective = inverse.replay_distance(observed, replayed[0])
        usual = objective <= inverse.typical
    parts = [
        f"{inverse.identified:.0%} of {inverse.judged} held-out auxiliary records picked "
        f"themselves out of {inverse.candidates}, with a squared error of {inverse.error:.2g} "
        f"(the mean record: {inverse.prior_error:.2g})"
    ]
    if inverse.error > _LITTLE * inverse.prior_error:
        parts.append("so this is little more than the mean record")
    if not usual:
        parts.append(
            f"this update is unlike the simulated ones (replayed, it is {objective:.2g} away, and "
            f"95 % of them are below {inverse.typical:.2g}): labels, defenses or batch size may "
            "not be as assumed"
        )
    if unknown := unmodeled(simulation.view.defenses):
        parts.append(f"taken for no defense: {', '.join(unknown)}")
    if simulation.view.defenses and not simulation.adaptive:
        parts.append("the defenses were not simulated")
    return Reconstruction(
        inputs=inputs,
        labels=labels,
        objective=objective,
        solved=usual and inverse.identified > _CONVINCED and inverse.judged >= ENOUGH,
        explanation="; ".join(parts),
    )


def _labels(view: UpdateView | AggregateView, records: int) -> Tensor | None:
    """Return the labels of all records, ascending, or None where they can't be told."""
    try:
        return batch_labels(view, records).sort().values
    except NotApplicableError:
        return None
