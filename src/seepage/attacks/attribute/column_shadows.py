"""A column from how confident the final model is of a record's label with each value in it.

A model that remembers a record is more confident with its own value than models are that
never saw it. With phi_v the logit of the label's probability given value v, p_v = sigmoid
(phi_v), and out_v the mean of phi_v over shadow federations without the record,

    score_v = a log q_v + b phi_v + c log p_v + d out_v

where q is the imputation; the weights are fitted, as a conditional logit, to auxiliary records
in shadows that were trained on them. Where nothing is remembered all but a are near 0, and
the guess is the imputation's. Without shadows: q_v p(label | v), with q blind to the label
(Fredrikson et al. 2015, "Model Inversion Attacks that Exploit Confidence Information",
section 4; Yeom et al. 2018, arXiv 1709.01604, section 4; Mehnaz et al. 2022, arXiv 2201.09370).
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import cross_entropy, logsigmoid

from ...core.errors import NotApplicableError
from ...core.views import AuxiliaryData, OutputsView, Simulation
from ..membership.candidate_losses import CHUNK
from ..membership.confidence import confidence
from ..memory import content
from .imputation import asked_records, imputed

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...core.views import ModelView, PartialRecords
    from .imputation import Imputation

LEAST_OUT = 0.25
"""Share of the records that each shadow leaves out at least."""
_RIDGE = 1e-3


def from_confidence(view: ModelView | OutputsView, shadows: int) -> Tensor:
    """Return how likely each value is for each record, `[n, k]`.

    What shadows train on depends on nothing but the records asked about, so that observers who
    ask the same of one job share their shadows.

    Raises `NotApplicableError` where there are no auxiliary records, too few for shadows, or
    (without shadows) for regression.
    """
    asked = asked_records(view)
    simulation = view.fact(Simulation)
    seen = _seen(view, asked)
    if simulation is None or not shadows:
        return _fredrikson(view, seen)
    found = imputed(view)
    key = content(("column shadows", shadows), [asked.inputs, asked.targets, found.of_asked])
    seed = int(key[:12], 16)
    rng = torch.Generator().manual_seed(seed)
    pool = _pool(asked, found, rng)
    inside = _inside(len(pool.targets), simulation.records, shadows, view.job.clients, rng)
    parts = [torch.nonzero(row).flatten() for row in inside]
    models = [s.model for s in simulation.train(pool, parts, [], seed)]
    known = replace(asked, inputs=found.known.inputs).completed()
    classes = view.job.classes
    of_known = torch.stack([_phi(m, known, found.known.targets, classes) for m in models])
    of_asked = torch.stack([_phi(m, asked.completed(), asked.targets, classes) for m in models])
    a = len(found.value)
    told = _told(found.of_known, of_known, of_known, inside[:, :a])
    weights = _fit(told[inside[:, :a]], found.value.expand(shadows, -1)[inside[:, :a]])
    asked_of = _told(found.of_asked, seen[None], of_asked, inside[:, a:])
    return (asked_of[0] @ weights).softmax(1)


def _fredrikson(view: ModelView | OutputsView, seen: Tensor) -> Tensor:
    if not view.job.classes:
        raise NotApplicableError(
            "a regression gives its answers no probability: set shadows above 0, for an observer "
            "that can train federations of its own"
        )
    blind = imputed(view, with_label=False)
    return (blind.of_asked.log() + logsigmoid(seen)).softmax(1)


def _seen(view: ModelView | OutputsView, asked: PartialRecords) -> Tensor:
    """Return phi of the records with each value under the target, `[n, k]`."""
    if isinstance(view, OutputsView):
        k = len(asked.codes)
        targets = asked.targets.repeat_interleave(k)
        return confidence(view.outputs, targets, view.job.classes).view(-1, k)
    return _phi(view.model, asked.completed(), asked.targets, view.job.classes)


def _phi(model: nn.Module, completed: Tensor, targets: Tensor, classes: int) -> Tensor:
    """Return phi of records `[n, k, d]` with each value, `[n, k]`."""
    n, k = completed.shape[:2]
    with torch.no_grad():
        parts: list[Any] = [model(chunk) for chunk in completed.flatten(0, 1).split(CHUNK)]
    return confidence(torch.cat(parts), targets.repeat_interleave(k), classes).view(n, k)


def _pool(asked: PartialRecords, found: Imputation, rng: torch.Generator) -> AuxiliaryData:
    """Return auxiliary records, then those asked about with a value drawn by imputation.

    So shadows are as large as the job: a smaller one would remember more than the target.
    """
    drawn = torch.multinomial(found.of_asked, 1, generator=rng)[:, 0]
    whole = asked.completed()[torch.arange(len(drawn)), drawn]
    return AuxiliaryData(
        torch.cat([found.known.inputs, whole]), torch.cat([found.known.targets, asked.targets])
    )


def _inside(pool: int, records: int, shadows: int, clients: int, rng: torch.Generator) -> Tensor:
    """Return which records each shadow trains on, `[s, pool]` bool; each is out of some."""
    out = max(ceil(max(LEAST_OUT, 1 / shadows) * pool), pool - records)
    if shadows < 2 or pool - out < clients:
        raise NotApplicableError(
            f"{pool} records make no {shadows} shadow federations of {clients} clients: give "
            "more auxiliary records, and 2 shadows or more"
        )
    place = torch.randperm(pool, generator=rng)
    first = torch.arange(shadows)[:, None] * pool // shadows
    return (place - first) % pool >= out


def _told(prior: Tensor, phi: Tensor, shadows: Tensor, inside: Tensor) -> Tensor:
    """Return what is told of each value by models with phi `[t, n, k]`: `[t, n, k, 4]`.

    `shadows` `[s, n, k]` are phi of the shadows, of which `inside` `[s, n]` saw the record.
    """
    weight = (~inside).to(shadows.dtype)[:, :, None]
    out = (shadows * weight).sum(0) / weight.sum(0)
    columns = (prior.log().expand_as(phi), phi, logsigmoid(phi), out.expand_as(phi))
    return torch.stack(columns, -1)


def _fit(told: Tensor, value: Tensor) -> Tensor:
    """Return the weights of what is told `[m, k, f]` by which it tells `value` `[m]` best.

    They are pulled to those of the imputation alone.
    """
    start = torch.zeros(told.shape[-1], dtype=torch.float64)
    start[0] = 1
    weights = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        """Return the negative log-likelihood, and the pull."""
        optimizer.zero_grad()
        cost = cross_entropy(told @ weights, value)
        cost = cost + _RIDGE * (weights - start).square().sum()
        cost.backward()
        return cost

    optimizer.step(loss)  # pyright: ignore[reportArgumentType]
    return weights.detach()
