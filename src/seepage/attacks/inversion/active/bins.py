"""Reads the bins of an imprint off a gradient, and says where a record falls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ....core.errors import NotApplicableError
from ...layers import layer_runs
from .imprint_gain import ImprintLayers
from .imprint_module import ImprintModule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ....core.views import AggregateView, ServerKnowledge, UpdateView
    from ..exact.first_layer import FirstLayer

_PARALLEL = 1 - 1e-6
_FLOAT32 = 6e-8
_SURE = 6.0


def imprint_layers(
    view: UpdateView | AggregateView | ServerKnowledge, model: nn.Module
) -> ImprintLayers:
    """Return the layers of `model` that make, or could make, an imprint.

    Either an inserted module, or a first Linear, ReLU and Linear of the job's own. Raises
    `NotApplicableError` where the model starts otherwise.
    """
    inner = next((m for m in model.modules() if isinstance(m, ImprintModule)), None)
    if inner is not None:
        return ImprintLayers(model, inner.measure, inner.back, inner)
    width = torch.Size(view.job.input_shape).numel()
    runs, _ = layer_runs(model, torch.linspace(0, 1, 2 * width).view(2, *view.job.input_shape))
    chained = (
        len(runs) > 1
        and all(isinstance(run.module, torch.nn.Linear) for run in runs[:2])
        and torch.equal(runs[1].input, runs[0].output.clamp_min(0))
    )
    if not chained:
        raise NotApplicableError(
            "the model does not start with Linear, ReLU, Linear: an imprint must be inserted"
        )
    found = dict(model.named_modules())
    measure, back = found[runs[0].name], found[runs[1].name]
    assert isinstance(measure, torch.nn.Linear)
    assert isinstance(back, torch.nn.Linear)
    return ImprintLayers(model, measure, back, None)


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """What fell into each bin.

    Fields
    ------
    rows : sum of c_i [x_i, 1] over the records in the bin, float64 `[k, n + 1]`
    noise : standard deviation of a row's entries, as float32 rounds them, `[k]`
    weight : the neurons' rows [w_j, b_j], `[k, n + 1]`
    table : the measurement of each bin, `[k]`
    height : where neurons saturate; None: they are ReLU
    """

    rows: Tensor
    noise: Tensor
    weight: Tensor
    table: Tensor
    height: float | None

    def falls_into(self, rows: Tensor) -> Tensor:
        """Return the bins of records given as rows c [x, 1] `[m, n + 1]`, bool `[m, k]`."""
        heights = self._heights(rows)
        on = heights > 0
        if self.height is not None:
            return on & (heights < self.height)
        following = torch.cat([on[:, 1:], torch.zeros_like(on[:, :1])], dim=1)
        return on & (~following | self._last())

    def hold(self, rows: Tensor, noise: Tensor, here: Tensor) -> Tensor:
        """Return whether each row, known up to `noise` `[m]`, may lie in bin `here` `[m]`."""
        heights, each = self._heights(rows), torch.arange(len(rows))
        margin = _SURE * noise / rows[:, -1].abs().clamp_min(1e-300)
        slack = margin * self.weight[here].norm(dim=1)
        own = heights[each, here]
        if self.height is not None:
            return (own > -slack) & (own < self.height + slack)
        following = (here + 1).clamp_max(len(self.weight) - 1)
        above = heights[each, following] - margin * self.weight[following].norm(dim=1)
        return (own > -slack) & ((above < 0) | self._last()[here])

    def _heights(self, rows: Tensor) -> Tensor:
        scale = torch.where(rows[:, -1:] == 0, torch.inf, rows[:, -1:])
        return rows / scale @ self.weight.T

    def _last(self) -> Tensor:
        """Return which bins are the last of their measurement, `[k]` bool."""
        return torch.cat([self.table.diff() != 0, self.table.new_ones(1).bool()])


def read_bins(
    layer: FirstLayer, layers: ImprintLayers, matrix: Tensor, step: float, added: float
) -> Bins:
    """Return the bins behind the joined gradient `matrix` `[k, n + 1]` of the measuring layer.

    `step` is lr times local steps, `added` the standard deviation of noise that defenses
    add to each entry. Raises `NotApplicableError` where the layer holds no
    measurement with several edges.
    """
    if not layer.has_bias:
        raise NotApplicableError("the first layer has no bias: an imprint needs one")
    bias = layers.measure.bias[:, None]
    weight = torch.cat([layers.measure.weight, bias], dim=1).detach().double()
    unit = torch.nn.functional.normalize(weight[:, :-1], dim=1)
    new = (unit[1:] * unit[:-1]).sum(1) < _PARALLEL
    if int((~new).sum()) < len(new) // 2:
        raise NotApplicableError("the model that was sent holds no imprint in its first layer")
    table = torch.cat([new.new_zeros(1), new]).cumsum(0)
    noise = _FLOAT32 * (weight.square().mean(1).sqrt() / step + matrix.square().mean(1).sqrt())
    noise = noise + added
    if layers.sparse:
        assert layers.module is not None
        height = float(layers.module.window.max_val)  # pyright: ignore[reportArgumentType]
        return Bins(matrix, noise, weight, table, height)
    inside = torch.cat([~new, new.new_zeros(1)]).double()
    rows = matrix - inside[:, None] * matrix.roll(-1, 0)
    noise = (noise.square() + inside * noise.roll(-1).square()).sqrt()
    return Bins(rows, noise, weight, table, None)
