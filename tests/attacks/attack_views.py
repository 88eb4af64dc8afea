"""Small models, and views made by hand, that the tests of several attacks share."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reproducible import digits, rng
from seepage.core.cards import DefenseCard
from seepage.core.threat import Observer
from seepage.core.views import (
    AggregateView,
    AuxiliaryData,
    BatchSize,
    JobFacts,
    ServerKnowledge,
    Simulated,
    Simulation,
    UpdateView,
)

LR = 0.1
GALLERY = 496


def seeded(build: Any, seed: int = 0) -> nn.Module:
    """Build a model under a seed; the global generator stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def mlp(width: int, act: type[nn.Module] = nn.ReLU, bias: bool = True) -> nn.Module:
    """Return one hidden layer, of which the first may have no bias."""
    return seeded(
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(64, width, bias=bias), act(), nn.Linear(width, 10)
        )
    )


def lenet(act: type[nn.Module] = nn.ReLU) -> nn.Module:
    """Return two convolutions and a linear layer, drawn wide for a sigmoid."""

    def build() -> nn.Module:
        """Return it, with weights of the global generator."""
        model = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            act(),
            nn.Conv2d(8, 8, 3, padding=1),
            act(),
            nn.Flatten(),
            nn.Linear(128, 10),
        )
        if act is nn.Sigmoid:
            for parameter in model.parameters():
                nn.init.uniform_(parameter, -0.5, 0.5)
        return model

    return seeded(build)


def batch_norm_net() -> nn.Module:
    """Return a convolution with batch normalization, and a linear layer."""
    return seeded(
        lambda: nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(),
            nn.Linear(384, 10),
        )
    )  # fmt: skip


@cache
def trained_mlp(width: int, rounds: int = 40, batch: int = 4) -> nn.Module:
    """Federated averaging of 8 clients with one step of `batch` digits a round, lr .1."""
    x, y = digits()
    order = rng(1)
    model = mlp(width)
    for _ in range(rounds):
        # The mean of equal batches' gradients is that of their union.
        draws = [c * 100 + torch.randperm(100, generator=order)[:batch] for c in range(8)]
        union = torch.cat(draws)
        slopes = gradient_of(model, x[union], y[union])
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter -= LR * slopes[name]
    return model


def fitted(model: nn.Module, x: Tensor, y: Tensor, steps: int) -> nn.Module:
    """Take steps of SGD with momentum on batches of 32, and return the model."""
    order = rng(2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(steps):
        index = torch.randint(len(x), (32,), generator=order)
        optimizer.zero_grad()
        F.cross_entropy(model(x[index]), y[index]).backward()
        optimizer.step()
    return model


def draw(seed: int, size: int) -> Tensor:
    """Indices of digits that no auxiliary record and no gallery shares."""
    return torch.randperm(800, generator=rng(seed))[:size]


def auxiliary() -> AuxiliaryData:
    """The attacker's own digits."""
    x, y = digits()
    return AuxiliaryData(x[1300:], y[1300:])


def gallery(originals: Tensor) -> Tensor:
    """The originals among digits that no attack saw."""
    return torch.cat([originals, digits()[0][800 : 800 + GALLERY]])


def flat(update: Any) -> Tensor:
    """Return all values of an update as one vector."""
    return torch.cat([value.detach().flatten() for value in update.values()])


def gradient_of(model: nn.Module, x: Tensor, y: Tensor, loss: Any = None) -> dict[str, Tensor]:
    """Return the gradient of the mean loss by parameter, cross-entropy if none is given."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    slopes = torch.autograd.grad((loss or F.cross_entropy)(model(x), y), parameters)
    return dict(zip(names, slopes, strict=True))


def gradient_update(model: nn.Module, x: Tensor, y: Tensor, loss: Any = None) -> dict[str, Tensor]:
    """Return the update that one step makes of the gradient, not rounded with the weights."""
    return {name: -LR * slope for name, slope in gradient_of(model, x, y, loss).items()}


def update_of(model: nn.Module, *batches: tuple[Tensor, Tensor], lr: float = LR) -> dict[str, Any]:
    """New minus old parameters after one SGD step on each batch, in float32 as clients do."""
    local = deepcopy(model)
    optimizer = torch.optim.SGD(local.parameters(), lr)
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(local(x), y).backward()
        optimizer.step()
    old = dict(model.named_parameters())
    return {n: p.detach() - old[n].detach() for n, p in local.named_parameters()}


def noisy(update: dict[str, Tensor], sd: float, seed: int = 0) -> dict[str, Tensor]:
    """Return an update under Gaussian noise."""
    order = rng(seed)
    return {n: u + sd * torch.randn(u.shape, generator=order) for n, u in update.items()}


def top_k(update: dict[str, Tensor], fraction: float) -> dict[str, Tensor]:
    """Return an update of which only the largest values are sent, without the defense's code."""
    sizes = flat(update).abs()
    least = sizes.topk(int(fraction * len(sizes))).values[-1]
    return {name: u * (u.abs() >= least) for name, u in update.items()}


def defense_card(name: str, **settings: Any) -> DefenseCard:
    """Return what attackers are told of a defense."""
    return DefenseCard(
        name=name,
        summary="",
        implementation="",
        mechanism="",
        guarantee="heuristic",
        adaptive_attacks=(),
        settings=settings,
    )


def job(**changes: Any) -> JobFacts:
    """Return a job on digits with 8 clients, one local step each."""
    facts: dict[str, Any] = {
        "input_shape": (1, 8, 8),
        "classes": 10,
        "value_range": (0.0, 1.0),
        "clients": 8,
        "cohort": 8,
        "local_steps": 1,
        "lr": LR,
    }
    return JobFacts(**{**facts, **changes})


def known(
    *facts: Any,
    defenses: tuple[Any, ...] = (),
    observer: Observer = Observer.HONEST_SERVER,
    **changes: Any,
) -> dict[str, Any]:
    """Return what all views of an observer have alike; `changes` are the job's."""
    told = {"observer": observer, "job": job(**changes), "loss": F.cross_entropy}
    return {**told, "facts": facts, "defenses": defenses}


def jittered(model: nn.Module, seed: int) -> nn.Module:
    """Return the model with a little noise on every parameter."""
    noise = rng(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=noise)
    return model


def simulation(width: int, records: int = 12, steps: int = 3) -> Simulation:
    """A way to train an MLP of the job on parts of a pool, as if it were a federation."""

    def train(
        pool: AuxiliaryData, parts: Sequence[Tensor], rounds: Sequence[int], seed: int
    ) -> list[Simulated]:
        """Fit a model to each part; its last state stands for those before all rounds."""
        found: list[Simulated] = []
        for k, part in enumerate(parts):
            start = jittered(mlp(width), seed + k)
            model = fitted(start, pool.inputs[part], pool.targets[part], steps)
            state = {n: v.detach().clone() for n, v in model.state_dict().items()}
            found.append(Simulated(model.eval(), (state,) * len(rounds)))
        return found

    return Simulation(records=records, train=train)


def update_view(
    model: nn.Module, update: dict[str, Tensor], *facts: Any, **changes: Any
) -> UpdateView:
    """Return the view of one client's update."""
    return UpdateView(round=0, client=0, model=model, update=update, **known(*facts, **changes))


def aggregate_view(
    model: nn.Module,
    updates: list[dict[str, Tensor]],
    *facts: Any,
    sent: dict[int, nn.Module] | None = None,
    **changes: Any,
) -> AggregateView:
    """Return the view of the mean of several clients' updates."""
    mean: dict[str, Any] = {n: sum(u[n] for u in updates) / len(updates) for n in updates[0]}
    return AggregateView(
        round=0,
        contributors=len(updates),
        model=model,
        aggregate=mean,
        sent=sent or {},
        **known(*facts, **changes),
    )


def view_of(model: nn.Module, index: Tensor, *facts: Any, noise: float = 0.0) -> UpdateView:
    """The honest server's view of one step on the digits at `index`."""
    x, y = digits()
    update = noisy(update_of(model, (x[index], y[index])), noise, seed=int(index[0]))
    return update_view(model, update, BatchSize(len(index)), *facts)


def knowledge(
    model: nn.Module, *facts: Any, cohort: tuple[int, ...] = (0,), **changes: Any
) -> ServerKnowledge:
    """Return what a malicious server knows before its move."""
    common = known(*facts, observer=Observer.MALICIOUS_SERVER, **changes)
    return ServerKnowledge(round=0, model=model, cohort=cohort, **common)


def moved(
    attack: Any, model: nn.Module, *facts: Any, clients: int = 1, seed: int = 0, **changes: Any
) -> nn.Module:
    """Return what an attack sends; if not told, it knows of batches of 16, and auxiliary digits."""
    facts = facts or (auxiliary(), BatchSize(16))
    told = knowledge(model, *facts, cohort=tuple(range(clients)), **changes)
    return attack.act(told, rng(seed)).models[0]


def seen(
    sent: nn.Module, *batches: Tensor, facts: Any = None, **changes: Any
) -> UpdateView | AggregateView:
    """The malicious server's view of one batch, or of the mean over a client for each of several.

    A batch is the indices of digits.
    """
    x, y = digits()
    updates = [update_of(sent, (x[index], y[index])) for index in batches]
    facts = (BatchSize(len(batches[0])),) if facts is None else facts
    changes["observer"] = Observer.MALICIOUS_SERVER
    if len(batches) == 1:
        return update_view(sent, updates[0], *facts, **changes)
    return aggregate_view(sent, updates, *facts, **changes)
