"""A small overfit federation, made by hand, and the views of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from attack_views import job as job_on_digits
from attack_views import seeded
from sklearn.datasets import load_digits
from torch import Tensor, nn

from seepage.core.threat import Observer
from seepage.core.views import (
    Candidates,
    HistoryView,
    JobFacts,
    SeenRound,
)
from seepage.metrics.membership import AUC

CLIENTS, HELD, LR = 8, 12, 0.3
RNG = torch.Generator()


@dataclass(frozen=True)
class Federation:
    """The final model, what was sent in each round, and the records of members and others."""

    model: nn.Module
    rounds: tuple[SeenRound, ...]
    shards: list[tuple[Tensor, Tensor]]
    outsiders: tuple[Tensor, Tensor]

    def candidates(self, client: int) -> tuple[Candidates, Tensor]:
        """Return a client's records and the outsiders, and which are members."""
        x, y = self.shards[client]
        inputs = torch.cat([x, self.outsiders[0]])
        member = torch.arange(len(inputs)) < len(x)
        return Candidates(inputs=inputs, targets=torch.cat([y, self.outsiders[1]])), member


def job(classes: int = 10) -> JobFacts:
    """Return what every observer knows of it."""
    facts = {"clients": CLIENTS, "cohort": CLIENTS, "local_steps": 5, "lr": LR}
    return job_on_digits(input_shape=(64,), classes=classes, **facts)


def mlp(seed: int, width: int = 128, *, batch_norm: bool = False) -> nn.Module:
    """Return a wide layer between two linear ones, seeded."""
    middle = [nn.BatchNorm1d(width)] if batch_norm else []
    return seeded(
        lambda: nn.Sequential(nn.Linear(64, width), *middle, nn.ReLU(), nn.Linear(width, 10)), seed
    )


def locally_trained(
    model: nn.Module, state: dict[str, Tensor], x: Tensor, y: Tensor, steps: int
) -> dict[str, Tensor]:
    """Return a client's update after steps on all its records."""
    model.load_state_dict(state)
    for _ in range(steps):
        gradient = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
        with torch.no_grad():
            for p, g in zip(model.parameters(), gradient, strict=True):
                p -= LR * g
    return {n: p.detach() - state[n] for n, p in model.named_parameters()}


def federation(seed: int, rounds: int = 8) -> Federation:
    """Overfit a wide network to a few digits of each client, half of the labels drawn anew."""
    images, labels = map(torch.tensor, load_digits(return_X_y=True))
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=rng)
    x, y = images.float()[order] / 16, labels[order]
    wrong = torch.rand(len(y), generator=rng) < 0.5
    y = torch.where(wrong, torch.randint(0, 10, y.shape, generator=rng), y)
    shards = list(zip(x.split(HELD), y.split(HELD), strict=True))[:CLIENTS]
    model = mlp(seed)
    state = {n: p.detach().clone() for n, p in model.named_parameters()}
    seen: list[SeenRound] = []
    for number in range(rounds):
        updates = {k: locally_trained(model, state, *shards[k], 5) for k in range(CLIENTS)}
        seen.append(SeenRound(number, state, updates))
        state = {n: v + sum(u[n] for u in updates.values()) / CLIENTS for n, v in state.items()}
    model.load_state_dict(state)
    return Federation(model, tuple(seen), shards, (x[200:300], y[200:300]))


def history(
    fed: Federation, asked: int, target: int, rounds: tuple[SeenRound, ...] | None = None
) -> tuple[HistoryView, Tensor]:
    """Return the view of a target's updates, asked about a client's records, and who is one."""
    candidates, member = fed.candidates(asked)
    view = HistoryView(
        observer=Observer.HONEST_SERVER,
        job=job(),
        loss=nn.CrossEntropyLoss(),
        facts=(candidates,),
        client=target,
        model=fed.model,
        rounds=fed.rounds if rounds is None else rounds,
    )
    return view, member


def auc(scores: Tensor, member: Tensor) -> float:
    """Return the area under the ROC curve."""
    assert scores.shape == member.shape
    return AUC.of(scores[member].double().numpy(), scores[~member].double().numpy()).value


def slow_cosines(fed: Federation, seen: SeenRound, candidates: Candidates) -> Tensor:
    """Return cosines `[n, clients]` by one backward pass a candidate, in double precision."""
    model = mlp(0).double()
    model.load_state_dict({n: v.double() for n, v in seen.state.items()})
    rows = []
    for x, y in zip(candidates.inputs.double(), candidates.targets, strict=True):
        loss = F.cross_entropy(model(x[None]), y[None])
        flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        row = []
        for update in seen.updates.values():
            pull = torch.cat([update[name].double().flatten() for name in seen.state])
            row.append(-(flat @ pull) / (flat.norm() * pull.norm()))
        rows.append(torch.stack(row))
    return torch.stack(rows)
