"""Scales of coordinates: how large a gradient tends to be in each.

With c_i the size of coordinate i, a_i = sqrt(c_i) up to a factor: noise in proportion to a_i on
gradients that are clipped as g / a has the least total variance at a given mu if coordinate i
reaches c_i (the sum of a_i^2 times the sum of c_i^2 / a_i^2 is least there, by Cauchy-Schwarz).
Scales are scaled to a mean square of 1, so that whitening leaves the noise's total variance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING

import torch

from ....core.defense import LocalStep
from ....core.errors import RefusedError, UsageError
from . import per_record

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ....core.views import Loss

Scales = Mapping[str, float | Sequence[float]]
"""Prefix of parameter names -> one scale, or a parameter's name -> one for each of its values."""

_FIRST_RECORDS = 512


def scales_of(owner: str, given: Scales) -> dict[str, float | tuple[float, ...]]:
    """Return the scales checked; raise `UsageError` where one is no finite number above 0."""
    checked: dict[str, float | tuple[float, ...]] = {}
    for name, value in given.items():
        values = (value,) if isinstance(value, int | float) else tuple(value)
        if not values or not all(isfinite(v) and v > 0 for v in values):
            raise UsageError(
                f"{owner}: scales of {name!r} are not all finite numbers above 0; give a "
                "coordinate that must not be moved a small scale"
            )
        alone = isinstance(value, int | float)
        checked[name] = float(value) if alone else tuple(float(v) for v in values)
    return checked


def every_scale(scales: Scales) -> list[float]:
    """Return all the values that `scales` names, in no order."""
    return [
        float(v)
        for value in scales.values()
        for v in ((value,) if isinstance(value, int | float) else value)
    ]


def as_tensors(owner: str, scales: Scales, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a scale for each coordinate of `like`; that of the longest prefix of its name.

    Raises `RefusedError` where a parameter has none, or one of another size.
    """
    found: dict[str, Tensor] = {}
    for name, parameter in like.items():
        fitting = [prefix for prefix in scales if name.startswith(prefix)]
        if not fitting:
            raise RefusedError(
                f"{owner}: parameter {name} has no scale; give one, or one for the prefix ''"
            )
        value = scales[max(fitting, key=len)]
        if isinstance(value, int | float):
            found[name] = torch.full_like(parameter, float(value))
            continue
        if len(value) != parameter.numel():
            raise RefusedError(
                f"{owner}: {len(value)} scales for the {parameter.numel()} values of {name}"
            )
        found[name] = torch.tensor(value).to(parameter).reshape(parameter.shape)
    return found


def whitening(sizes: Mapping[str, Tensor], floor: float) -> dict[str, Tensor]:
    """Return the scales for coordinates of these `sizes` (>= 0), of mean square 1.

    `floor` > 0 times the mean size is added to each, so that no scale is 0.
    """
    count = sum(size.numel() for size in sizes.values())
    mean = sum(float(size.double().sum()) for size in sizes.values()) / count
    if not (mean > 0 and isfinite(mean)):
        return {name: torch.ones_like(size) for name, size in sizes.items()}
    return {name: ((size / mean + floor) / (1 + floor)).sqrt() for name, size in sizes.items()}


def public_scales(
    model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor, *, floor: float = 0.1
) -> dict[str, tuple[float, ...]]:
    """Return scales from the gradients of public records, for `PerCoordinateDP`.

    Inputs `[n, *shape]` and targets `[n]` must be of nobody's data that is to be protected; the
    first 512 are used. `loss` is a mean over the batch, `floor` as of `whitening`.
    """
    step = LocalStep(
        model=model,
        loss=loss,
        inputs=inputs[:_FIRST_RECORDS],
        targets=targets[:_FIRST_RECORDS],
        expected_batch=1,
    )
    squares: dict[str, Tensor] = {}
    for gradients in per_record.chunks(step):
        for name, gradient in gradients.items():
            squares[name] = squares.get(name, 0) + gradient.square().sum(0)
    sizes = {name: (s / len(step.inputs)).sqrt() for name, s in squares.items()}
    return {n: tuple(a.flatten().tolist()) for n, a in whitening(sizes, floor).items()}
