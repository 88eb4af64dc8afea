"""What a malicious server measures of each record, and where it expects the quantiles.

A measurement is a linear function h(x) = <w, x> of the flattened record. The directions w are
random ones within the leading principal components of records like the victims', whitened, so
that each has variance 1 and several are uncorrelated: records that share a bin of one
measurement are then no likelier to share one of the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ....core.views import AuxiliaryData

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import ServerKnowledge

_REFERENCES = 2048
_FOR_DIRECTIONS = 512
_COMPONENTS = 32
_STAND_INS = 512


def reference_records(knowledge: ServerKnowledge, rng: torch.Generator) -> Tensor:
    """Return records `[s, *shape]` that stand for the victims': auxiliary ones, or noise.

    The noise is smooth for images, with power falling as the square of the frequency
    (Field 1987), scaled to the value range (standard normal where there is none).
    """
    held = knowledge.fact(AuxiliaryData)
    if held is not None and len(held.inputs) >= 2:
        step = -(-len(held.inputs) // _REFERENCES)
        return held.inputs[::step].float()
    shape = knowledge.job.input_shape
    noise = torch.randn(_STAND_INS, *shape, generator=rng)
    if len(shape) == 3:
        rows, columns = (torch.fft.fftfreq(side).square() for side in shape[-2:])
        frequency = (rows[:, None] + columns).sqrt().clamp_min(0.5 / max(shape[-2:]))
        noise = torch.fft.ifft2(torch.fft.fft2(noise) / frequency).real
        noise = noise / noise.std()
    if knowledge.job.value_range is None:
        return noise
    low, high = knowledge.job.value_range
    return (low + (high - low) * (0.5 + 0.25 * noise)).clamp(low, high)


def directions(references: Tensor, count: int, rng: torch.Generator) -> Tensor:
    """Return up to `count` directions `[t, n]`, float64, of uncorrelated unit measurements.

    There are fewer where the references `[s, *shape]` vary in fewer than `count` ways.
    """
    flat = references[:_FOR_DIRECTIONS].flatten(1).double()
    centered = flat - flat.mean(0)
    values, vectors = torch.linalg.eigh(centered @ centered.T)
    lasting = values > 1e-9 * values[-1].clamp_min(1e-30)
    values, vectors = values[lasting][-_COMPONENTS:], vectors[:, lasting][:, -_COMPONENTS:]
    white = (vectors / values).T @ centered * (len(flat) ** 0.5)
    mixing = torch.randn(len(white), len(white), generator=rng, dtype=torch.float64)
    return torch.linalg.qr(mixing)[0][:count] @ white


def edges(measured: Tensor, bins: int, lowest: float, highest: float) -> Tensor:
    """Return bin edges `[bins + 1]` at the quantiles of `measured` `[s]`, strictly rising.

    The outer two are `lowest` and `highest`, which no record passes.
    """
    inner = torch.linspace(0, 1, bins + 1, dtype=torch.float64)[1:-1]
    found = torch.cat([measured.new_tensor([lowest]), measured.quantile(inner)])
    found = torch.cat([found, measured.new_tensor([highest])])
    # Equal quantiles would make a bin of no width.
    least = 1e-6 * (highest - lowest) * torch.arange(bins + 1, dtype=torch.float64) / bins
    return (found + least).cummax(0).values if bool((found.diff() <= 0).any()) else found


def reach(
    direction: Tensor, measured: Tensor, value_range: tuple[float, float] | None
) -> tuple[float, float]:
    """Return bounds of <direction `[n]`, x>: exact in a value range, else far beyond `measured`."""
    if value_range is None:
        spread = 100 * float(measured.std())
        return float(measured.min()) - spread, float(measured.max()) + spread
    low, high = value_range
    up, down = direction.clamp_min(0).sum(), direction.clamp_max(0).sum()
    margin = 1e-3 * float(up - down) * (high - low)
    return float(up * low + down * high) - margin, float(up * high + down * low) + margin
