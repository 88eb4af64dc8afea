"""Chooses the layer behind the measuring neurons, and the scale of both.

The server chooses v, the column that all neurons share, within the span of gradients that its
model gives on records like the victims', so that c_i = <v, g_i> is large for every record. The
scale of the neurons is free as well (it cancels in the output): small weights are rounded little
against the update of a client. One local step then moves the neurons of a filled bin far beyond
all records, so that later batches can't mix with what lies there.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from ....core.views import AuxiliaryData, BatchSize
from .imprint_module import ImprintModule

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import ServerKnowledge

_PROBES = 64
_CANDIDATES = 64
_LABELS = 3
_ALIVE = 0.3
_DRIFT = 1e4


@dataclass(frozen=True, slots=True, eq=False)
class ImprintLayers:
    """The measuring layer and the one behind it, modules of `model`; `module` where inserted."""

    model: nn.Module
    measure: nn.Linear
    back: nn.Linear
    module: ImprintModule | None

    @property
    def sparse(self) -> bool:
        """Whether each neuron is sensitive to one bin alone."""
        return self.module is not None and isinstance(self.module.window, nn.Hardtanh)


def tune(
    layers: ImprintLayers,
    weight: Tensor,
    bias: Tensor,
    center: Tensor,
    spread: float,
    references: Tensor,
    knowledge: ServerKnowledge,
    rng: torch.Generator,
) -> None:
    """Write measuring rows `weight` `[k, n]`, `bias` `[k]`, and the layer behind, in place.

    The outputs of the layer behind have the mean `center` `[d]` and the standard deviation
    `spread` on the references `[s, *shape]`.
    """
    flat = references.flatten(1).double()
    signal = (flat @ weight.T + bias).clamp_min(0)
    signal = (signal.clamp_max(1) if layers.sparse else signal).sum(1)
    gain = spread / float(signal.std().clamp_min(1e-12))

    def write(column: Tensor, height: float) -> None:
        """Set both layers, bins being `height` high."""
        layers.measure.weight.copy_(weight * height)
        layers.measure.bias.copy_(bias * height)
        layers.back.weight.copy_((column * (gain / height))[:, None].expand_as(layers.back.weight))
        layers.back.bias.copy_(center - column * gain * signal.mean())
        if layers.module is not None and isinstance(layers.module.window, nn.Hardtanh):
            layers.module.window.max_val = height

    probes = references[torch.randperm(len(references), generator=rng)[:_PROBES]]
    with torch.no_grad():
        column = torch.randn(len(center), generator=rng, dtype=torch.float64)
        write(column, 1.0)
        gradients = _gradients(layers, knowledge, probes, rng)
        column = _telling_column(gradients, rng)
        write(column, 1.0)
        reaction = float((_gradients(layers, knowledge, probes, rng) @ column).abs().median())
        write(column, _height(reaction * gain, probes, knowledge))


def _height(reaction: float, probes: Tensor, knowledge: ServerKnowledge) -> float:
    """Return the scale at which a record moves the neurons of its bin by `_DRIFT` bins."""
    job, size = knowledge.job, knowledge.fact(BatchSize)
    square = float(probes.flatten(1).square().sum(1).mean()) + 1
    step = job.lr * reaction * square / (size.value if size else 1)
    return max((step / _DRIFT) ** 0.5, 1e-12)


def _telling_column(gradients: Tensor, rng: torch.Generator) -> Tensor:
    """Return v `[d]` with mean square 1 that no row of `gradients` `[s, d]` is nearly normal to."""
    mixing = torch.randn(_CANDIDATES, len(gradients), generator=rng, dtype=torch.float64)
    unit = gradients / gradients.norm(dim=1, keepdim=True).clamp_min(1e-30)
    columns = torch.nn.functional.normalize(mixing @ unit, dim=1)
    least = (columns @ unit.T).abs().quantile(0.05, dim=1)
    return columns[least.argmax()] * columns.shape[1] ** 0.5


def _gradients(
    layers: ImprintLayers, knowledge: ServerKnowledge, probes: Tensor, rng: torch.Generator
) -> Tensor:
    """Return each probe's gradient of its own loss by the back layer's output, `[s, d]`."""
    copy = deepcopy(layers)
    seen: list[Tensor] = []

    def see(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        """Note what the layer behind puts out."""
        seen.append(output)

    copy.back.register_forward_hook(see)
    for parameter in copy.model.parameters():
        parameter.requires_grad_(True)
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        _seed_global(rng)
        outputs = copy.model(probes)
        loss = knowledge.loss(outputs, _targets(knowledge, outputs, rng))
        (found,) = torch.autograd.grad(loss, seen)
    return found.double() * len(probes)


def telling_input(knowledge: ServerKnowledge, references: Tensor, rng: torch.Generator) -> Tensor:
    """Return the input `[*shape]` at which the honest model's loss reacts the most to a change.

    It is the mean of the references `[s, *shape]` or one of them, by the smallest gradient of
    a few random labels: a trained network may be dead, or sure of a class, at the others.
    """
    some = references[torch.randperm(len(references), generator=rng)[: _PROBES - 1]]
    inputs = torch.cat([references.mean(0, keepdim=True), some]).requires_grad_(True)
    copy = deepcopy(knowledge.model)
    least = torch.full((len(inputs),), torch.inf)
    for _ in range(_LABELS):
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            _seed_global(rng)
            outputs = copy(inputs)
            loss = knowledge.loss(outputs, _targets(knowledge, outputs, rng))
            (found,) = torch.autograd.grad(loss, [inputs])
        least = torch.minimum(least, found.flatten(1).norm(dim=1))
    return inputs[0 if least[0] > _ALIVE * least.median() else int(least.argmax())].detach()


def _seed_global(rng: torch.Generator) -> None:
    """Make dropout, which draws from torch's global generator, a function of `rng`."""
    torch.default_generator.manual_seed(int(torch.randint(2**62, (), generator=rng)))


def _targets(knowledge: ServerKnowledge, outputs: Tensor, rng: torch.Generator) -> Tensor:
    if knowledge.job.classes:
        return torch.randint(knowledge.job.classes, (len(outputs),), generator=rng)
    held = knowledge.fact(AuxiliaryData)
    pool = torch.randn(len(outputs), generator=rng) if held is None else held.targets
    return pool[torch.randint(len(pool), (len(outputs),), generator=rng)]
