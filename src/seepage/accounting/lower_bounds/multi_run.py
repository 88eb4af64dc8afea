"""The classic bound of many runs: rates of errors with exact limits, one score a run.

(epsilon, delta)-DP holds true and false positives to TPR <= e^eps FPR + delta, and likewise
1 - FPR <= e^eps (1 - TPR) + delta; Clopper-Pearson limits of both rates make a bound of it
(Jagielski, Ullman & Oprea 2020, arXiv 2006.07709; Nasr et al. 2021, arXiv 2101.04535).

The threshold is a non-member score of fixed rank. A rank's false-positive rate is a beta
variable whatever the scores' distribution, and has the same upper limit that as many false
positives at a threshold known beforehand would have; members' scores don't move it.
"""

from __future__ import annotations

from math import log
from typing import ClassVar

import numpy as np
from scipy.special import betaincinv, ndtr, ndtri

from ...core.errors import UsageError
from ...core.intervals import Floats, clopper_pearson
from .auditor import Auditor, Canaries


class MultiRun(Auditor):
    """`guesses` non-members lie above the threshold, and `right` members."""

    title: ClassVar[str] = "the Clopper-Pearson bound of many runs"
    holds_if: ClassVar[str] = "every score came from a run of its own"

    def require(self, canaries: Canaries, guesses: int) -> None:
        """Refuse false positives that are not between 0 and one less than the non-members."""
        others = canaries.non_members
        if not 0 <= guesses < others:
            raise UsageError(
                f"guesses is {guesses}; for clopper-pearson it is the number of non-members above "
                f"the threshold: with {others} of them use 0 to {others - 1}"
            )

    def default_guesses(self, canaries: Canaries) -> int:
        """Return one in fifty non-members."""
        return canaries.non_members // 50

    def right(self, members: Floats, non_members: Floats, guesses: int) -> int:
        """Return the members above the non-member which `guesses` others exceed."""
        threshold = -np.partition(-non_members, guesses)[guesses]
        return int((members > threshold).sum())

    def gaussian_right(self, canaries: Canaries, guesses: int, mu: float) -> int:
        """Return the members above the median threshold, rounded."""
        fpr = float(betaincinv(guesses + 1, canaries.non_members - guesses, 0.5))
        return round(canaries.members * float(ndtr(mu + ndtri(fpr))))

    def bound(
        self, canaries: Canaries, guesses: int, right: int, *, delta: float, significance: float
    ) -> float:
        """Return the bound, each rate's limit at half the significance."""
        tpr = clopper_pearson(right, canaries.members, 1 - significance)[0]
        fpr = clopper_pearson(guesses, canaries.non_members, 1 - significance)[1]
        ratio = max((tpr - delta) / fpr, (1 - fpr - delta) / (1 - tpr), 1.0)
        return log(ratio)
