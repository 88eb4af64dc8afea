"""Runs one attack: on a view, or on gradients of a user's own.

>>> from torch import nn
>>> model, x = nn.Linear(4, 3), torch.rand(1, 4)
>>> loss = nn.functional.cross_entropy(model(x), torch.tensor([2]))
>>> seen = torch.autograd.grad(loss, list(model.parameters()))
>>> found = attack("fully-connected", model=model, loss=nn.functional.cross_entropy,
...                input_shape=(4,), gradients=seen, batch_size=1)
>>> bool(torch.allclose(found.inputs, x, atol=1e-5)), found.solved
(True, True)
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch

from ..core.claims import Reconstruction
from ..core.errors import NotApplicableError, UsageError
from ..core.registry import card
from ..core.seeds import torch_rng
from ..core.views import VIEW_KINDS, View
from .diagnosis import diagnosis
from .own_gradients import OwnGradients

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn

    from ..core.cards import AttackCard
    from ..core.claims import Claim
    from ..core.views import Loss

MOST_STARTS = 32


def attack_view(name: str, view: View, rng: torch.Generator, **settings: Any) -> Claim:
    """Return the claim of a registered attack on a view.

    Raises `UsageError` for an unknown attack or setting, `NotApplicableError` where the
    attack does not read such a view.
    """
    known = card("attacks", name)
    kind = next((k for k, v in VIEW_KINDS.items() if isinstance(view, v)), None)
    if kind is None:
        raise UsageError(f"{type(view).__name__} is no view")
    if kind not in known.views:
        readable = " or ".join(known.views)
        raise NotApplicableError(f"{name} reads a view of kind {readable}, not {kind}")
    return known.build(settings)(view, rng)


def attack(
    name: str,
    *,
    model: nn.Module | None = None,
    loss: Loss | None = None,
    input_shape: tuple[int, ...] | None = None,
    gradients: Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    update: Sequence[Tensor] | Mapping[str, Tensor] | None = None,
    view: View | None = None,
    batch_size: int | None = None,
    labels: Tensor | None = None,
    local_steps: int | None = None,
    lr: float | None = None,
    auxiliary: tuple[Tensor, Tensor] | None = None,
    train_mode: bool = True,
    value_range: tuple[float, float] | None = None,
    seed: int = 0,
    budget: float = 60.0,
    **hyper_parameters: Any,
) -> Reconstruction:
    """Reconstruct the batch behind gradients, a parameter update, or a view.

    model : as the client had it, before its first local step
    loss, input_shape : mean over the batch of (outputs, targets); one input's, without batch
    gradients : as `torch.autograd.grad(loss, model.parameters())` gives them, or by name
    update : new minus old value of each parameter after `local_steps` at `lr`; by name it
        may hold float buffers too (running statistics travel in many jobs)
    view : instead of all these: what an observer saw, with everything that it knows
    batch_size, labels : of a local step, where known; labels say the batch size as well
    auxiliary : inputs `[n, *input_shape]` and targets `[n]` of records like the batch's
    train_mode : whether the client's model was in training mode (BatchNorm)
    value_range : of the input values; None: that of `auxiliary`, unbounded without it
    budget : seconds in which an attack with restarts starts afresh while it is not solved

    Returns the `Reconstruction` of least objective; where it is not solved, `explanation`
    ends with what stands in the way. Raises `UsageError` for what is missing or does not
    fit, by its name; `NotApplicableError` where the attack can't work on such a model.
    """
    known = card("attacks", name)
    choices = {"gradients": gradients, "update": update, "view": view}
    given = [choice for choice, value in choices.items() if value is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise UsageError(f"attack: give exactly one of gradients, update or view, not {found}")
    if view is None:
        own = OwnGradients(
            gradients=gradients,
            update=update,
            batch_size=batch_size,
            labels=labels,
            local_steps=1 if local_steps is None else local_steps,
            lr=lr,
            auxiliary=auxiliary,
            train_mode=train_mode,
            value_range=value_range,
        )
        view = own.view(model, loss, input_shape)
        own.require(known)
    return _best(known, view, seed, budget, hyper_parameters)


def _best(
    known: AttackCard, view: View, seed: int, budget: float, settings: Mapping[str, Any]
) -> Reconstruction:
    """Start afresh while the budget lasts and nothing is solved; keep the least objective."""
    if not isinstance(budget, int | float) or not isinstance(seed, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"attack: budget is {budget!r} and seed {seed!r}; give seconds and a number"
        )
    started = time.perf_counter()
    best: Reconstruction | None = None
    again = any(p.name == "restarts" for p in known.parameters)
    for start in range(MOST_STARTS if again else 1):
        claim = attack_view(known.name, view, torch_rng(seed, "attack", start), **settings)
        if not isinstance(claim, Reconstruction):
            raise UsageError(
                f"{known.name} claims {known.claims}, no reconstruction: "
                "run it by seepage.attacks.api.attack_view"
            )
        if best is None or claim.objective < best.objective:
            best = claim
        spent = time.perf_counter() - started
        if best.solved or not len(best.inputs) or spent * (start + 2) / (start + 1) > budget:
            break
    result = cast("Reconstruction", best)
    reasons = [] if result.solved else diagnosis(view, len(result.inputs))
    return replace(
        result,
        explanation=". ".join(filter(None, [result.explanation, *reasons])),
        seconds=time.perf_counter() - started,
    )
