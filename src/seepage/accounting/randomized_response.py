"""Randomized response over k categories (Warner 1965; Kairouz, Bonawitz & Ramage 2016).

The true category is told with probability p = e^eps / (e^eps + k - 1), every other one with
q = 1 / (e^eps + k - 1). Replacing the category is eps-DP; with k > 2 an answer that is neither
of two neighbors tells nothing, so it gives away less than pure eps-DP allows
(arXiv 1602.07387, section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log
from typing import ClassVar

import numpy as np

from ..core.errors import require_least
from .pure import PureEpsilon


@dataclass(frozen=True, kw_only=True)
class RandomizedResponse(PureEpsilon):
    """Answers about one categorical value, under `replace` adjacency.

    Fields
    ------
    epsilon : log of the odds of the truth against one given lie, >= 0 and finite
    categories : number k of possible answers, >= 2
    """

    kind: ClassVar[str] = "randomized-response"

    categories: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require_least(self.kind, self, categories=2)

    def log_outcomes(self) -> tuple[float, float, float]:
        """Return the log probabilities of the truth, of one given lie, and of the other lies."""
        lie = -float(np.logaddexp(self.epsilon, log(self.categories - 1)))
        others = log(self.categories - 2) + lie if self.categories > 2 else -inf
        return self.epsilon + lie, lie, others

    @property
    def _source(self) -> str:
        return "exact randomized response"
