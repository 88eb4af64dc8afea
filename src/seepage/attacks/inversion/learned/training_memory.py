"""Remembers trained inverses, so that views of one model state share their training.

Training draws its randomness from the fingerprint of all that it depends on, so a remembered
inverse is the one that training would give again.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ...memory import Memory, content
from ..observed import contributors
from .trained_inverse import TrainedInverse

if TYPE_CHECKING:
    from ....core.views import AuxiliaryData
    from .simulation import Simulation


def remembered(
    fingerprint: str, loss: Any, train: Callable[[torch.Generator], TrainedInverse]
) -> TrainedInverse:
    """Return what `train` gives for a generator seeded by `fingerprint`, trained at most once."""
    rng = torch.Generator().manual_seed(int(fingerprint[:15], 16))
    return _MEMORY.recall((fingerprint, loss), lambda: train(rng))


def forget() -> None:
    """Drop all that is remembered."""
    _MEMORY.forget()


def fingerprint(
    simulation: Simulation, auxiliary: AuxiliaryData, labels: Tensor | None, settings: object
) -> str:
    """Return a digest of all that training depends on, but for the loss itself."""
    view = simulation.view
    cards = [(card.name, sorted(card.settings.items())) for card in simulation.defenses]
    facts = (view.job, simulation.records, contributors(view), type(view).__name__, cards)
    model = view.model
    modes = [(name, module.training) for name, module in model.named_modules()]
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    said = (settings, facts, simulation.names, str(model), modes, kind)
    with torch.no_grad():
        # Two modules of equal state may still compute different things.
        outputs = deepcopy(model).eval()(auxiliary.inputs[:4])
    tensors = [*model.state_dict().values(), outputs, auxiliary.inputs, auxiliary.targets]
    return content(said, tensors if labels is None else [*tensors, labels])


def _tensors(inverse: TrainedInverse) -> tuple[Tensor, ...]:
    return (
        inverse.features.basis,
        inverse.hashing.order,
        inverse.hashing.signs,
        inverse.regression.anchors,
        inverse.regression.weights,
    )


_MEMORY = Memory(_tensors, most_bytes=2**30)
