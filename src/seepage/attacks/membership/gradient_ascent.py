"""A malicious server makes a model forget a record, and sees whether the client teaches it again.

Before a round the server climbs the loss of a target record x,

    w <- w + s d / ||d||,    d = g - max(0, <g, r> / <r, r>) r - c r,

with g the gradient of x's loss, and sends the result. A client that trains on x pulls its loss
down again, one that does not moves it little (Nasr, Shokri & Houmansadr 2019, "Comprehensive
Privacy Analysis of Deep Learning", arXiv 1812.00910, the active
attacker, whose d is g). The score is the share of the loss that local training took away.

What raises the loss of other records too is lost in the general repair that any client does.
So r, the gradient on auxiliary records, is kept out of d, and c descends on them: without
auxiliary data r is 0. For the same reason each target needs a model of its own: raised together,
many targets show less than they do to a server that only watches.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.attack import ServerMove
from ...core.claims import MembershipScores
from ...core.errors import UsageError, require_least
from ...core.views import AuxiliaryData, Candidates, UpdateView
from .candidate_losses import candidate_losses, known_candidates

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...core.views import AggregateView, Loss, ServerKnowledge

RETAINED = 64
"""Auxiliary records whose loss is kept down."""

_NOTHING = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class GradientAscent:
    """Raises a record's loss in the model that is sent, and scores how far it falls again.

    Fields
    ------
    rise : how far the loss is raised, > 0, in its own unit (nats of a cross-entropy)
    steps : most steps of ascent, >= 1
    step_size : length of a step over all parameters, > 0
    retain : weight c of the descent on auxiliary records, >= 0
    """

    rise: float = 5.0
    steps: int = 400
    step_size: float = 0.02
    retain: float = 0.3

    def __post_init__(self) -> None:
        require_least("gradient-ascent", self, steps=1)
        if not (self.rise > 0 and self.step_size > 0 and self.retain >= 0):
            raise UsageError(
                "gradient-ascent: rise and step_size are numbers above 0, retain is 0 or more"
            )

    def act(self, knowledge: ServerKnowledge, rng: torch.Generator) -> ServerMove:
        """Send the cohort a model that has forgotten the records in question.

        Where there are none, the honest one is sent.
        """
        asked = knowledge.fact(Candidates)
        if asked is None or not len(asked.targets):
            return ServerMove(models={})
        model = self.raised(knowledge.model, knowledge.loss, asked, _retained(knowledge, rng))
        return ServerMove(models=dict.fromkeys(knowledge.cohort, model))

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return the share of each candidate's loss that the update takes away, `[n]`, at most 1.

        It is 0 for all where no sum came back. Raises `NotApplicableError` where there are no
        candidates, or the loss does not work on single records.
        """
        candidates = known_candidates(view)
        update = view.update if isinstance(view, UpdateView) else view.aggregate
        if not update:
            nothing = torch.zeros(len(candidates.targets))
            return MembershipScores(scores=nothing, note="no sum came back: the clients refused")
        sent = view.model.state_dict()
        trained = {name: sent[name] + change for name, change in update.items()}
        before = candidate_losses(view.model, view.loss, candidates)
        after = candidate_losses(view.model, view.loss, candidates, trained)
        return MembershipScores(scores=(before - after) / before.clamp_min(_NOTHING))

    def raised(
        self, model: nn.Module, loss: Loss, asked: Candidates, retained: AuxiliaryData | None
    ) -> nn.Module:
        """Return a copy of the model in which the mean loss of the records asked about is higher.

        It is raised by `rise`, or as far as `steps` go, in evaluation mode; the copy comes back
        in training mode.
        """
        model = deepcopy(model).eval()
        parameters = [p for p in model.parameters() if p.requires_grad]
        aim: float | None = None
        for _ in range(self.steps):
            with torch.enable_grad():
                height = loss(model(asked.inputs), asked.targets)
            aim = float(height.detach()) + self.rise if aim is None else aim
            if not float(height.detach()) < aim:
                break
            up = _slope(height, parameters)
            if retained is not None:
                with torch.enable_grad():
                    rest = loss(model(retained.inputs), retained.targets)
                up = _apart(up, _slope(rest, parameters), self.retain)
            with torch.no_grad():
                scale = self.step_size / up.norm().clamp_min(_NOTHING)
                parts = (scale * up).split([p.numel() for p in parameters])
                for parameter, part in zip(parameters, parts, strict=True):
                    parameter += part.view_as(parameter)
        return model.train()


def _slope(value: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    """Return the gradient of a value as one vector; 0 where a parameter has no part in it."""
    slopes = torch.autograd.grad(value, parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([slope.flatten() for slope in slopes])


def _apart(up: Tensor, others: Tensor, weight: float) -> Tensor:
    """Return the ascent without what raises the loss of others, and with a descent on it."""
    shared = (up @ others / others.square().sum().clamp_min(_NOTHING)).clamp_min(0)
    return up - (shared + weight) * others


def _retained(knowledge: ServerKnowledge, rng: torch.Generator) -> AuxiliaryData | None:
    known = knowledge.fact(AuxiliaryData)
    if known is None:
        return None
    chosen = torch.randperm(len(known.targets), generator=rng)[:RETAINED]
    return AuxiliaryData(known.inputs[chosen], known.targets[chosen])
