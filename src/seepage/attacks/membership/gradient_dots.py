"""How the gradient of each candidate lies to the updates of the clients of a round.

Gradients are those of single candidates at the global model of the round, in evaluation
mode (a batch of one has no batch statistics). They are as large as the model, so they are
made in small chunks, and only their products and norms are kept.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.func import functional_call, grad, vmap

from ...core.errors import NotApplicableError
from .candidate_losses import first_line

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...core.views import Candidates, Loss, SeenRound

# Gradients held at once: few enough for the cache, enough to keep `vmap` busy.
CHUNK = 32
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
    trial = deepcopy(model).eval()
    clients = tuple(sorted(seen.updates))
    names = [
        name
        for name, parameter in trial.named_parameters()
        if parameter.requires_grad and all(name in seen.updates[c] for c in clients)
    ]
    if not clients or not names:
        raise NotApplicableError(f"round {seen.round} shows no update of a parameter of the model")
    updates = {
        name: torch.stack([seen.updates[c][name].flatten() for c in clients], dim=1)
        for name in names
    }
    parameters = {name: seen.state[name].detach() for name in names}
    fixed = {name: value for name, value in seen.state.items() if name not in parameters}

    def alone(own: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of one record, as a function of the parameters."""
        return loss(functional_call(trial, {**fixed, **own}, (x[None],)), y[None])

    run: Any = vmap(grad(alone), in_dims=(None, 0, 0))
    dots: list[Tensor] = []
    norms: list[Tensor] = []
    for x, y in zip(candidates.inputs.split(CHUNK), candidates.targets.split(CHUNK), strict=True):
        try:
            gradients: dict[str, Tensor] = run(parameters, x, y)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise NotApplicableError(
                f"{type(model).__name__} or its loss gives no gradient of a single record: "
                f"{first_line(error)}"
            ) from error
        flat = {name: gradient.flatten(1) for name, gradient in gradients.items()}
        dots.append(torch.stack([g @ updates[name] for name, g in flat.items()]).sum(0))
        norms.append(torch.stack([g.norm(dim=1) for g in flat.values()]).norm(dim=0))
    return GradientDots(
        clients=clients,
        dots=torch.cat(dots),
        gradient_norms=torch.cat(norms),
        update_norms=torch.stack([u.norm(dim=0) for u in updates.values()]).norm(dim=0),
    )
