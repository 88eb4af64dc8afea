"""From scores of canaries to a lower bound on epsilon.

| method | holds for | source |
|---|---|---|
| f-dp | one run, a trade-off curve that is Gaussian or above | arXiv 2410.22235 |
| steinke | one run of any mechanism; shows less | arXiv 2305.08846 |
| clopper-pearson | scores of which each came from a run of its own | arXiv 2006.07709 |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np
from numpy.typing import ArrayLike

from ...core.errors import UsageError
from ...core.names import nearest
from .auditor import Auditor, Canaries
from .bound import AUDITORS, LowerBound, Method, largest
from .scores import checked_scores


def epsilon_lower_bound(
    member_scores: ArrayLike,
    non_member_scores: ArrayLike,
    *,
    delta: float,
    confidence: float = 0.95,
    method: Method = "f-dp",
    guesses: int | Sequence[int] | None = None,
    independent_runs: bool = False,
) -> LowerBound:
    """Return the epsilon that scores of canaries show to be leaked at least.

    It can refute a claimed epsilon, never prove one; `.power_at` says what it could have
    shown. It is of the unit that a canary is (a record, a client), under add-remove adjacency.

    Parameters
    ----------
    member_scores, non_member_scores : `[n]` and `[k]`, finite, higher for likelier members; of
        canaries that were put in or left out by a fair coin each. Tied scores count as wrong
        guesses as far as they can be.
    delta : of the (epsilon, delta) that is bounded, from 0 to 1 ("f-dp": above 0)
    confidence : above 0.5 and below 1
    method : "f-dp", "steinke", or "clopper-pearson", which needs `independent_runs=True`
    guesses : fixed before the scores were seen: how many canaries are guessed, half of them as
        members; or, for "clopper-pearson", how many non-members lie above the threshold.
        Several numbers are all tried, each at its share of the error (Bonferroni). None
        takes a quarter of the canaries, at least 32 (one in fifty non-members).
    independent_runs : says that every score came from a run of its own

    Raises `UsageError` for other values, for scores that are no numbers, for canaries that fair
    coins did not deal out, and where even a perfect attack would show nothing.

    >>> member_scores = [3.0 + i / 100 for i in range(100)]
    >>> non_member_scores = [i / 100 for i in range(100)]
    >>> round(epsilon_lower_bound(member_scores, non_member_scores, delta=1e-5).epsilon, 2)
    5.12
    """
    auditor = _auditor(method, independent_runs)
    _require_level(auditor, delta, confidence)
    ours = checked_scores(member_scores, "member")
    theirs = checked_scores(non_member_scores, "non-member")
    canaries = Canaries(len(ours), len(theirs))
    tried = _tried(guesses, auditor.default_guesses(canaries))
    for number in tried:
        auditor.require(canaries, number)
    audit = LowerBound(
        epsilon=0.0,
        delta=delta,
        confidence=confidence,
        method=method,
        members=canaries.members,
        non_members=canaries.non_members,
        guesses=tried,
        right=tuple(auditor.right(ours, theirs, number) for number in tried),
    )
    _require_power(audit)
    return replace(audit, epsilon=largest(audit))


def _auditor(method: str, independent_runs: bool) -> Auditor:
    if method not in AUDITORS:
        raise UsageError(f"there is no method {method!r}{nearest(method, AUDITORS)}")
    if method == "clopper-pearson" and not independent_runs:
        raise UsageError(
            "clopper-pearson takes every score for an independent trial, and scores of one run "
            "share its training, so the bound would be too sure of itself: use method='f-dp' or "
            "'steinke', or say independent_runs=True if each score came from a run of its own"
        )
    return AUDITORS[method]


def _require_power(audit: LowerBound) -> None:
    if not audit.power_at(inf):
        raise UsageError(
            f"{audit.members} members, {audit.non_members} non-members and "
            f"guesses={list(audit.guesses)} show nothing at confidence {audit.confidence:g} and "
            f"delta {audit.delta:g} even where an attack never errs; use more canaries, more "
            "guesses or a smaller delta"
        )


def _tried(guesses: int | Sequence[int] | None, default: int) -> tuple[int, ...]:
    if guesses is None:
        return (default,)
    numbers = guesses if isinstance(guesses, Sequence) else (guesses,)
    whole = all(isinstance(g, int | np.integer) and not isinstance(g, bool) for g in numbers)
    if not numbers or not whole:
        raise UsageError(f"guesses is {guesses!r}; use a whole number, or several")
    return tuple(sorted({int(g) for g in numbers}))


def _require_level(auditor: Auditor, delta: float, confidence: float) -> None:
    if not 0 <= delta < 1 or not (delta or auditor.zero_delta):
        least = "0" if auditor.zero_delta else "above 0"
        raise UsageError(f"delta is {delta}; {auditor.title} takes {least} to below 1")
    if not 0.5 < confidence < 1:
        raise UsageError(f"confidence is {confidence}; use a number above 0.5 and below 1")
