"""Which label each record has, and how many copies of it stand behind its column.

The model says what a record x with label y puts into the layer: d(x, y) = dL/dz. Its column
of D is that times its weight in the mean, so the label is the y whose d(x, y) is parallel to
the column, and the ratio g counts copies: 1/b for one record of b, 2/b for two of the same
image (two labels y and y': d(x, y) + d(x, y')). Without the batch size, or after clipping,
the smallest ratio is taken for one record's.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import torch

from ...layers import label_gradients, layer_runs
from ..observed import observed_records

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, UpdateView
    from .first_layer import FirstLayer

_MOST_CLASSES = 200
_MOST_PAIRED = 32
_PARALLEL = 1e-3
_WHOLE, _COPIES = 0.02, 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """The labels `[k]` of all records, copies included, and which input `[k]` each is of.

    `known` says whether the counts are certain: else each input stands for one record.
    `merged` says whether an input stands for several records of one label. They may be
    copies, or their mean: records that differ less than rounding shows, or where no neuron
    looks. Copies with two labels are copies: their columns differ.
    """

    labels: Tensor | None
    source: Tensor
    known: bool
    merged: bool = False


def tally(
    view: UpdateView | AggregateView, layer: FirstLayer, inputs: Tensor, columns: Tensor
) -> Tally:
    """Return the labels and copies of `inputs` `[r, *shape]` with columns D `[m, r]`."""
    single = torch.arange(len(inputs))
    if not 2 <= view.job.classes <= _MOST_CLASSES:
        return Tally(None, single, False)
    slopes = _slopes(view, layer, inputs)
    if slopes.shape[1] != view.job.classes:
        return Tally(None, single, False)
    labels: list[tuple[int, ...]] = []
    ratios: list[float] = []
    parallel = True
    for i in range(len(inputs)):
        chosen, ratio, misfit = _best(slopes[i], columns[:, i])
        labels.append(chosen)
        ratios.append(ratio)
        parallel = parallel and misfit < _PARALLEL
    counts = _counts(torch.tensor(ratios, dtype=torch.float64), labels, observed_records(view))
    if not parallel or counts is None:
        return Tally(torch.tensor([chosen[0] for chosen in labels]), single, False)
    listed = [
        (label, i)
        for i, chosen in enumerate(labels)
        for label in chosen
        for _ in range(int(counts[i]))
    ]
    return Tally(
        labels=torch.tensor([label for label, _ in listed]),
        source=torch.tensor([i for _, i in listed]),
        known=True,
        merged=int(counts.max()) > 1,
    )


def _slopes(view: UpdateView | AggregateView, layer: FirstLayer, inputs: Tensor) -> Tensor:
    """Return d(x, y) in float64 for each input and label, `[r, classes, m]`."""
    runs, outputs = layer_runs(layer.model, inputs)
    classes = view.job.classes if outputs.shape[1:] == (view.job.classes,) else 0
    return label_gradients(runs[0], outputs, view.loss, classes).transpose(0, 1)


def _best(slopes: Tensor, column: Tensor) -> tuple[tuple[int, ...], float, float]:
    """Return the label or two labels whose slopes `[classes, m]` are most parallel to `column`.

    With them the ratio to the column, and the share of the column left over.
    """
    found: tuple[tuple[int, ...], float, float] = ((0,), 0.0, 1.0)
    most = 2 if len(slopes) <= _MOST_PAIRED else 1
    for size in range(1, most + 1):
        sets = list(combinations(range(len(slopes)), size))
        sums = torch.stack([slopes[list(chosen)].sum(dim=0) for chosen in sets])
        ratio = (sums @ column) / sums.square().sum(dim=1).clamp_min(1e-300)
        left = (column - ratio[:, None] * sums).norm(dim=1) / column.norm().clamp_min(1e-300)
        left = torch.where(ratio > 0, left, 1.0)
        best = int(left.argmin())
        if float(left[best]) < 0.5 * found[2]:
            found = (sets[best], float(ratio[best]), float(left[best]))
        if found[2] < _PARALLEL:
            break
    return found


def _counts(ratios: Tensor, labels: list[tuple[int, ...]], records: int) -> Tensor | None:
    """Return how many times each set of labels counts, or None where that is not whole."""
    units = [float(ratios.min())]
    if records:
        units.insert(0, 1 / records)
    for unit in units:
        if not unit > 0:
            continue
        counts = (ratios / unit).round()
        copies = counts * torch.tensor([len(chosen) for chosen in labels])
        # Copies are the same image: records that are only alike leave a ratio that is not whole.
        allowed = torch.where(copies > 1, _COPIES, _WHOLE)
        whole = bool(((ratios / unit - counts).abs() <= allowed * counts).all())
        if whole and bool((counts >= 1).all()) and (not records or copies.sum() <= records):
            return counts.to(torch.int64)
    return None
