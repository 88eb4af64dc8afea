"""How the gradient of each candidate lies to the updates of the clients of a round.

Gradients are those of single candidates at the global model of the round. They are as large
as the model, so they are made in small chunks, and only their products and norms are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.errors import NotApplicableError
from ..record_gradients import record_gradients

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...core.views import Candidates, Loss, SeenRound

# Norms below this are rounding: the candidate or the update pulls nowhere.
_NOTHING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GradientDots:
    """Products of candidates' gradients with clients' updates in one round.

    Fields
    ------
    clients : the clients of the round, in ascending order, k of them
    dots : dot product of each candidate's gradient with each client's update, `[n, k]`
    gradient_norms : L2 norm of each candidate's gradient, `[n]`
    update_norms : L2 norm of each client's update, `[k]`
    """

    clients: tuple[int, ...]
    dots: Tensor
    gradient_norms: Tensor
    update_norms: Tensor

    def cosines(self) -> Tensor:
        """Return the cosine between each negative gradient and each update, `[n, k]`.

        It is 0 where either of them is.
        """
        lengths = self.gradient_norms[:, None] * self.update_norms
        still = (self.gradient_norms[:, None] < _NOTHING) | (self.update_norms < _NOTHING)
        return torch.where(still, 0.0, -self.dots / torch.where(still, 1.0, lengths))


def gradient_dots(
    model: nn.Module, loss: Loss, candidates: Candidates, seen: SeenRound
) -> GradientDots:
    """Return the products of one round over the model's trainable parameters.

    Float buffers in the updates are ignored. Raises `NotApplicableError` where the updates
    hold no parameter of the model, or the model gives no gradient of a single record.
    """
    clients = tuple(sorted(seen.updates))
    names = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and all(name in seen.updates[c] for c in clients)
    ]
    if not clients or not names:
        raise NotApplicableError(f"round {seen.round} shows no update of a parameter of the model")
    updates = {
        name: torch.stack([seen.updates[c][name].flatten() for c in clients], dim=1)
        for name in names
    }
    dots: list[Tensor] = []
    norms: list[Tensor] = []
    for gradients in record_gradients(
        model, loss, candidates.inputs, candidates.targets, names=names, state=seen.state
    ):
        flat = {name: gradient.flatten(1) for name, gradient in gradients.items()}
        dots.append(torch.stack([g @ updates[name] for name, g in flat.items()]).sum(0))
        norms.append(torch.stack([g.norm(dim=1) for g in flat.values()]).norm(dim=0))
    return GradientDots(
        clients=clients,
        dots=torch.cat(dots),
        gradient_norms=torch.cat(norms),
        update_norms=torch.stack([u.norm(dim=0) for u in updates.values()]).norm(dim=0),
    )
