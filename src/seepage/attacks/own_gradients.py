"""The View behind gradients, or a parameter update, that a user brings along."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..core.errors import ModelError, UsageError
from ..core.threat import Observer
from ..core.views import AuxiliaryData, BatchSize, Fact, JobFacts, Labels, UpdateView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from ..core.views import Loss

    Tensors = Sequence[Tensor] | Mapping[str, Tensor]


def view_of(
    *,
    model: nn.Module,
    loss: Loss,
    input_shape: tuple[int, ...],
    gradients: Tensors | None,
    update: Tensors | None,
    batch_size: int | None,
    labels: Tensor | None,
    local_steps: int | None,
    lr: float | None,
    auxiliary: tuple[Tensor, Tensor] | None,
    train_mode: bool,
    value_range: tuple[float, float] | None,
) -> UpdateView:
    """Return the honest server's view of one client's step; see `attacks.api.attack`."""
    steps = 1 if local_steps is None else local_steps
    if steps < 1 or (batch_size is not None and batch_size < 1):
        raise UsageError("attack: local_steps and batch_size are 1 or more")
    if gradients is not None:
        if steps > 1:
            raise UsageError("attack: gradients are of one step; give update= for several steps")
        lr = lr or 1.0
        seen = {n: -lr * g for n, g in _named("gradients", gradients, model).items()}
    else:
        if lr is None:
            raise UsageError("attack: update needs lr=..., the clients' learning rate")
        seen = _named("update", update or {}, model)
    facts: list[Fact] = []
    if labels is not None:
        labels = torch.as_tensor(labels)
        batch_size = batch_size or max(len(labels) // steps, 1)
        if len(labels) != batch_size * steps:
            raise UsageError(
                f"attack: {len(labels)} labels for {steps} step(s) of {batch_size} records"
            )
        facts.append(Labels(labels))
    if batch_size is not None:
        facts.append(BatchSize(batch_size))
    if auxiliary is not None:
        held = _auxiliary(auxiliary, input_shape)
        facts.append(held)
        low, high = held.inputs.min(), held.inputs.max()
        value_range = value_range or (float(low), float(high))
    copy = deepcopy(model).train(train_mode)
    return UpdateView(
        observer=Observer.HONEST_SERVER,
        job=JobFacts(
            input_shape=tuple(input_shape),
            classes=_classes(copy, input_shape),
            value_range=value_range,
            clients=1,
            cohort=1,
            local_steps=steps,
            lr=lr,
        ),
        loss=loss,
        facts=tuple(facts),
        round=0,
        client=0,
        model=copy,
        update=seen,
    )


def _named(what: str, tensors: Tensors, model: nn.Module) -> dict[str, Tensor]:
    """Return tensors by name; one that does not fit the model's raises `UsageError`."""
    own = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if isinstance(tensors, Mapping):
        buffers = {n: b for n, b in model.named_buffers() if b.is_floating_point()}
        known = {**own, **buffers}
        named = dict(tensors)
        if strange := sorted(named.keys() - known.keys()):
            raise UsageError(f"attack: {what} holds {strange[0]!r}, which the model does not have")
    else:
        if len(tensors) != len(own):
            raise UsageError(
                f"attack: {what} holds {len(tensors)} tensors; the model has {len(own)} "
                "trainable parameters"
            )
        known, named = own, dict(zip(own, tensors, strict=True))
    for name, value in named.items():
        if value.shape != known[name].shape:
            raise UsageError(
                f"attack: {what} of {name} has shape {list(value.shape)}; "
                f"the parameter has {list(known[name].shape)}"
            )
    return {name: value.detach().cpu().float() for name, value in named.items()}


def _auxiliary(auxiliary: tuple[Tensor, Tensor], input_shape: tuple[int, ...]) -> AuxiliaryData:
    inputs, targets = (torch.as_tensor(part) for part in auxiliary)
    if tuple(inputs.shape[1:]) != tuple(input_shape) or len(inputs) != len(targets):
        raise UsageError(
            f"attack: auxiliary is {list(inputs.shape)} and {list(targets.shape)}; "
            f"give inputs [n, {', '.join(map(str, input_shape))}] and targets [n]"
        )
    return AuxiliaryData(inputs=inputs.float(), targets=targets)


def _classes(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Return the number of outputs where it can be a number of classes, else 0."""
    probe = deepcopy(model).eval()
    try:
        with torch.no_grad():
            outputs = probe(torch.zeros(2, *input_shape))
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise ModelError(
            f"attack: the model does not take inputs of shape {list(input_shape)}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return outputs.shape[1] if outputs.ndim == 2 and outputs.shape[1] > 1 else 0
