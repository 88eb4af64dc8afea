"""The View behind gradients, or a parameter update, that a user brings along."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..core.errors import ModelError, UsageError
from ..core.threat import Observer
from ..core.views import AuxiliaryData, BatchSize, Fact, JobFacts, Labels, UpdateView

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.cards import AttackCard
    from ..core.views import Loss

    Tensors = Sequence[Tensor] | Mapping[str, Tensor]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OwnGradients:
    """What a user brings and knows; the fields are arguments of `attacks.api.attack`."""

    gradients: Tensors | None
    update: Tensors | None
    batch_size: int | None
    labels: Tensor | None
    local_steps: int
    lr: float | None
    auxiliary: tuple[Tensor, Tensor] | None
    train_mode: bool
    value_range: tuple[float, float] | None

    def view(
        self, model: nn.Module | None, loss: Loss | None, input_shape: tuple[int, ...] | None
    ) -> UpdateView:
        """Return the honest server's view of one client's step.

        Raises `UsageError` for what is missing or does not fit, `ModelError` where the
        model does not take such inputs.
        """
        if model is None or loss is None or input_shape is None:
            lacks = {"model": model, "loss": loss, "input_shape": input_shape}
            name = next(n for n, value in lacks.items() if value is None)
            raise UsageError(f"attack: {name} is missing; gradients and updates need it")
        input_shape = _checked(model, loss, input_shape)
        lr, seen = self._update(model)
        facts, value_range = self._facts(input_shape)
        copy = deepcopy(model).float().train(self.train_mode)
        classes = _classes(copy, input_shape)
        if self.labels is not None and classes:
            _require_classes(torch.as_tensor(self.labels), classes)
        return UpdateView(
            observer=Observer.HONEST_SERVER,
            job=JobFacts(
                input_shape=input_shape,
                classes=classes,
                value_range=value_range,
                clients=1,
                cohort=1,
                local_steps=self.local_steps,
                lr=lr,
            ),
            loss=loss,
            facts=facts,
            round=0,
            client=0,
            model=copy,
            update=seen,
        )

    def require(self, attack: AttackCard) -> None:
        """Name the argument that carries what `attack` can't do without."""
        sized = self.batch_size is not None or self.labels is not None
        have = {
            "knows-batch-size": (sized, "batch_size"),
            "knows-labels": (self.labels is not None, "labels"),
            "holds-auxiliary-data": (self.auxiliary is not None, "auxiliary"),
        }
        for need in attack.needs:
            present, argument = have.get(need.value, (True, ""))
            if not present:
                raise UsageError(f"{attack.name} needs {need.value}: give {argument}=...")

    def _update(self, model: nn.Module) -> tuple[float, dict[str, Tensor]]:
        """Return the learning rate and the update by name."""
        if self.lr is not None and not self.lr > 0:
            raise UsageError(f"attack: lr is {self.lr}; use a number above 0")
        if self.local_steps < 1 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError("attack: local_steps and batch_size are 1 or more")
        if self.gradients is None:
            if self.lr is None:
                raise UsageError("attack: update needs lr=..., the clients' learning rate")
            return self.lr, _named("update", self.update or {}, model)
        if self.local_steps > 1:
            raise UsageError("attack: gradients are of one step; give update= for several steps")
        lr = self.lr or 1.0
        named = _named("gradients", self.gradients, model)
        return lr, {name: -lr * value for name, value in named.items()}

    def _facts(
        self, input_shape: tuple[int, ...]
    ) -> tuple[tuple[Fact, ...], tuple[float, float] | None]:
        """Return what is known, and the range of input values."""
        facts: list[Fact] = []
        size, value_range = self.batch_size, self.value_range
        if self.labels is not None:
            labels = torch.as_tensor(self.labels)
            size = size or max(len(labels) // self.local_steps, 1)
            if len(labels) != size * self.local_steps:
                raise UsageError(
                    f"attack: {len(labels)} labels for {self.local_steps} step(s) of {size} records"
                )
            facts.append(Labels(labels))
        if size is not None:
            facts.append(BatchSize(size))
        if self.auxiliary is not None:
            held = _auxiliary(self.auxiliary, input_shape)
            facts.append(held)
            seen = (float(held.inputs.min()), float(held.inputs.max()))
            value_range = value_range or seen
        if value_range is not None and not value_range[0] < value_range[1]:
            raise UsageError(f"attack: value_range is {value_range}; give (least, greatest)")
        return tuple(facts), value_range


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
    named = {name: _tensor(what, name, value) for name, value in named.items()}
    for name, value in named.items():
        if value.shape != known[name].shape:
            raise UsageError(
                f"attack: {what} of {name} has shape {list(value.shape)}; "
                f"the parameter has {list(known[name].shape)}"
            )
    return {name: value.detach().cpu().float() for name, value in named.items()}


def _tensor(what: str, name: str, value: Any) -> Tensor:
    """Return a tensor of what should be one."""
    if value is None:
        raise UsageError(
            f"attack: {what} of {name} is None; leave it out by name: {{name: tensor, ...}}"
        )
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = type(value).__name__
        raise UsageError(f"attack: {what} of {name} is a {kind}; give a tensor") from error


def _checked(model: Any, loss: Any, input_shape: Any) -> tuple[int, ...]:
    """Return the shape of an input; `UsageError` where an argument is of another kind."""
    if not isinstance(model, nn.Module):
        raise UsageError(f"attack: model is a {type(model).__name__}; give a torch.nn.Module")
    if not callable(loss):
        raise UsageError(
            f"attack: loss is a {type(loss).__name__}; give (outputs, targets) -> mean"
        )
    if getattr(loss, "reduction", "mean") == "none":
        raise UsageError(
            "attack: loss has reduction='none'; give one that is a mean over the batch"
        )
    shape = (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)
    if not all(isinstance(side, int) and side > 0 for side in shape):
        raise UsageError(
            f"attack: input_shape is {input_shape}; give one input's, such as (3, 32, 32)"
        )
    return shape


def _require_classes(labels: Tensor, classes: int) -> None:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        wrong = low if low < 0 else high
        raise UsageError(f"attack: label {wrong} is none of {classes} classes (0 to {classes - 1})")


def _auxiliary(auxiliary: tuple[Tensor, Tensor], input_shape: tuple[int, ...]) -> AuxiliaryData:
    if not isinstance(auxiliary, tuple | list) or len(auxiliary) != 2:
        raise UsageError("attack: auxiliary is a pair: inputs [n, *input_shape] and targets [n]")
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
