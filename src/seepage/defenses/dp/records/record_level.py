"""What the defenses of single records share: models to be refused, sums to be noised."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from ....core.defense import Defense
from ....core.errors import RefusedError
from ..bounding import gaussian_like
from . import ghost_clipping, per_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from torch import Tensor

    from ....core.defense import LocalStep
    from ....core.task import Training
    from .record_groups import Groups

BATCH_NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.LazyBatchNorm1d,
    nn.LazyBatchNorm2d,
    nn.LazyBatchNorm3d,
)


class RecordLevelDefense(Defense):
    """Base of defenses that clip every record's gradient in each local step."""

    def check(self, model: nn.Module, training: Training) -> None:  # noqa: ARG002
        """Raise `RefusedError` for layers and buffers that the noise would not cover."""
        for name, layer in model.named_modules():
            if problem := _problem(layer):
                raise RefusedError(
                    f"{self.card.name}: layer {name or '(root)'} ({type(layer).__name__}) {problem}"
                )
        for name, buffer in model.named_buffers():
            if buffer.is_floating_point():
                raise RefusedError(
                    f"{self.card.name}: buffer {name} may carry what a client's records did to it "
                    "past the noise; use a layer without it, or hold a constant as a plain "
                    "attribute"
                )

    def require_batch(self, step: LocalStep) -> None:
        """Raise `RefusedError` where the expected batch is no divisor."""
        if step.expected_batch < 1:
            raise RefusedError(
                f"{self.card.name}: the expected batch is {step.expected_batch}; use 1 or more"
            )


def clipped(step: LocalStep, groups: Groups) -> per_record.Clipped | None:
    """Return the sum of the batch's clipped gradients the fastest safe way; None if it is empty."""
    if not len(step.inputs):
        return None
    way = ghost_clipping if ghost_clipping.trusts(step) else per_record
    return way.clipped(step, groups)


def noised_mean(
    step: LocalStep,
    total: Mapping[str, Tensor],
    deviations: Mapping[str, float | Tensor],
    rng: torch.Generator,
) -> dict[str, Tensor]:
    """Return (`total` + noise) / expected batch, by trainable parameter.

    `total` is empty where the batch is: what remains is pure noise. `deviations` are the
    noise's standard deviations on the sum, a number or one for each coordinate.
    """
    released: dict[str, Tensor] = {}
    for name, parameter in per_record.trainable(step.model).items():
        noise = gaussian_like(parameter, rng).mul_(deviations[name])
        released[name] = (noise.add_(total[name]) if total else noise).div_(step.expected_batch)
    return released


def _problem(layer: nn.Module) -> str:
    """Return why a layer can't be protected, or nothing."""
    from opacus.validators import ModuleValidator

    if isinstance(layer, BATCH_NORMS):
        return "mixes the records of a batch, and its statistics bypass the noise; use GroupNorm"
    if isinstance(layer, nn.RNNBase):
        return "gives no gradient of a single record; use opacus's DPRNN, DPLSTM or DPGRU"
    rule = ModuleValidator.VALIDATORS.get(type(layer))
    if rule and (problems := rule(layer)):
        reason = str(problems[0]).split(". ")[0]
        return f"can't be clipped by record (opacus: {reason}); use another layer"
    return ""
