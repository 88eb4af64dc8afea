"""What a table's columns were before they became the features that a model trains on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import DataError, NotApplicableError
from .names import nearest


@dataclass(frozen=True, kw_only=True, slots=True)
class TableColumn:
    """One column of a table and the features that it became.

    Fields
    ------
    name : as the table calls it
    first, width : its features are `first` to `first + width - 1`
    categories : the value behind each one-hot feature, in order; empty for a number
    sensitive : whether people may mind its being known (sex, race, marital status)

    A number is its scaled value, followed, where `width` is 2, by 1 for records in which
    it was missing.
    """

    name: str
    first: int
    width: int
    categories: tuple[str, ...] = ()
    sensitive: bool = False

    def __post_init__(self) -> None:
        """Refuse a column whose features do not fit its kind."""
        fits = self.width == len(self.categories) if self.categories else self.width in (1, 2)
        if self.first < 0 or not fits:
            raise DataError(
                f"column {self.name!r}: {self.width} features from {self.first} do not fit "
                f"{len(self.categories)} categories"
            )

    @property
    def features(self) -> slice:
        """Return the places of its features in a record."""
        return slice(self.first, self.first + self.width)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return a name for each of its features.

        >>> TableColumn(name="sex", first=3, width=2, categories=("f", "m")).feature_names
        ('sex=f', 'sex=m')
        """
        if self.categories:
            return tuple(f"{self.name}={value}" for value in self.categories)
        return (self.name, f"{self.name}=(missing)")[: self.width]


def column_named(columns: Sequence[TableColumn], name: str) -> TableColumn:
    """Return the column called `name`; else raise `DataError` with the nearest one."""
    for column in columns:
        if column.name == name:
            return column
    raise DataError(f"no column is called {name!r}{nearest(name, [c.name for c in columns])}")


def column_asked(columns: Sequence[TableColumn], name: str) -> TableColumn:
    """Return the column called `name`; for "" the first sensitive one of categories.

    Raises `DataError` where no column is called so, and `NotApplicableError` where the
    records are no table, or none of its columns is known to be sensitive.
    """
    if not columns:
        raise NotApplicableError("the records are no table: they have no columns to guess")
    if name:
        return column_named(columns, name)
    for column in columns:
        if column.sensitive and column.categories:
            return column
    raise NotApplicableError(
        "no column of categories is known to be sensitive: name one by the attack's setting "
        f"`column` (there are {', '.join(c.name for c in columns)})"
    )
