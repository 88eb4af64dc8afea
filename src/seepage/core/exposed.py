"""What a membership attack told of whom: rates, single records and groups of people.

No value of a record stands here: records are named by their row, groups by their column's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Limits = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundAt:
    """The share of members found at a false-positive rate, with 95 % limits.

    `null` is the same without the right view. Where there are too few non-members, `withheld`
    says so, and there is no figure.
    """

    fpr: float
    value: float | None = None
    ci: Limits | None = None
    null: float | None = None
    withheld: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExposedRecord:
    """A member, and how surely it is told.

    Fields
    ------
    row : its place among the records as the job loaded them, from 0
    client : who trains on it
    fpr : share of non-members that score at least as high: the least false-positive rate at
        which it is found, with 95 % limits `ci`
    null_fpr : the same without the right view
    farther_than : share of the members that lie nearer to their nearest auxiliary record; None
        where there is no auxiliary record
    """

    row: int
    client: str
    fpr: float
    ci: Limits
    null_fpr: float
    farther_than: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outliers:
    """Whether outliers gain exposure: members far from their nearest auxiliary record.

    Spearman's rank correlation, over `n` members with 95 % limits, between that distance and how
    much more surely a member is told than without the right view (`null_fpr` - `fpr`), so that
    records which are merely hard or easy do not count. `beyond_chance` is corrected for all tests
    of the audit's memberships.
    """

    correlation: float
    ci: Limits
    n: int
    p_value: float
    beyond_chance: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """One group of a column: its members and non-members, and how well they are told apart.

    `tpr_at_1pct_fpr` has a threshold of the group's own; None where `withheld` says why.
    """

    name: str
    members: int
    others: int
    auc: float
    auc_ci: Limits
    tpr_at_1pct_fpr: float | None = None
    tpr_at_1pct_fpr_ci: Limits | None = None
    withheld: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """The groups by a column (or by `label` or `client`), and whether they differ.

    `p_values` are of one and the same figure behind all groups, by metric; `differ` names the
    metrics in which they differ beyond chance, corrected for all tests of the audit's
    memberships. `left_out` says which groups are too small to be shown.
    """

    by: str
    groups: tuple[Group, ...]
    p_values: Mapping[str, float] = field(default_factory=dict[str, float])
    differ: tuple[str, ...] = ()
    left_out: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Membership:
    """What scores of `members` and `others` tell of the members, one by one and by groups.

    Fields
    ------
    found : at false-positive rates of 0.1, 1 and 10 %
    balanced_accuracy, balanced_accuracy_ci : of a threshold chosen on other records; it hides who
        is told surely, so it comes last
    most_exposed : the highest scores first
    tests : how many tests of outliers and groups the audit corrects for
    """

    members: int
    others: int
    found: tuple[FoundAt, ...]
    balanced_accuracy: float
    balanced_accuracy_ci: Limits
    most_exposed: tuple[ExposedRecord, ...] = ()
    outliers: Outliers | None = None
    slices: tuple[Slice, ...] = ()
    tests: int = 0

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Membership:
        """Restore what a result's JSON holds."""
        values = _with_limits(data)
        values["found"] = tuple(FoundAt(**_with_limits(f)) for f in data["found"])
        values["most_exposed"] = tuple(
            ExposedRecord(**_with_limits(r)) for r in data["most_exposed"]
        )
        if data["outliers"] is not None:
            values["outliers"] = Outliers(**_with_limits(data["outliers"]))
        values["slices"] = tuple(_slice(s) for s in data["slices"])
        return cls(**values)


def _slice(data: Mapping[str, Any]) -> Slice:
    values: dict[str, Any] = dict(data)
    values["groups"] = tuple(Group(**_with_limits(g)) for g in data["groups"])
    values["differ"] = tuple(data["differ"])
    return Slice(**values)


def _with_limits(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy whose confidence limits are tuples."""
    return {k: tuple(v) if k.endswith("ci") and v is not None else v for k, v in data.items()}
