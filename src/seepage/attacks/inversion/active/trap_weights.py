"""Sets the first fully connected layer so that most neurons fire for few records.

Half of a neuron's weights, at random places, are negative, the others are s times as large as
they are and positive (s < 1), so that <w, x> > 0 only where the bright pixels of x happen to
lie on positive weights: a neuron that one record of the batch alone fires has d [x, 1] as its
gradient, and x is exact (Boenisch et al. 2021, "When the Curious Abandon Honesty", arXiv
2112.02918). s is tuned on records like the victims', so that a neuron fires for one in a batch.
Here a record that is proved is subtracted from the other neurons, as the model itself gives its
gradient there, which leaves further records alone.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.attack import ServerMove
from ....core.claims import Reconstruction
from ....core.errors import UsageError
from ....core.views import BatchSize
from ..exact.agreement import agreeing_rows
from ..observed import observed_gradient, observed_records
from .gradient_rows import added_noise, in_range
from .measurements import reference_records
from .own_gradient import OwnGradient
from .passage import Passage, open_passage, passage

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ....core.views import AggregateView, ServerKnowledge, UpdateView

_USUAL_BATCH = 32
_HALVINGS = 30
_FLOAT32 = 6e-8
_HEARD = 6.0
_DEAF = 0.05
_OWN_ROUNDING = 1e-5
_COPY = 1e-3
_CLEAR = 2e-3


@dataclass(frozen=True, kw_only=True, slots=True)
class TrapWeights:
    """Traps single records in the neurons of the first fully connected layer.

    Fields
    ------
    scaling : s, the size of positive weights by that of negative ones, in [0, 1); 0: tuned
        so that a neuron fires for one record of all that add to the update
    subtract : whether proved records are subtracted to lay bare others; false: as in the paper
    """

    scaling: float = 0.0
    subtract: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.scaling < 1:
            raise UsageError(f"trap-weights: scaling is {self.scaling}; use 0 (tuned) to below 1")

    def act(self, knowledge: ServerKnowledge, rng: torch.Generator) -> ServerMove:
        """Send all clients of the cohort the model with trap weights.

        Convolutions in front are made to pass the record on. Raises `NotApplicableError`
        where they can't (`open_passage`), or no fully connected layer with ReLU follows.
        """
        model = deepcopy(knowledge.model)
        open_passage(model, knowledge.job)
        way = passage(model, knowledge.job)
        layer = way.linear(model)
        low = (knowledge.job.value_range or (0.0, 1.0))[0]
        references = reference_records(knowledge, rng).flatten(1) - low
        size = knowledge.fact(BatchSize)
        batch = (size.value if size else _USUAL_BATCH) * len(knowledge.cohort)
        weight = _traps(layer, references, 1 / batch, self.scaling, rng)
        with torch.no_grad():
            layer.weight.zero_()
            layer.weight[:, way.positions] = weight
            layer.bias.copy_(-(low + way.offset) * weight.sum(1))
        return ServerMove(models=dict.fromkeys(knowledge.cohort, model))

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:  # noqa: ARG002
        """Return the records that neurons show, those that the update proves first.

        Raises `NotApplicableError` where records do not reach a fully connected layer.
        """
        way = passage(view.model, view.job)
        matrix = way.joined(observed_gradient(view))
        trapped = _Trapped(view, way, matrix)
        while trapped.spring() and self.subtract:
            pass
        return trapped.reconstruction()


def _traps(
    layer: nn.Linear, references: Tensor, rate: float, scaling: float, rng: torch.Generator
) -> Tensor:
    """Return rows `[k, n]` of which `rate` fire for a reference `[s, n]`, values from 0 up."""
    count, features = len(layer.weight), references.shape[1]
    size = torch.randn(count, features, generator=rng).abs()
    order = torch.rand(count, features, generator=rng).argsort(1)
    positive = order < features // 2
    size = size * float(layer.weight.detach().std())
    up, down = references @ (size * positive).T, references @ (size * ~positive).T
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS if not scaling else 0):
        middle = (low + high) / 2
        fires = float((middle * up > down).double().mean())
        low, high = (middle, high) if fires < rate else (low, middle)
    return size * torch.where(positive, scaling or high, -1.0)


class _Trapped:
    """What is left of the gradient, and the records that were found."""

    def __init__(self, view: UpdateView | AggregateView, way: Passage, matrix: Tensor) -> None:
        self.view, self.way, self.rest, self.all = view, way, matrix.clone(), matrix
        self.records = observed_records(view)
        self.own = OwnGradient.of(view, way.layer)
        self.weight = way.weight(view.model)
        rounded = self.weight.square().mean(1).sqrt() / (view.job.lr * view.job.local_steps)
        self.noise = _FLOAT32 * (rounded + matrix.square().mean(1).sqrt())
        self.noise = self.noise + added_noise(view, matrix)
        self.rows = matrix[:0]
        self.blur = self.noise[:0]
        self.labels = torch.empty(0, dtype=torch.int64)
        self.alone = -1

    def spring(self) -> bool:
        """Take the records that neurons show now; False where none of them can be subtracted."""
        here = self._heard().nonzero()[:, 0]
        rows, noise = self.rest[here], self.noise[here]
        fits = in_range(rows, noise, self.view.job.value_range) & self._possible(rows)
        here, rows, noise = here[fits], rows[fits], noise[fits]
        labels = self.own.labels_of(self.way.records(rows), rows[:, -1], noise, here)
        clearest = (noise / rows.norm(dim=1)).argsort()
        order = clearest[labels[clearest] >= 0]
        proved = order[self._new(rows[order], noise[order])]
        self._add(rows[proved], noise[proved], labels[proved])
        if self.alone < 0:
            # Where the model can judge, agreement adds nothing but two records of one class
            # whose gradients are parallel.
            blind = not self.own.records or len(self.view.defenses) > 0
            agreed = self._agreed() if blind else self.rows[:0]
            self._add(
                agreed, self.noise.median().expand(len(agreed)), torch.full((len(agreed),), -1)
            )
            self.alone = len(self.rows)
        return self._subtract(rows[proved], labels[proved])

    def _heard(self) -> Tensor:
        return self.rest.square().mean(1).sqrt() > _HEARD * self.noise

    def _possible(self, rows: Tensor) -> Tensor:
        """Return which rows c [x, 1] `[m, n + 1]` fire no neuron that heard nothing, `[m]`.

        A share may be silent: of a neuron that hears a record the gradient may be 0.
        """
        fires = rows / rows[:, -1:] @ self.weight.T > 0
        deaf = (fires & ~self._heard()).sum(1)
        return deaf <= _DEAF * fires.sum(1)

    def _agreed(self) -> Tensor:
        """Return rows that two neurons or more agree on, and that are not known yet."""
        rows, _ = agreeing_rows(self.all, float(self.noise.median()))
        fits = in_range(rows, torch.zeros(len(rows)), self.view.job.value_range)
        rows = rows[fits]
        rows = rows[self._possible(rows)]
        return rows[self._new(rows, self.noise.median().expand(len(rows)))]

    def _new(self, rows: Tensor, noise: Tensor) -> Tensor:
        """Return indices of rows that are no copy of an earlier one, up to `noise` `[m]`."""
        both = torch.cat([self.rows, rows])
        blur = torch.cat([self.blur, noise]) * both.shape[1] ** 0.5 / both.norm(dim=1)
        unit = torch.nn.functional.normalize(both, dim=1)
        gap = (2 - 2 * (unit @ unit.T).abs()).clamp_min(0).sqrt()
        same = gap < _COPY + _HEARD * (blur[:, None] + blur)
        return (~same.tril(-1).any(1))[len(self.rows) :].nonzero()[:, 0]

    def _add(self, rows: Tensor, noise: Tensor, labels: Tensor) -> None:
        room = max(self.records - len(self.rows), 0) if self.records else len(rows)
        self.rows = torch.cat([self.rows, rows[:room]])
        self.blur = torch.cat([self.blur, noise[:room]])
        self.labels = torch.cat([self.labels, labels[:room]])

    def _subtract(self, rows: Tensor, labels: Tensor) -> bool:
        """Subtract what proved records add to all neurons; False where there are none."""
        if not len(rows):
            return False
        inputs = self.way.records(rows)
        columns = self.own.neurons(inputs)[labels, torch.arange(len(rows))]
        exact = torch.cat([inputs.flatten(1).double(), torch.ones(len(rows), 1).double()], dim=1)
        self.rest -= columns.T @ exact
        self.noise = self.noise + _OWN_ROUNDING * columns.abs().amax(0)
        return True

    def _clear(self) -> bool:
        low, high = self.view.job.value_range or (0.0, 1.0)
        return bool((self.blur / self.rows[:, -1].abs() < _CLEAR * (high - low)).all())

    def reconstruction(self) -> Reconstruction:
        """Return the records with what is said of them."""
        inputs = self.way.records(self.rows)
        if self.view.job.value_range is not None:
            inputs = inputs.clamp(*self.view.job.value_range)
        left = float(self.rest.norm() / self.all.norm().clamp_min(1e-300))
        found, more = len(self.rows), len(self.rows) - self.alone
        known = f" of {self.records}" if self.records else ""
        text = (
            f"{found}{known} records: {self.alone} alone in a neuron, {more} after these "
            f"were subtracted; {len(self.all)} neurons"
        )
        if not found:
            text = "no neuron was fired by one record alone: too few neurons for the batch"
        return Reconstruction(
            inputs=inputs,
            labels=self.labels if found and bool((self.labels >= 0).all()) else None,
            objective=left,
            solved=found > 0 and found == self.records and self._clear(),
            explanation=text,
        )
