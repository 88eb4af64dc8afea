"""Where to cut so that one record alone is caught, chosen on auxiliary records.

Class c is told from all others by a score s = u.h of the features h and a cutoff: p_c =
sigmoid(m (s - cutoff)). A record of c below the cutoff gets the gradient weight 1 - p_c,
another above it p_c, all others next to nothing: what is caught are the errors of this
classifier, and exactly one is wanted. With a hard cutoff at the quantile 1 / n of the
scores of c (n: records of c that are expected) it is one with probability 1/e at best
(Wen et al. 2022, arXiv 2202.00580, section 3.3, the one-shot attack). A softer cutoff a
little further out lets the extreme record outweigh the next by exp(m gap), so class,
cutoff and m are those that catch one most often in batches simulated from auxiliary scores.
Scores are a ridge regression's; each record's is that of a fit without it, in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_ALONE, _VISIBLE, _CLEAR, _FAINT = 0.9, 1e-4, 0.03, 1e-6
_RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
_QUANTILES = (0.003, 0.01, 0.02, 0.04, 0.06, 0.1, 0.16, 0.25, 0.4, 0.6, 0.8)
_STEEPNESS = (5.0, 10.0, 30.0, 100.0, 1000.0)
_BATCHES, _EXTREMES = 200, 10
_JITTER = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Cutoff:
    """Fish for `target`: p = sigmoid(direction @ h - offset) is the probability of that class.

    Fields
    ------
    target : the class
    direction : the score's direction times its steepness, `[width]`, float64
    offset : the cutoff times the steepness, float64 scalar
    success : share of simulated batches in which one record made 90 % of the gradient; or
        how many were caught in each, where several may be
    """

    target: int
    direction: Tensor
    offset: Tensor
    success: float


def choose_cutoff(
    features: Tensor,
    labels: Tensor,
    records: int,
    rng: torch.Generator,
    *,
    classes: int,
    target: int = -1,
    steepness: float = 0.0,
    most: int = 1,
) -> Cutoff | None:
    """Return the best cutoff for batches of `records`, or None where no class can be told apart.

    Takes auxiliary features `[n, width]` and labels `[n]`. `target` -1: any class.
    `steepness` is in units of 1 / (standard deviation of the class's scores); 0: the best.
    The best catches one record most often; with `most` above 1, as many as it can up to that.
    """
    mean = features.double().mean(0)
    centered = features.double() - mean
    one_hot = torch.nn.functional.one_hot(labels.long(), classes).double()
    wanted = range(classes) if target < 0 else (target,)
    draws = torch.randint(len(labels), (_BATCHES, records), generator=rng)
    noise = torch.randn(draws.shape, generator=rng, dtype=torch.float64)
    values, vectors = torch.linalg.eigh(centered @ centered.T)
    values = values.clamp_min(0)
    best, success = None, -1.0
    for ridge in _RIDGES:
        inverse = (vectors / (values + ridge * values.mean() + 1e-12)) @ vectors.T
        dual = inverse @ (one_hot - one_hot.mean(0))
        scores = one_hot - one_hot.mean(0) - dual / inverse.diagonal()[:, None]
        for c in wanted:
            if int((labels == c).sum()) < 2:
                continue
            found, cut, steep = _best_cut(scores[:, c], labels == c, draws, noise, steepness, most)
            if found > success:
                direction = steep * (centered.T @ dual[:, c])
                best = Cutoff(c, direction, steep * cut + direction @ mean, found)
                success = found
    return best


def _best_cut(
    scores: Tensor, own: Tensor, draws: Tensor, noise: Tensor, steepness: float, most: int
) -> tuple[float, Tensor, Tensor]:
    """Return success, cutoff and steepness for one class, over the simulated batches."""
    spread = scores[own].std().clamp_min(1e-9)
    # Records recur in the draws: without jitter, an extreme one would tie with itself.
    drawn = scores[draws] + _JITTER * spread * noise
    keep = min(_EXTREMES, draws.shape[1])
    below = drawn.masked_fill(~own[draws], torch.inf).topk(keep, largest=False).values
    above = drawn.masked_fill(own[draws], -torch.inf).topk(keep).values
    quantiles = torch.tensor(_QUANTILES, dtype=scores.dtype)
    cuts = torch.cat([scores[own].quantile(quantiles), scores[~own].quantile(quantiles)])
    cuts = torch.cat([cuts, scores.max()[None] + 30 * spread, scores.min()[None] - 30 * spread])
    best = (-1.0, cuts[0], spread)
    for steep in (steepness,) if steepness else _STEEPNESS:
        scale = steep / spread
        missed = torch.sigmoid(-scale * (below[None] - cuts[:, None, None]))
        intruded = torch.sigmoid(scale * (above[None] - cuts[:, None, None]))
        weights = torch.cat([missed, intruded], dim=2)
        if most > 1:
            clear = (weights > _FAINT).sum(2) <= most
            share = ((weights > _CLEAR).sum(2) * clear).double().mean(1)
        else:
            top = weights.amax(2)
            share = ((top > _ALONE * weights.sum(2)) & (top > _VISIBLE)).double().mean(1)
        index = int(share.argmax())
        if float(share[index]) > best[0]:
            best = (float(share[index]), cuts[index], scale)
    return best
