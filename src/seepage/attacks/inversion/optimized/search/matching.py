"""How far guessed gradients point away from the observed one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....gradient_noise import flat_deviations

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from .....core.cards import DefenseCard
    from .....core.views import Update

_SPARSE = 0.2
_TINY = 1e-30
# Of the signal's power; chosen on digits with uneven noise, between .01 and .05.
_SEARCH_ERROR = 0.03


@dataclass(frozen=True, slots=True, eq=False)
class CosineMatch:
    """1 - cos(gradient, observed), on what the observed gradient tells of each coordinate.

    Fields
    ------
    observed : the flat observed gradient `[p]`
    sent : indices of the coordinates that were sent; None: all were
    bound : what no other coordinate exceeds in magnitude; None: nothing is known of them
    """

    observed: Tensor
    sent: Tensor | None = None
    bound: float | None = None

    @property
    def floor(self) -> float:
        """The distance that rounding leaves at the batch itself."""
        return 1e-7

    @property
    def weights(self) -> Mapping[str, float] | None:
        """1 for every parameter; None where a mask asks for the whole gradient."""
        return _EVEN if self.sent is None else None

    def of_sums(self, inner: Tensor, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances and their slopes at <G, observed> and <G, G>, `[restarts]` each."""
        square = square.clamp_min(_TINY)
        length = (square.sqrt() * self.observed.norm()).clamp_min(_TINY)
        cosine = inner / length
        return 1 - cosine, -1 / length, cosine / (2 * square)

    def aim(self, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances of gradients `[n, p]`, `[n]`, and their slopes `[n, p]`."""
        with torch.enable_grad():
            gradients = gradients.detach().requires_grad_()
            found = torch.stack([self.distance(one) for one in gradients])
            (slopes,) = torch.autograd.grad(found.sum(), gradients)
        return found.detach(), slopes

    def distance(self, gradient: Tensor) -> Tensor:
        """Return the distance of a flat gradient `[p]`, a scalar in 0..2.

        With a bound, the coordinates that were not sent are taken to be what the guess
        says, cut off at the bound: of all observations that are possible, the nearest.
        """
        if self.sent is None:
            return _cosine_distance(gradient, self.observed)
        known, seen = gradient[self.sent], self.observed[self.sent]
        if self.bound is None:
            return _cosine_distance(known, seen)
        with torch.no_grad():
            scale = known.norm() / seen.norm().clamp_min(_TINY)
            nearest = gradient.clamp(-scale * self.bound, scale * self.bound)
            nearest[self.sent] = scale * seen
        return _cosine_distance(gradient, nearest)


@dataclass(frozen=True, slots=True, eq=False)
class GaussianMatch:
    """The likelihood of an update with Gaussian noise of known size on each parameter.

    Let g = c G + noise, c unknown (clipping), and the guess itself be off by some share of
    the signal's power, as searches are: without it the least noisy layer alone would count
    until it fits to the last digit. With 1/variance for weights the misfit is
    min_c |g - c G|^2 by what the noise alone makes of it: 1 at the right batch. As a distance
    stands exp(misfit - 1), whose logarithm is the likelihood but for factors; above 1, where
    something else is wrong than noise, the misfit itself. Below `floor` the noise would be
    fitted: the right batch is above with a probability of 97 %.

    Fields
    ------
    weights : 1/variance by parameter; None where it differs within one
    square : <g, g> so weighted
    noise : what noise contributes to that
    spread : the standard deviation of the misfit of the right batch
    """

    weights: Mapping[str, float] | None
    square: Tensor
    noise: float
    spread: float
    _observed: Tensor
    _each: Tensor

    @classmethod
    def of(cls, observed: Update, deviations: Mapping[str, float | Tensor]) -> GaussianMatch:
        """Return the match for an observed gradient, given standard deviations by name.

        A deviation is one number for a parameter, or one for each of its coordinates.
        """
        flat = torch.cat([g.reshape(-1) for g in observed.values()])
        noise = flat_deviations(deviations, observed).square()
        signal = float((flat.square().sum() - noise.sum()).clamp_min(0)) / len(flat)
        each = 1 / (noise + _SEARCH_ERROR * signal)
        shares = noise * each
        expected = float(shares.sum())
        spread = float(2 * shares.square().sum()) ** 0.5 / expected
        ends = torch.tensor([g.numel() for g in observed.values()]).cumsum(0).tolist()
        even = all(isinstance(deviations[name], float) for name in observed)
        weights = {n: float(each[end - 1]) for n, end in zip(observed, ends, strict=True)}
        square = (each * flat.square()).sum()
        return cls(weights if even else None, square, expected, spread, flat, each)

    @property
    def floor(self) -> float:
        """The distance at two standard deviations below the misfit of the right batch."""
        return math.exp(-2 * self.spread)

    def misfit(self, distance: float) -> float:
        """Return the misfit behind a distance: 1 where noise explains all of it."""
        return distance if distance > 1 else 1 + math.log(max(distance, _TINY))

    def of_sums(self, inner: Tensor, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances and their slopes at <G, g> and <G, G>, weighted, `[restarts]` each."""
        along = inner.clamp_min(0) / square.clamp_min(_TINY)
        misfit = (self.square - along * inner) / self.noise
        steep = (misfit - 1).clamp_max(0).exp()
        distances = torch.where(misfit > 1, misfit, steep)
        return distances, -2 * along * steep / self.noise, along.square() * steep / self.noise

    def aim(self, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances of gradients `[n, p]`, `[n]`, and their slopes `[n, p]`."""
        weighted = gradients * self._each
        found, at_inner, at_square = self.of_sums(
            weighted @ self._observed, (weighted * gradients).sum(1)
        )
        slopes = at_inner[:, None] * (self._each * self._observed)
        return found, slopes + 2 * at_square[:, None] * weighted


@dataclass(frozen=True, slots=True, eq=False)
class SquaredMatch:
    """||gradient - observed||^2 / ||observed||^2, for a flat observed gradient `[p]`."""

    observed: Tensor

    @property
    def weights(self) -> None:
        """None: near the batch the difference of sums would be lost to rounding."""
        return

    def of_sums(self, inner: Tensor, square: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return distances and their slopes at <G, observed> and <G, G>, `[restarts]` each."""
        scale = self._scale()
        ones = torch.ones_like(inner)
        return (square - 2 * inner) / scale + 1, -2 * ones / scale, ones / scale

    def aim(self, gradients: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distances of gradients `[n, p]`, `[n]`, and their slopes `[n, p]`."""
        rest, scale = gradients - self.observed, self._scale()
        return rest.square().sum(1) / scale, rest * (2 / scale)

    def _scale(self) -> Tensor:
        return self.observed.square().sum().clamp_min(_TINY)


def cosine_match(
    observed: Tensor, defenses: Iterable[DefenseCard], *, mask_aware: bool
) -> CosineMatch:
    """Return the match for a flat observed gradient `[p]` under the defenses in force.

    Zeros of an undefended update are values like any others. Top-k keeps the largest
    coordinates, so the others are below the least of those sent. Nothing is known of what is
    encrypted, nor, under any other defense, of zeros that are more than a fifth of the update.
    """
    names = {card.name for card in defenses}
    sent = observed != 0
    if not mask_aware or not names or bool(sent.all()) or not bool(sent.any()):
        return CosineMatch(observed)
    index = sent.nonzero().flatten()
    if "top-k" in names:
        return CosineMatch(observed, index, float(observed[index].abs().min()))
    if "selective-encryption" in names or float((~sent).float().mean()) > _SPARSE:
        return CosineMatch(observed, index)
    return CosineMatch(observed)


_EVEN: Mapping[str, float] = {}


def _cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    return 1 - (a @ b) / (a.norm() * b.norm()).clamp_min(_TINY)
