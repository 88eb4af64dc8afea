"""One record's release under a defense, what an attacker sees of it, and whom he picks.

The worst case that an epsilon speaks of: a client's step rests on one record (or all its others
are known), at a model that stands still. T releases of it then are one release with noise that
is sqrt(T) times smaller, which is how repeated queries are drawn here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from image_sets import Images
from torch import Tensor, nn
from victims import server

from seepage.attacks.api import attack_view
from seepage.attacks.clipped_gradients import clipped_gradients, longest_gradient, shortened
from seepage.attacks.gradient_noise import flat_deviations, gradient_noise
from seepage.attacks.membership.gaussian_release import log_likelihood_ratios
from seepage.core.cards import DefenseCard
from seepage.core.claims import Reconstruction
from seepage.core.defense import Defense, LocalStep
from seepage.core.views import AuxiliaryData, BatchSize, HistoryView, SeenRound, UpdateView

LR = 0.1
Update = dict[str, Tensor]


def released(defense: Defense, model: nn.Module, record: Images, rng: torch.Generator) -> Update:
    """Return the update that leaves a client after one step on one record."""
    step = LocalStep(
        model=model, loss=F.cross_entropy, inputs=record.x, targets=record.y, expected_batch=1
    )
    gradient = defense.gradient(step, rng) or _plain(model, record)
    return dict(defense.protect_update({n: -LR * g for n, g in gradient.items()}, rng))


def _plain(model: nn.Module, record: Images) -> Update:
    loss = F.cross_entropy(model(record.x), record.y)
    named = dict(model.named_parameters())
    return dict(zip(named, torch.autograd.grad(loss, [*named.values()]), strict=True))


def seen(model: nn.Module, card: DefenseCard, update: Update, auxiliary: Images) -> UpdateView:
    """Return the server's view of it, who takes the defense for the one of `card`."""
    held = AuxiliaryData(auxiliary.x, auxiliary.y)
    told = server(auxiliary.shape, BatchSize(1), held, lr=LR, clients=1)
    return UpdateView(client=0, model=model, update=update, defenses=(card,), **told)


def history(view: UpdateView) -> HistoryView:
    """Return the same as a history of one round."""
    state = {n: v.detach() for n, v in view.model.state_dict().items()}
    return HistoryView(
        observer=view.observer,
        job=view.job,
        loss=view.loss,
        defenses=view.defenses,
        facts=view.facts,
        client=0,
        model=view.model,
        rounds=(SeenRound(0, state, {0: view.update}),),
    )


def reconstructed(name: str, view: UpdateView, rng: torch.Generator) -> Tensor | None:
    """Return what an attack makes of the record, `[1, *shape]`; None where it claims nothing."""
    claim = attack_view(name, history(view), rng)
    assert isinstance(claim, Reconstruction)
    return claim.inputs[:1] if len(claim.inputs) else None


def contributions(view: UpdateView, candidates: Images) -> tuple[Tensor, Tensor]:
    """Return what each candidate's gradient would be, clipped as the view's card says, `[n, p]`,

    and the deviations of the noise on it, `[p]`.
    """
    like = dict(view.update)
    state = {n: v.detach() for n, v in view.model.state_dict().items()}
    chunks = clipped_gradients(
        view, candidates.x, candidates.y, like=like, state=state, number=view.round
    )
    rows = [torch.cat([g.flatten(1) for g in chunk.values()], 1) for chunk in chunks]
    noise = gradient_noise(view.defenses, view.job, like, number=view.round, batch=1)
    assert noise is not None
    return shortened(torch.cat(rows), longest_gradient(view)), flat_deviations(noise, like)


def ratios(updates: Sequence[Update], found: tuple[Tensor, Tensor]) -> Tensor:
    """Return each candidate's log-likelihood ratio for each release, `[v, n]`.

    The candidate-test's scores where one record is behind a release.
    """
    flat = torch.stack([torch.cat([u.flatten() for u in update.values()]) for update in updates])
    return log_likelihood_ratios(flat.to(found[0].dtype) / -LR, *found)


def lengths(model: nn.Module, card: DefenseCard, records: Images) -> Tensor:
    """Return the norms of records' gradients over the card's scales, `[n]`."""
    from seepage.attacks.record_defenses import record_defense

    like = {n: p.detach() for n, p in model.named_parameters()}
    open_card = replace(card, settings={**card.settings, "max_grad_norm": float("inf")})
    view = seen(model, open_card, like, records)
    scales: Any = record_defense([card], like, 0)
    state = {n: v.detach() for n, v in model.state_dict().items()}
    found: list[Tensor] = []
    for chunk in clipped_gradients(view, records.x, records.y, like=like, state=state, number=0):
        over = [(g / scales.scales[n]).flatten(1) for n, g in chunk.items()]
        found.append(torch.cat(over, 1).norm(dim=1))
    return torch.cat(found)
