"""What the protocols that reduce shared vectors robustly have in common: which reduction."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UsageError, require_least
from ...core.names import nearest
from ..fixed_point import FixedPoint
from ..protocol import SumJob, SumProtocol
from .reductions import ClippedSum, RankSum, kept_ranks

REDUCTIONS = ("sum", "clip", "median", "trimmed-mean")


@dataclass(frozen=True, kw_only=True)
class Reducing(SumProtocol):
    """Base of protocols that form a sum, or a robust reduction, of vectors that stay shared.

    Fields
    ------
    reduction : "sum"; "clip": the sum of vectors clipped to `clip_norm`; "median" or
        "trimmed-mean" of each coordinate
    clip_norm : the longest L2 norm that is left as it is, > 0
    trim : clients that a trimmed mean leaves out at each end of a coordinate, >= 1
    """

    reduction: str = "sum"
    clip_norm: float = 1.0
    trim: int = 1

    def __post_init__(self) -> None:
        if self.reduction not in REDUCTIONS:
            raise UsageError(
                f"{self.name}: no reduction is called {self.reduction!r}"
                f"{nearest(self.reduction, REDUCTIONS)}"
            )
        require_least(self.name, self, trim=1)

    def plan(self, job: SumJob, rows: int, word: int, *, clamp: bool) -> RankSum | ClippedSum:
        """Return how so many of a job's vectors are coded in words and reduced.

        `clamp` is of reductions other than a sum. Raises `UsageError` for what makes no sense.
        """
        if job.weights is not None and self.reduction != "sum":
            raise UsageError(f"{self.name}: {self.reduction} takes no weights; only a sum does")
        code = FixedPoint(job.clients, job.bound, word)
        if self.reduction == "clip":
            return ClippedSum(
                code=code, rows=rows, width=job.width, clip_norm=self.clip_norm, clamp=clamp
            )
        ranks = kept_ranks(self.reduction, rows, self.trim)
        summed = self.reduction == "sum"
        return RankSum(
            code=code,
            rows=rows,
            ranks=ranks,
            divisor=1 if summed else len(ranks),
            clamp=clamp and not summed,
        )
