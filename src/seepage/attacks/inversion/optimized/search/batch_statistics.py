"""The statistics of a client's batch in each batch normalization, as its update gives them away.

A layer's running statistics are float buffers, and travel with the update. A training step
with momentum m sets running <- (1 - m) running + m batch, so after one step of one client
batch = running + change / m, exactly: the mean of each channel and its variance (the
unbiased one: Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 2). After K steps the same
recursion gives a weighted mean over the steps, the last weighing most, and an aggregate
the mean over its clients. Where buffers do not travel, the running statistics of the model
as sent stand in, as in Yin et al. 2021 (arXiv 2104.07586, eq. 7).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from .....core.views import UpdateView
from ....layers import as_trained
from ...observed import contributors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor

    from .....core.views import AggregateView, Update

    LayerStatistics = Mapping[str, tuple[Tensor, Tensor]]


class Source(StrEnum):
    """What the statistics are taken from, the most telling first."""

    BATCH = "exact, from the buffers that came with the update"
    AVERAGE = "averaged over steps or clients, from the buffers that came with the update"
    RUNNING = "the running statistics of the model as sent: no buffers came with the update"


@dataclass(frozen=True, slots=True, eq=False)
class BatchStatistics:
    """Mean and unbiased variance of what entered each layer, `[channels]` each, by layer name."""

    layers: LayerStatistics
    source: Source


def batch_statistics(view: UpdateView | AggregateView) -> BatchStatistics | None:
    """Return what a view says of the batch's statistics, or None where it says nothing.

    A layer counts if it normalizes by batch statistics (it is in training mode) and keeps
    running ones. Channels whose variance is no positive number (noise was added) fall back
    on the running statistics. A fresh model's running statistics say nothing.
    """
    update = view.update if isinstance(view, UpdateView) else view.aggregate
    layers = {
        name: module
        for name, module in view.model.named_modules()
        if isinstance(module, _BatchNorm) and module.training and module.track_running_stats
    }
    steps = view.job.local_steps
    sent = {n: s for n, m in layers.items() if (s := _from_update(n, m, update, steps))}
    if sent:
        alone = steps == 1 and contributors(view) == 1
        return BatchStatistics(sent, Source.BATCH if alone else Source.AVERAGE)
    running = {name: _running(module) for name, module in layers.items()}
    running = {
        name: (m, v) for name, (m, v) in running.items() if bool(((m != 0) | (v != 1)).any())
    }
    return BatchStatistics(running, Source.RUNNING) if running else None


def _from_update(
    name: str, layer: _BatchNorm, update: Update, steps: int
) -> tuple[Tensor, Tensor] | None:
    changes = [update.get(f"{name}.{leaf}") for leaf in ("running_mean", "running_var")]
    if not layer.momentum or changes[0] is None or changes[1] is None:
        # Without a momentum the weight is one over a count that stays with the client.
        return None
    weight = 1 - (1 - layer.momentum) ** steps
    mean, variance = _running(layer)
    found_mean = mean + changes[0].detach() / weight
    found_variance = variance + changes[1].detach() / weight
    right = found_mean.isfinite() & found_variance.isfinite() & (found_variance > 0)
    return torch.where(right, found_mean, mean), torch.where(right, found_variance, variance)


def _running(layer: _BatchNorm) -> tuple[Tensor, Tensor]:
    mean, variance = layer.running_mean, layer.running_var
    assert mean is not None
    assert variance is not None
    return mean.detach().clone(), variance.detach().clone()


class StatisticsDistance:
    """How far the statistics of a guessed batch lie from known ones, differentiably.

    A layer's distance is |mean - known|^2 / (|known mean|^2 + sum of known variances) +
    |deviation - known|^2 / sum of known variances, over its channels as vectors: scaled
    channel by channel, those that hardly vary would drown the others.
    """

    def __init__(self, model: nn.Module, known: BatchStatistics) -> None:
        self._model, self._known = as_trained(model).requires_grad_(False), known
        self._terms: list[Tensor] = []
        for name, module in self._model.named_modules():
            if name in known.layers:
                module.register_forward_hook(self._term(*known.layers[name]))

    def _term(
        self, mean: Tensor, variance: Tensor
    ) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        deviation = variance.sqrt()
        spread = variance.sum()
        size = mean.square().sum() + spread

        def hook(_module: nn.Module, args: tuple[Any, ...], _output: Any) -> None:
            """Note the distance of what enters the layer."""
            found_mean, found_variance = statistics_of(args[0])
            # The root has no slope at 0, where nothing varies.
            found_deviation = found_variance.clamp_min(1e-12).sqrt()
            apart = (found_mean - mean).square().sum() / size
            wider = (found_deviation - deviation).square().sum() / spread
            self._terms.append(apart + wider)

        return hook

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return the sum of the layers' distances for inputs `[n, *shape]`, a scalar."""
        self._terms.clear()
        self._model(inputs)
        return torch.stack(self._terms).sum()

    def slope(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return distances of restarts `[r, n, *shape]`, `[r]`, and their slopes."""
        found: list[tuple[Tensor, Tensor]] = []
        for one in inputs:
            x = one.detach().clone().requires_grad_()
            with torch.enable_grad():
                value = self(x)
            found.append((value.detach(), torch.autograd.grad(value, x)[0]))
        distances, slopes = zip(*found, strict=True)
        return torch.stack(distances), torch.stack(slopes)


def statistics_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the unbiased variance of each channel of `[n, channels, ...]`."""
    rows = values.transpose(0, 1).flatten(1)
    return rows.mean(1), rows.var(1)
