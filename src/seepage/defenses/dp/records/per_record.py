"""The clipped sum of per-record gradients by `vmap`: each record runs through the model alone.

So records can't mix, whatever the model does. For small batches it is also the fastest way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.func import functional_call, grad, vmap

from ....core.errors import RefusedError
from .record_groups import clipping_scale

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ....core.defense import LocalStep
    from ....core.views import Loss
    from .record_groups import Groups

# Gradients of this many records are held at once, each the size of the model.
CHUNK = 64


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that training moves, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


@dataclass(frozen=True, slots=True, eq=False)
class Clipped:
    """The sum of clipped gradients by parameter, and what they were clipped by.

    `lengths` `[groups, batch]` are the norms before clipping: secrets of the records.
    """

    total: dict[str, Tensor]
    lengths: Tensor


def clipped(step: LocalStep, groups: Groups) -> Clipped:
    """Return the sum of the records' gradients, each clipped in every group to its norm.

    Raises `RefusedError` where the model or the loss does not work record by record, where
    the loss is no mean over them, or where a gradient is not finite.
    """
    total: dict[str, Tensor] = {}
    lengths: list[Tensor] = []
    for gradients in chunks(step):
        lengths.append(torch.stack([norms({n: gradients[n] for n in names}) for names in groups]))
        for (names, max_norm), length in zip(groups.items(), lengths[-1], strict=True):
            add_scaled(total, {n: gradients[n] for n in names}, clipping_scale(length, max_norm))
    return Clipped(total, torch.cat(lengths, 1))


def chunks(step: LocalStep) -> Iterator[dict[str, Tensor]]:
    """Yield the gradients of some records after others, `[records, *shape]` by parameter.

    They are checked to be those of a mean over the batch, and finite losses; refusals as of
    `clipped`.
    """
    for inputs, targets in zip(step.inputs.split(CHUNK), step.targets.split(CHUNK), strict=True):
        gradients, outputs, losses = _per_record(step, inputs, targets)
        require_mean_loss(step.loss, outputs, targets, losses)
        yield gradients


def add_scaled(total: dict[str, Tensor], gradients: Mapping[str, Tensor], scale: Tensor) -> None:
    """Add to `total` the sum over records of their gradients times `scale` `[records]`."""
    for name, gradient in gradients.items():
        part = torch.tensordot(scale.to(gradient.dtype), gradient, 1)
        total[name] = total[name] + part if name in total else part


def norms(gradients: Mapping[str, Tensor]) -> Tensor:
    """Return the L2 norm of each record's gradient over all given parameters, `[batch]`."""
    return torch.stack([g.reshape(len(g), -1).norm(dim=1) for g in gradients.values()]).norm(dim=0)


def per_record_gradients(step: LocalStep) -> dict[str, Tensor]:
    """Return each record's gradient by parameter, `[batch, *shape]`."""
    return _per_record(step, step.inputs, step.targets)[0]


def per_record_losses(loss: Loss, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of each record on its own, `[batch]`, differentiable.

    `loss` is a mean over the batch, so a batch of one gives that record's loss, whether it is
    a module, a function or a lambda. Opacus's own loss wrapper leaves a function reduced to
    one number for all records, and then clips nothing.
    """

    def alone(output: Tensor, target: Tensor) -> Tensor:
        """Return the loss of one record, as a function of the parameters."""
        return loss(output[None], target[None])

    try:
        losses: Tensor = vmap(alone)(outputs, targets)
    except (RuntimeError, ValueError, IndexError) as error:
        raise RefusedError(
            f"clipping by record: the loss does not work on single records ({_reason(error)}); "
            "give a loss of tensor operations that is a mean over the batch"
        ) from error
    if losses.shape != (len(targets),):
        raise RefusedError(
            f"clipping by record: the loss of a single record has shape {tuple(losses.shape[1:])}; "
            "give a loss that is a mean over the batch"
        )
    return losses


def require_mean_loss(loss: Loss, outputs: Tensor, targets: Tensor, losses: Tensor) -> None:
    """Raise `RefusedError` where `losses` are not finite or `loss` is not their mean."""
    losses = losses.detach()
    if not bool(torch.isfinite(losses).all()):
        raise RefusedError(
            "clipping by record: the loss of a record is NaN or infinite, so nothing is released; "
            "lower the learning rate or check the data"
        )
    with torch.no_grad():
        whole = loss(outputs.detach(), targets)
    if whole.ndim or not torch.allclose(whole, losses.mean(), rtol=1e-3, atol=1e-5):
        raise RefusedError(
            "clipping by record: the loss of a batch is not the mean of its records' losses "
            "(a sum, class weights, or statistics of the batch), so it can't be clipped by record"
        )


def _per_record(
    step: LocalStep, inputs: Tensor, targets: Tensor
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Return gradients `[batch, *shape]` by parameter, outputs and losses `[batch]`."""
    model = step.model

    def alone(
        parameters: dict[str, Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the loss of one record, as a function of the parameters."""
        output: Any = functional_call(model, parameters, (x[None],))
        loss = step.loss(output, y[None])
        return loss, (output[0], loss)

    parameters = {name: p.detach() for name, p in trainable(model).items()}
    run: Any = vmap(grad(alone, has_aux=True), in_dims=(None, 0, 0), randomness="different")
    try:
        gradients, (outputs, losses) = run(parameters, inputs, targets)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise RefusedError(
            f"clipping by record: {type(model).__name__} or its loss gives no gradient of a "
            f"single record: {_reason(error)}"
        ) from error
    return gradients, outputs, losses


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
