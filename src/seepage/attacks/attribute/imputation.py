"""The guess of a column that needs no model: from a record's other columns and its label.

A classifier of the column is fitted to auxiliary records: a logistic regression, or, where
its out-of-fold log loss is lower, boosted trees. What an attack guesses no better than this
is a regularity of the population, which nobody's taking part in the job gave away (Jayaraman
& Evans 2022, "Are Attribute Inference Attacks Just Imputation?", arXiv 2209.01292).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ...core.errors import NotApplicableError
from ...core.views import AuxiliaryData, PartialRecords
from ...data.coded import coded
from ..memory import Memory, content

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from ...core.views import View

    Floats = NDArray[np.float64]

_FOLDS = 5
_MOST_FITTED = 4000
_FEW = 200
# Share of the values' frequencies in every guess, so that nothing is impossible.
_BLUR = 1e-3


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Imputation:
    """How likely each of k values is, by what is known without the model.

    Fields
    ------
    known : auxiliary records, of which none has another value than the k
    value : which value each of them has, int64 `[a]`
    of_known : of each by the others (out of fold), `[a, k]`
    of_asked : of each record asked about, `[n, k]`
    """

    known: AuxiliaryData
    value: Tensor
    of_known: Tensor
    of_asked: Tensor


def asked_records(view: View) -> PartialRecords:
    """Return the records asked about; `NotApplicableError` where the view names none."""
    asked = view.fact(PartialRecords)
    if asked is None or not len(asked.targets):
        raise NotApplicableError("the view asks for the column of no record")
    return asked


def imputed(view: View, *, with_label: bool = True) -> Imputation:
    """Return the imputation of the records that a view asks about, from its facts alone.

    At most 4,000 auxiliary records are used. Raises `NotApplicableError` where there are
    none, or all have one value.
    """
    asked, known = asked_records(view), view.fact(AuxiliaryData)
    if known is None:
        raise NotApplicableError("without auxiliary records there is no guess of a column")
    value = coded(asked.column, asked.codes, known.inputs)
    kept = torch.nonzero(value >= 0).flatten()[:_MOST_FITTED]
    known, value = AuxiliaryData(known.inputs[kept], known.targets[kept]), value[kept]
    if len(value.unique()) < 2:
        raise NotApplicableError(
            f"every auxiliary record has the same value in column {asked.column.name!r}: there "
            "is nothing to guess"
        )
    masked = known.inputs.clone()
    masked[:, asked.column.features] = 0
    classes = view.job.classes if with_label else -1
    features = _features(masked, known.targets, classes)
    k = len(asked.codes)
    key = content(("imputation", k), [features, value])
    fitted = _MEMORY.recall(key, lambda: _fit(features.numpy(), value.numpy(), k))
    guess = fitted.guess(_features(asked.inputs, asked.targets, classes).numpy())
    return Imputation(
        known=known, value=value, of_known=fitted.of_known, of_asked=torch.from_numpy(guess)
    )


def _features(inputs: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Return the other columns, and the label: one-hot of `classes`, its value (0), or not (-1)."""
    if classes < 0:
        return inputs.double()
    if not classes:
        return torch.cat([inputs, targets[:, None]], 1).double()
    return torch.cat([inputs, torch.nn.functional.one_hot(targets, classes)], 1).double()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Fitted:
    guess: Callable[[Floats], Floats]
    of_known: Tensor


def _fit(features: Floats, value: NDArray[np.int64], k: int) -> _Fitted:
    """Fit the better of the two kinds of classifier."""
    makers: list[Callable[[], Any]] = [
        lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    ]
    if len(value) >= _FEW:
        makers.append(
            lambda: HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=15, random_state=0)
        )
    folds = min(_FOLDS, len(value))
    best: tuple[float, Floats, Callable[[], Any]] | None = None
    for maker in makers:
        found = np.zeros((len(value), k))
        for train, test in KFold(folds, shuffle=True, random_state=0).split(features):
            found[test] = _guesser(maker, features[train], value[train], k)(features[test])
        cost = float(-np.log(found[np.arange(len(value)), value]).mean())
        if best is None or cost < best[0]:
            best = cost, found, maker
    assert best is not None
    _, of_known, maker = best
    return _Fitted(guess=_guesser(maker, features, value, k), of_known=torch.from_numpy(of_known))


def _guesser(
    maker: Callable[[], Any], features: Floats, value: NDArray[np.int64], k: int
) -> Callable[[Floats], Floats]:
    """Return a function from features `[m, f]` to probabilities `[m, k]`, all above 0."""
    frequency = (np.bincount(value, minlength=k) + 1) / (len(value) + k)
    present = np.unique(value)
    model = maker() if len(present) > 1 else None
    if model is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, value)

    def guess(asked: Floats) -> Floats:
        """Return what the fitted model says, and a little of the values' frequencies."""
        found = np.tile(frequency, (len(asked), 1))
        if model is not None:
            found *= _BLUR
            found[:, present] += (1 - _BLUR) * model.predict_proba(asked)
        return found

    return guess


_MEMORY: Memory[_Fitted] = Memory(lambda fitted: [fitted.of_known], most_bytes=2**26)
