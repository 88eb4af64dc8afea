"""Which tensors of a model travel between clients and server, and which stay local.

Trainable parameters and persistent float buffers (running statistics) are shared. Frozen
parameters are public and never change; integer buffers (`num_batches_tracked`) and
buffers that the model does not save stay with their client.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..core.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.views import Update


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Parts:
    """A model's own tensors by name: `parameters` and `buffers` travel, `local` ones don't."""

    parameters: dict[str, nn.Parameter]
    buffers: dict[str, Tensor]
    local: dict[str, Tensor]

    def shared(self) -> dict[str, Tensor]:
        """Return the tensors that travel, parameters first."""
        return {**self.parameters, **self.buffers}


def parts(model: nn.Module) -> Parts:
    """Sort a model's tensors; one without trainable parameters raises `ModelError`."""
    parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise ModelError(
            f"{type(model).__name__} has no trainable parameters: federated training needs "
            "at least one with requires_grad=True"
        )
    saved = model.state_dict(keep_vars=True).keys()
    every = dict(model.named_buffers())
    buffers = {n: b for n, b in every.items() if n in saved and b.is_floating_point()}
    return Parts(
        parameters=parameters,
        buffers=buffers,
        local={n: b for n, b in every.items() if n not in buffers},
    )


def shared_state(model: nn.Module) -> dict[str, Tensor]:
    """Return detached clones of the tensors that travel, by name."""
    return {name: value.detach().clone() for name, value in parts(model).shared().items()}


def load_state(model: nn.Module, state: Update) -> None:
    """Copy `state` into the model's own tensors."""
    own = parts(model).shared()
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)


def detached(update: Update) -> dict[str, Tensor]:
    """Return an update in fresh memory, so that nothing it was computed from hangs on it."""
    return {
        name: value.detach().clone(memory_format=torch.contiguous_format)
        for name, value in update.items()
    }


def finite(update: Update) -> bool:
    """Return whether every value is finite.

    >>> finite({"w": torch.tensor([3e38, 3e38])}), finite({"w": torch.tensor([1.0, torch.nan])})
    (True, False)
    """
    # A sum is cheap and not finite where a value is not; where it overflows, look closer.
    return all(
        isfinite(value.sum().item()) or bool(value.isfinite().all()) for value in update.values()
    )
