"""Remembers trained inverses, so that views of one model state share their training.

An attack has no state: what it returns must not depend on what ran before it. So training
draws its randomness from the fingerprint of all that it depends on, and a remembered
inverse is the one that training would give again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..observed import contributors
from .trained_inverse import TrainedInverse

if TYPE_CHECKING:
    from ....core.views import AuxiliaryData
    from .simulation import Simulation

_MOST_BYTES = 2**30
_REMEMBERED: OrderedDict[tuple[str, Any], TrainedInverse] = OrderedDict()


def remembered(
    fingerprint: str, loss: Any, train: Callable[[torch.Generator], TrainedInverse]
) -> TrainedInverse:
    """Return what `train` gives for a generator seeded by `fingerprint`, trained at most once.

    The least recently used inverses are forgotten beyond a gigabyte.
    """
    key = (fingerprint, loss)
    if key in _REMEMBERED:
        _REMEMBERED.move_to_end(key)
        return _REMEMBERED[key]
    inverse = train(torch.Generator().manual_seed(int(fingerprint[:15], 16)))
    _REMEMBERED[key] = inverse
    while len(_REMEMBERED) > 1 and sum(map(_bytes, _REMEMBERED.values())) > _MOST_BYTES:
        _REMEMBERED.popitem(last=False)
    return inverse


def forget() -> None:
    """Drop all that is remembered."""
    _REMEMBERED.clear()


def fingerprint(
    simulation: Simulation, auxiliary: AuxiliaryData, labels: Tensor | None, settings: object
) -> str:
    """Return a digest of all that training depends on, but for the loss itself."""
    view = simulation.view
    digest = hashlib.blake2b(digest_size=16)
    cards = [(card.name, sorted(card.settings.items())) for card in simulation.defenses]
    facts = (view.job, simulation.records, contributors(view), type(view).__name__, cards)
    model = view.model
    modes = [(name, module.training) for name, module in model.named_modules()]
    digest.update(repr((settings, facts, simulation.names, str(model), modes)).encode())
    digest.update(f"{type(model).__module__}.{type(model).__qualname__}".encode())
    with torch.no_grad():
        # Two modules of equal state may still compute different things.
        outputs = deepcopy(model).eval()(auxiliary.inputs[:4])
    tensors = [*model.state_dict().values(), outputs, auxiliary.inputs, auxiliary.targets]
    for tensor in tensors if labels is None else [*tensors, labels]:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return digest.hexdigest()


def _bytes(inverse: TrainedInverse) -> int:
    held = (
        inverse.features.basis,
        inverse.hashing.order,
        inverse.hashing.signs,
        inverse.regression.anchors,
        inverse.regression.weights,
    )
    return sum(t.numel() * t.element_size() for t in held)
