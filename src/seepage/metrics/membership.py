"""How well scores tell members from non-members, at low false-positive rates first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from ..core.intervals import Resampled, bootstrap, clopper_pearson

Floats = NDArray[np.float64]


def tprs_at(members: Floats, others: Floats, fpr: float) -> Floats:
    """Return the true-positive rate of each row at a false-positive rate of at most `fpr`.

    `members` `[r, n]` and `others` `[r, m]` are scores; the threshold is the least at
    which no more than `fpr` of the row's non-members lie above it.

    >>> tprs_at(np.array([[3.0, 1.0]]), np.array([[0.0, 2.0]]), 0.0)
    array([0.5])
    """
    allowed = int(np.floor(fpr * others.shape[1] + 1e-9))
    threshold = -np.partition(-others, allowed, axis=1)[:, allowed]
    return (members > threshold[:, None]).mean(1)


def realized_fpr(others: Floats, fpr: float) -> float:
    """Return the false-positive rate that the threshold of `tprs_at` has on `[m]`."""
    allowed = int(np.floor(fpr * len(others) + 1e-9))
    return float((others > -np.partition(-others, allowed)[allowed]).mean())


def enough_for(fpr: float, others: int) -> bool:
    """Return whether there are the 10 / fpr non-members that such a rate needs."""
    return others >= round(10 / fpr)


@dataclass(frozen=True, slots=True)
class TPR:
    """The true-positive rate at `fpr`, with limits that choose the threshold anew.

    The limits are those of a stratified bootstrap, widened to the Clopper-Pearson limits
    of the members alone, without which a rate of 0 would claim to be certain.
    """

    resampled: Resampled
    members: int

    @classmethod
    def of(cls, members: Floats, others: Floats, fpr: float, rng: np.random.Generator) -> TPR:
        """Estimate from scores of members `[n]` and non-members `[m]`."""
        drawn = bootstrap(
            lambda a, b: tprs_at(a, b, fpr), [members, others], rng, resamples(members, others)
        )
        return cls(drawn, len(members))

    @property
    def value(self) -> float:
        """Return the point estimate."""
        return self.resampled.value

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return two-sided limits at `level`."""
        exact = clopper_pearson(self.value * self.members, self.members, level)
        drawn = self.resampled.interval(level)
        return max(0.0, min(exact[0], drawn[0])), min(1.0, max(exact[1], drawn[1]))


def tpr_gain(members: Floats, others: Floats, fpr: float, rng: np.random.Generator) -> Resampled:
    """Return the gain in TPR of one score over another on the same candidates.

    `members` `[n, 2]` and `others` `[m, 2]` hold the score and the null score of each
    candidate, which are drawn together: a record that is easy in both cancels out.
    """

    def difference(a: Floats, b: Floats) -> Floats:
        """Return the gain for each resample."""
        return tprs_at(a[..., 0], b[..., 0], fpr) - tprs_at(a[..., 1], b[..., 1], fpr)

    return bootstrap(difference, [members, others], rng, resamples(members, others))


@dataclass(frozen=True, slots=True)
class AUC:
    """The area under the ROC curve with the limits of DeLong et al. (1988)."""

    value: float
    error: float
    smaller_group: int

    @classmethod
    def of(cls, members: Floats, others: Floats) -> AUC:
        """Estimate from scores of members `[n]` and non-members `[m]`; ties count half.

        >>> AUC.of(np.array([2.0, 3.0]), np.array([1.0, 2.0])).value
        0.875
        """
        above, below = _placements(members, others)
        return cls(float(above.mean()), _error(above, below), min(len(members), len(others)))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return normal limits; exact ones of the smaller group where the scores separate."""
        if self.error == 0:
            return clopper_pearson(self.value * self.smaller_group, self.smaller_group, level)
        low, high = Normal(self.value, self.error).interval(level)
        return max(0.0, low), min(1.0, high)


@dataclass(frozen=True, slots=True)
class Normal:
    """An estimate with a normal error."""

    value: float
    error: float

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return two-sided limits at `level`."""
        reach = float(norm.ppf((1 + level) / 2)) * self.error
        return self.value - reach, self.value + reach


def auc_gain(members: Floats, others: Floats) -> Normal:
    """Return the gain in AUC of one score over another on the same candidates.

    `members` `[n, 2]` and `others` `[m, 2]` hold the score and the null score; the error
    is that of correlated AUCs (DeLong et al. 1988, eq. 4).
    """
    above, below = _placements(members[:, 0], others[:, 0])
    null_above, null_below = _placements(members[:, 1], others[:, 1])
    gain_above, gain_below = above - null_above, below - null_below
    return Normal(float(gain_above.mean()), _error(gain_above, gain_below))


def _placements(members: Floats, others: Floats) -> tuple[Floats, Floats]:
    """Return the share of non-members below each member, and of members above each other."""
    n, m = len(members), len(others)
    ranks = rankdata(np.concatenate([members, others]))
    return (ranks[:n] - rankdata(members)) / m, 1 - (ranks[n:] - rankdata(others)) / n


def _error(above: Floats, below: Floats) -> float:
    parts = (above, below)
    return float(np.sqrt(sum(float(p.var(ddof=1)) / len(p) for p in parts if len(p) > 1)))


def resamples(members: Floats, others: Floats) -> int:
    """Return how many resamples are worth their time for so many scores."""
    return max(200, min(2000, 20_000_000 // (len(members) + len(others))))
