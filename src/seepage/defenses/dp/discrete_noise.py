"""Exact discrete Laplace and Gaussian noise from uniform integers alone.

No float is drawn or compared, so no rounding of the noise tells of the value behind it. A
Bernoulli of exp(-x) is the parity of a run of Bernoullis of x/1, x/2, ..; a discrete Laplace of
scale t is u + t v with u below t, of weight exp(-u/t), and v geometric; a discrete Gaussian of
deviation s is a discrete Laplace y of scale s that is kept with probability
exp(-(|y| - s)^2 / 2 s^2) (Canonne, Kamath & Steinke 2020, arXiv 2004.00010, algorithms 1-3; any
scale will do there, and s makes all fractions small). Exact as far as the generator's bits are
uniform.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.errors import UsageError

LARGEST_DEVIATION = 2**24
"""Up to here all fractions fit 64 bits, but for draws of 90 deviations."""

# A power of two, so that torch draws below it without bias.
_WORD = 2**62


def uniform_below(bounds: Tensor, rng: torch.Generator) -> Tensor:
    """Return int64 uniform in 0 .. bound-1 for each of `bounds` (int64, 1 to 2^62), any shape."""
    usable = _WORD - _WORD % bounds
    drawn = _words(bounds.shape, rng)
    while bool((late := drawn >= usable).any()):
        drawn = torch.where(late, _words(bounds.shape, rng), drawn)
    return drawn % bounds


def bernoulli_exp(numerators: Tensor, denominators: Tensor, rng: torch.Generator) -> Tensor:
    """Return bool `[n]`, true with probability exp(-numerator / denominator).

    Both are int64 `[n]`, 0 or more over 1 or more.
    """
    held = torch.ones_like(numerators, dtype=torch.bool)
    left = numerators // denominators
    index = left.nonzero().flatten()
    while len(index):
        kept = _bernoulli_exp_once(len(index), rng)
        held[index[~kept]] = False
        left[index] -= 1
        index = index[kept & (left[index] > 0)]
    index = held.nonzero().flatten()
    held[index] = _bernoulli_exp_small((numerators % denominators)[index], denominators[index], rng)
    return held


def discrete_laplace(count: int, scale: int, rng: torch.Generator) -> Tensor:
    """Return int64 `[count]` of weight exp(-|k| / scale) at every integer k; scale >= 1."""
    parts: list[Tensor] = []
    missing = count
    while missing > 0:
        # About four in five tries are kept.
        tries = missing + missing // 2 + 16
        scales = torch.full((tries,), scale, dtype=torch.int64)
        below = uniform_below(scales, rng)
        kept = bernoulli_exp(below, scales, rng)
        size = below[kept] + scale * _geometric(int(kept.sum()), rng)
        negative = uniform_below(torch.full_like(size, 2), rng) == 1
        # Else 0 would be drawn twice as often.
        once = ~(negative & (size == 0))
        found = torch.where(negative, -size, size)[once][:missing]
        parts.append(found)
        missing -= len(found)
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def discrete_gaussian(count: int, deviation: int, rng: torch.Generator) -> Tensor:
    """Return int64 `[count]` of weight exp(-k^2 / 2 deviation^2) at every integer k.

    `deviation` is a whole number from 0 (no noise) to `LARGEST_DEVIATION`, else `UsageError`.
    The variance is at most its square, and next to it from 1 on.
    """
    if not 0 <= deviation <= LARGEST_DEVIATION:
        raise UsageError(
            f"a discrete deviation of {deviation} can't be drawn; use 0 to {LARGEST_DEVIATION}"
        )
    if deviation == 0:
        return torch.zeros(count, dtype=torch.int64)
    parts: list[Tensor] = []
    missing = count
    while missing > 0:
        tried = discrete_laplace(missing + missing // 2 + 16, deviation, rng)
        off = (tried.abs() - deviation).square()
        kept = bernoulli_exp(off, torch.full_like(off, 2 * deviation**2), rng)
        found = tried[kept][:missing]
        parts.append(found)
        missing -= len(found)
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)


def _words(shape: torch.Size, rng: torch.Generator) -> Tensor:
    return torch.randint(_WORD, shape, generator=rng, device=rng.device, dtype=torch.int64)


def _bernoulli_exp_small(numerators: Tensor, denominators: Tensor, rng: torch.Generator) -> Tensor:
    """Return bool of probability exp(-numerator / denominator), for fractions of at most 1."""
    held = torch.zeros_like(numerators, dtype=torch.bool)
    index = torch.arange(len(numerators))
    length = 1
    while len(index):
        goes_on = uniform_below(denominators[index] * length, rng) < numerators[index]
        held[index[~goes_on]] = length % 2 == 1
        index = index[goes_on]
        length += 1
    return held


def _bernoulli_exp_once(count: int, rng: torch.Generator) -> Tensor:
    """Return bool `[count]` of probability 1/e."""
    ones = torch.ones(count, dtype=torch.int64)
    return _bernoulli_exp_small(ones, ones, rng)


def _geometric(count: int, rng: torch.Generator) -> Tensor:
    """Return how often a Bernoulli of 1/e held before it first did not, int64 `[count]`."""
    times = torch.zeros(count, dtype=torch.int64)
    index = torch.arange(count)
    while len(index):
        index = index[_bernoulli_exp_once(len(index), rng)]
        times[index] += 1
    return times
