"""What the card of a defense of single records says: how it clips them, and with what noise.

Each step releases (sum_i c(g_i) + sigma * N(0, I)) / B, with c the clipping of one record's
gradient g_i: ||g_i / a|| <= C for scales a that are all 1 but under `per-coordinate-dp`, of
all parameters or of each layer, and sigma a deviation for each coordinate. Everything is
public (Kerckhoffs) but what a defense follows from its own earlier releases: scales, a
clipping norm or a noise multiplier that the card alone does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from ..core.cards import DefenseCard

RECORD_LEVEL = ("dp-sgd", "per-coordinate-dp", "bayesian-noise", "dp-ftrl")
_COUNT_NOISE = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class RecordDefense:
    """A defense of single records, as its card tells of one local step.

    Fields
    ------
    groups : names of the parameters that are clipped together -> the norm of g / a there
    scales : a by parameter, one number or one for each coordinate
    deviations : standard deviation of the noise on the sum by parameter, one number or one
        for each coordinate; None where the card does not tell
    """

    groups: Mapping[tuple[str, ...], float]
    scales: Mapping[str, float | Tensor]
    deviations: Mapping[str, float | Tensor] | None

    def clip(self, gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return records' gradients `[k, *shape]` by parameter, each clipped."""
        clipped = dict(gradients)
        for names, norm in self.groups.items():
            parts = [
                torch.linalg.vector_norm(self._scaled(gradients[n], n).flatten(1), dim=1)
                for n in names
                if n in gradients
            ]
            if not parts:
                continue
            lengths = torch.linalg.vector_norm(torch.stack(parts), dim=0)
            factors = (norm / lengths.clamp_min(torch.finfo(lengths.dtype).tiny)).clamp(max=1)
            for name in names:
                if name in gradients:
                    shape = (-1, *[1] * (gradients[name].ndim - 1))
                    clipped[name] = gradients[name] * factors.view(shape)
        return clipped

    def _scaled(self, gradient: Tensor, name: str) -> Tensor:
        scale = self.scales[name]
        return gradient if isinstance(scale, float) and scale == 1.0 else gradient / scale


def record_defense(
    cards: Iterable[DefenseCard], like: Mapping[str, Tensor], step: int
) -> RecordDefense | None:
    """Return what the cards say of the job's local step number `step`; None: no such defense.

    `like` has a tensor of the shape of each trainable parameter by name.
    """
    card = next((card for card in cards if card.name in RECORD_LEVEL), None)
    if card is None:
        return None
    norm = float(card.settings.get("max_grad_norm", inf))
    scales, known = _scales(card, like, step)
    multiplier = _multiplier(card, step)
    if not known or multiplier is None or norm == inf:
        deviations = None
    else:
        factors = noise_factors(card, like)
        deviations = {n: multiplier * norm * factors[n] * scales[n] for n in like}
    return RecordDefense(_groups(card, like, norm), scales, deviations)


def noise_factors(card: DefenseCard, like: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the factor on the noise by parameter: of its longest prefix in the settings."""
    by_prefix: Any = card.settings.get("noise_by_layer") or card.settings.get("noise_scale") or {}
    factors: dict[str, float] = {}
    for name in like:
        fitting = [prefix for prefix in by_prefix if name.startswith(prefix)]
        factors[name] = float(by_prefix[max(fitting, key=len)]) if fitting else 1.0
    return factors


def _multiplier(card: DefenseCard, step: int) -> float | None:
    """Return the noise multiplier of the sum at a step; None where the card does not tell."""
    settings = card.settings
    least = settings.get("noise_multiplier")
    if not isinstance(least, int | float):
        return None
    if card.name == "bayesian-noise":
        return least if settings.get("largest_multiplier") == least else None
    if card.name == "dp-ftrl":
        return least if step == 0 else None  # later noise depends on how many steps came before
    stages: Any = settings.get("noise_schedule") or ()
    times = next((factor for start, factor in reversed(stages) if start <= step), 1.0)
    multiplier = least * float(times)
    if settings.get("clipping") != "adaptive" or not multiplier:
        return multiplier
    if step:
        return None  # the norm has moved by then, and only the client knows where to
    # The count of unclipped gradients takes its part (Andrew et al. 2021, theorem 1).
    left = multiplier**-2 - (2 * float(settings.get("count_noise", _COUNT_NOISE))) ** -2
    return left**-0.5 if left > 0 else None


def _scales(
    card: DefenseCard, like: Mapping[str, Tensor], step: int
) -> tuple[dict[str, float | Tensor], bool]:
    """Return the scales by parameter, and whether the card tells them."""
    ones: dict[str, float | Tensor] = dict.fromkeys(like, 1.0)
    if card.name != "per-coordinate-dp":
        return ones, True
    given: Any = card.settings.get("scales")
    if not given:
        return ones, step == 0
    for name, tensor in like.items():
        fitting = [prefix for prefix in given if name.startswith(prefix)]
        value: Any = given[max(fitting, key=len)] if fitting else 1.0
        if isinstance(value, int | float):
            ones[name] = float(value)
        else:
            ones[name] = torch.tensor([float(v) for v in value]).to(tensor).view(tensor.shape)
    return ones, True


def _groups(
    card: DefenseCard, like: Mapping[str, Tensor], norm: float
) -> dict[tuple[str, ...], float]:
    """Return what is clipped together: all, or each layer to its share of the squared norm."""
    if card.settings.get("clipping") != "per-layer":
        return {tuple(like): norm}
    layers: dict[str, list[str]] = {}
    for name in like:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    even = card.settings.get("layer_split") == "equal"
    sizes = [1 if even else sum(prod(like[n].shape) for n in names) for names in layers.values()]
    return {
        tuple(names): norm * (size / sum(sizes)) ** 0.5
        for names, size in zip(layers.values(), sizes, strict=True)
    }
