"""Randomized response on categorical inputs and labels, once, before a client trains.

Each categorical value of k kinds is kept with probability e^eps / (e^eps + k - 1), else replaced
by one of the others at random (Warner 1965; Kairouz, Bonawitz & Ramage 2016, arXiv 1602.07387).
All rounds train on the same randomized records, so rounds cost nothing more. A record's columns
are correlated, so its epsilon is that of all its columns composed, never that of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, nextafter
from typing import TYPE_CHECKING

import torch

from ...accounting.composed import compose
from ...accounting.randomized_response import RandomizedResponse as Response
from ...accounting.record import mechanism_record, profile_of
from ...core.defense import Defense
from ...core.errors import RefusedError, UsageError
from ...core.threat import Observer
from ..cards import card_in_force
from .bounding import require_number
from .discrete_noise import uniform_below

if TYPE_CHECKING:
    from torch import Tensor

    from ...accounting.bounds import Profile
    from ...accounting.mechanism import Mechanism
    from ...core.cards import DefenseCard
    from ...core.privacy import EpsilonRecord, Exposure
    from ...core.task import Records

_WORD = 2**62


@dataclass(frozen=True, kw_only=True)
class RandomizedResponse(Defense):
    """Randomizes the labels, and the categorical columns of the inputs, of every record.

    It hides each record's randomized values from everybody behind the client, whatever the
    server does. It hides nothing of columns that it is not told of, nor how many records a
    client has; and values that the population's correlations give away stay given away.

    Fields
    ------
    epsilon : of each column: log of the odds of the truth against one given lie, >= 0
    classes : kinds of label, >= 2; 0 leaves labels as they are, and unprotected
    categories : kinds of each input column, >= 2, in order; empty leaves inputs as they are.
        Inputs hold a code 0 .. k-1 a column, or k values one-hot
    """

    epsilon: float = 1.0
    classes: int = 2
    categories: Sequence[int] = ()

    def __post_init__(self) -> None:
        require_number("randomized-response: epsilon", self.epsilon, positive=False)
        object.__setattr__(self, "categories", tuple(self.categories))
        kinds = (*self.categories, *([self.classes] if self.classes else []))
        if not kinds:
            raise UsageError("randomized-response: it has no column; set classes or categories")
        if any(isinstance(k, bool) or not isinstance(k, int) or k < 2 for k in kinds):
            raise UsageError(
                f"randomized-response: classes {self.classes} and categories "
                f"{list(self.categories)} must be whole numbers of 2 or more"
            )

    @property
    def card(self) -> DefenseCard:
        """The public card with this instance's settings."""
        return card_in_force("randomized-response", self)

    def protect_records(self, records: Records, rng: torch.Generator) -> Records:
        """Return the records with their categories randomized.

        `RefusedError` for values that are no categories, such as continuous ones.
        """
        targets, inputs = records.targets, records.inputs
        if self.classes:
            codes = _codes(targets, self.classes, "the labels")
            targets = self.respond(codes, self.classes, rng).to(targets.dtype)
        if self.categories:
            flat = self._inputs(inputs.flatten(1), rng)
            inputs = flat.view(inputs.shape).to(inputs.dtype)
        return replace(records, inputs=inputs, targets=targets)

    def respond(self, codes: Tensor, categories: int, rng: torch.Generator) -> Tensor:
        """Return an answer for each of `codes` (int64 in 0 .. categories-1), of its shape.

        Drawn from whole numbers; the chance of a lie is rounded up, to 2^-62.
        """
        kinds = torch.full_like(codes, categories)
        if self.epsilon == 0:
            return uniform_below(kinds, rng)
        lie = (categories - 1) * exp(-self.epsilon)
        chance = lie / (1 + lie)
        # A relative error of a few roundings, in the direction that lies more.
        lies_below = min(_WORD, ceil(nextafter(chance * (1 + 1e-15), 1.0) * _WORD))
        lies = uniform_below(torch.full_like(codes, _WORD), rng) < lies_below
        away = 1 + uniform_below(kinds - 1, rng)
        return torch.where(lies, (codes + away) % categories, codes)

    def privacy(self, exposure: Exposure) -> tuple[EpsilonRecord, ...]:
        """Return the record of one record's randomized values, all columns composed."""
        columns = len(self.categories)
        what = [f"{columns} input column{'s' * (columns > 1)}"] if columns else []
        what += ["the label"] if self.classes else []
        total = self.epsilon * self._columns
        record = mechanism_record(
            self._released(),
            mechanism=f"randomized response (exact integers) on {' and '.join(what)}, epsilon "
            f"{self.epsilon:g} a column, {total:g} of pure epsilon together",
            delta=exposure.delta,
            unit="record",
            adjacency="replace",
            observer=Observer.MALICIOUS_SERVER,
            trust="nobody is trusted: a client trains on randomized records alone" + self._open(),
        )
        return (record,)

    def profile(self, exposure: Exposure) -> Profile | None:
        """Return what the guarantee allows, or None where part of a record is in the clear."""
        if not (self.classes and self.categories):
            return None
        return profile_of(self._released(), exposure.delta)

    def _released(self) -> Mechanism:
        kinds = (*self.categories, *([self.classes] if self.classes else []))
        return compose(Response(epsilon=self.epsilon, categories=k) for k in kinds)

    @property
    def _columns(self) -> int:
        return len(self.categories) + bool(self.classes)

    def _open(self) -> str:
        """Return what the statement does not cover."""
        if not self.categories:
            return "; it holds for the label alone, and nothing holds for the inputs"
        if not self.classes:
            return "; it holds for the inputs alone, and nothing holds for the label"
        return ""

    def _inputs(self, flat: Tensor, rng: torch.Generator) -> Tensor:
        """Return inputs `[n, width]` randomized column by column, as codes or one-hot."""
        width, kinds = flat.shape[1], self.categories
        if width == len(kinds):
            answers = [
                self.respond(_codes(flat[:, i], k, f"input column {i}"), k, rng)
                for i, k in enumerate(kinds)
            ]
            return torch.stack(answers, 1)
        if width != sum(kinds):
            raise RefusedError(
                f"randomized-response: inputs have {width} values, but {len(kinds)} columns of "
                f"{sum(kinds)} categories make {len(kinds)} codes or {sum(kinds)} one-hot values; "
                "every input must be in a categorical column"
            )
        groups = flat.split(list(kinds), 1)
        return torch.cat([self._one_hot(i, group, rng) for i, group in enumerate(groups)], 1)

    def _one_hot(self, column: int, group: Tensor, rng: torch.Generator) -> Tensor:
        is_bit = bool(((group == 0) | (group == 1)).all())
        if not is_bit or bool((group.sum(1) != 1).any()):
            raise RefusedError(
                f"randomized-response: input column {column} is not one-hot over "
                f"{group.shape[1]} categories; continuous or scaled values can't be protected"
            )
        answers = self.respond(group.argmax(1), group.shape[1], rng)
        return torch.nn.functional.one_hot(answers, group.shape[1])


def _codes(values: Tensor, categories: int, where: str) -> Tensor:
    """Return `values` as int64 codes; `RefusedError` where they are none."""
    inside = (values >= 0) & (values < categories) & (values == values.floor())
    if values.ndim != 1 or not bool(inside.all()):
        raise RefusedError(
            f"randomized-response: {where} must be whole numbers from 0 to {categories - 1}, one a "
            "record; continuous values can't be protected"
        )
    return values.to(torch.int64)
