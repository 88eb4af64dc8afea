"""Holds claims against truths: hits per draw, for the view, the null control and the prior."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..core.claims import AttributeGuess, BatchTruth, Reconstruction
from ..core.columns import column_named
from ..core.errors import SeepageError
from ..core.task import Records
from ..data.coded import coded, column_codes
from ..metrics.attribute import multiset_hits
from ..metrics.reconstruction import identified
from .evidence import RateEvidence
from .quality import Background, quality

NULLS = 2
"""Other draws whose claims are held against each truth."""


def score_reconstructions(
    claims: Sequence[Reconstruction],
    truths: Sequence[BatchTruth],
    background: Background,
    rng: torch.Generator,
) -> RateEvidence:
    """Return the identification rate of each draw.

    The null gives this truth claims on other views: of other clients where there are any,
    else of draws that share no record with it, else the claims beyond those of `truths`
    (on a job trained without these records). The prior is the better of the mean
    auxiliary record and random auxiliary records.
    """
    draws = [i for i, t in enumerate(truths) if len(t.rows)]
    gallery = background.gallery

    def rate(inputs: Tensor, truth: BatchTruth) -> float:
        """Return the share of the victims that were identified."""
        return float(identified(inputs, truth.inputs, gallery).float().mean())

    value = [rate(claims[i].inputs, truths[i]) for i in draws]
    null = [
        _mean([rate(claims[j].inputs, truths[i]) for j in _strangers(i, claims, truths, rng)])
        for i in draws
    ]
    mean = background.auxiliary.inputs.mean(0, keepdim=True)
    guesses = [
        background.auxiliary.inputs[
            torch.randint(len(background.auxiliary), (len(truths[i].rows),), generator=rng)
        ]
        for i in draws
    ]
    by_mean = [rate(mean, truths[i]) for i in draws]
    by_record = [rate(g, truths[i]) for g, i in zip(guesses, draws, strict=True)]
    return RateEvidence(
        metric="identification_rate",
        value=tuple(value),
        null=tuple(null),
        prior=tuple(max(by_mean, by_record, key=sum)),
        n=sum(len(truths[i].rows) for i in draws),
        details=quality([claims[i] for i in draws], [truths[i] for i in draws], background),
    )


def score_attributes(
    claims: Sequence[AttributeGuess],
    truths: Sequence[BatchTruth],
    background: Background,
    rng: torch.Generator,
) -> RateEvidence:
    """Return the share of the attribute's values (labels, or a column's) got in each draw.

    The prior is the better of the most frequent value and of values in proportion to how often
    each occurs among auxiliary records. A null guess for a batch of another size keeps its
    proportions.
    """
    draws = [i for i, t in enumerate(truths) if len(t.rows)]
    attribute = claims[0].attribute if claims else "label"
    known = _values(attribute, background.auxiliary, background)
    majority = known.mode().values

    def rate(values: Tensor, truth: BatchTruth) -> float:
        """Return the share of the values that were guessed."""
        return multiset_hits(values, _values(attribute, truth, background)) / len(truth.rows)

    def by_stranger(j: int, truth: BatchTruth) -> float:
        """Return the share that a claim on another batch guesses."""
        values = claims[j].values
        if len(values) not in (0, len(truth.rows)):
            values = _in_proportion(values, len(truth.rows))
        return rate(values, truth)

    by_majority = [rate(majority.expand(len(truths[i].rows)), truths[i]) for i in draws]
    by_share = [rate(_in_proportion(known, len(truths[i].rows)), truths[i]) for i in draws]
    column = {} if attribute == "label" else {"column": attribute}
    return RateEvidence(
        metric="property_rate" if column else "label_rate",
        value=tuple(rate(claims[i].values, truths[i]) for i in draws),
        null=tuple(
            _mean([by_stranger(j, truths[i]) for j in _strangers(i, claims, truths, rng)])
            for i in draws
        ),
        prior=tuple(max(by_majority, by_share, key=sum)),
        n=sum(len(truths[i].rows) for i in draws),
        details=column,
    )


def _values(attribute: str, records: BatchTruth | Records, background: Background) -> Tensor:
    """Return the labels of records, or their codes of a column, `[n]`."""
    if attribute == "label":
        return records.targets
    column = column_named(background.columns, attribute)
    codes = column_codes(column, background.auxiliary.inputs)
    return coded(column, codes, records.inputs)


def lacks_null(truths: Sequence[BatchTruth]) -> bool:
    """Return whether some draw shares records with every other one."""
    rows = [set(truth.rows.tolist()) for truth in truths]
    return any(
        all(i == j or not mine.isdisjoint(other) for j, other in enumerate(rows))
        for i, mine in enumerate(rows)
        if mine
    )


def _strangers(
    i: int, claims: Sequence[object], truths: Sequence[BatchTruth], rng: torch.Generator
) -> list[int]:
    """Return the claims that can't know draw `i`: other clients' first."""
    rows, client = set(truths[i].rows.tolist()), truths[i].cluster.split("/")[2:]
    apart = [
        j
        for j in torch.randperm(len(truths), generator=rng).tolist()
        if j != i and rows.isdisjoint(truths[j].rows.tolist())
    ]
    apart.sort(key=lambda j: truths[j].cluster.split("/")[2:] == client)
    found = apart[:NULLS] or list(range(len(truths), len(claims)))
    if not found:
        raise SeepageError("no other view shares no record with this one: no null control")
    return found


def _in_proportion(targets: Tensor, size: int) -> Tensor:
    """Return `size` labels as frequent as in `targets`, rounded by the largest remainder."""
    labels, counts = targets.unique(return_counts=True)
    share = counts.double() * size / len(targets)
    whole = share.floor()
    order = (share - whole).argsort(descending=True, stable=True)
    whole[order[: size - int(whole.sum())]] += 1
    return labels.repeat_interleave(whole.long())


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
