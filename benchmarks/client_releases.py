"""What a client's defended updates tell of the one record behind them, at epsilon 1.5.

Worst case: the client's whole update is one record's, and whoever attacks a sum knows every
other update in it. Twenty rounds at one model are one release of their mean.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Any

import torch
from client_noise import DATA, DELTA, EPSILON, REAL, multiplier
from federated_tasks import publicly_trained, records, task_of
from image_sets import Images
from noisy_releases import LR, Update, contributions, lengths, ratios, reconstructed, released, seen
from torch import Tensor, nn

from seepage.accounting.gaussian import epsilon_of, mu_of
from seepage.core.defense import Defense
from seepage.core.seeds import torch_rng
from seepage.defenses.dp.distributed_dp import DistributedDP
from seepage.defenses.dp.local_dp import LocalDP
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.metrics.reconstruction import identified, psnr

ROUNDS, SHORTLIST, CLEAR = 20, 20, 20.0
QUIET = 1e-3


@dataclass(frozen=True)
class Look:
    """Who looks at which mechanism; `budget` is of all rounds or of each."""

    data: str
    mechanism: str
    observer: str
    budget: str

    @property
    def key(self) -> str:
        return f"{self.data} / {self.mechanism} / {self.observer} / {self.budget}"

    @property
    def mu(self) -> float:
        """What the guarantee allows this observer in total, `inf` for none."""
        if self.mechanism == "none" or (self.mechanism, self.observer) == ("CentralDP", "server"):
            return inf
        return mu_of(EPSILON, DELTA) * (sqrt(ROUNDS) if "each" in self.budget else 1)

    @property
    def epsilon(self) -> float:
        """The total epsilon of `mu`."""
        return epsilon_of(self.mu, DELTA)


def every_look() -> Iterator[Look]:
    """Every row."""
    for data in DATA:
        yield Look(data, "none", "server", "no noise")
        for budget in ("1.5 in total", "1.5 each round"):
            yield Look(data, "LocalDP", "server", budget)
            yield Look(data, "CentralDP", "other clients", budget)
            yield Look(data, "DistributedDP", "server", budget)
        yield Look(data, "CentralDP", "server", "1.5 in total")


class Victims:
    """One-record clients of a linear model, and what is public."""

    def __init__(self, data: str) -> None:
        task = task_of(data, {"name": "logistic"}, clients=REAL, rounds=1)
        self.model: nn.Module = publicly_trained(task, 0)
        self.public = records([task.auxiliary])
        self.candidates: Images = records([c.train for c in task.clients])[:1000]
        shortest = lengths(self.model, DPSGD().card, self.public[:300]).quantile(torch.tensor(0.05))
        self.norm = LR * float(shortest)
        self.dimension = sum(p.numel() for p in self.model.parameters())


def noise(look: Look, dimension: int) -> float:
    """Return the noise that the mean of all rounds leaves on one update, in clipping norms."""
    if look.mu == inf:
        return QUIET
    rounds = 1 if "each" in look.budget else ROUNDS
    return multiplier(look.mechanism, rounds, REAL, dimension) / sqrt(ROUNDS)


def release(look: Look, victims: Victims, record: Images, rng: torch.Generator) -> Update:
    """Return what the observer learns of one client's update."""
    z, norm = noise(look, victims.dimension), victims.norm
    if look.mechanism != "DistributedDP":  # a sum less all known updates is the update and noise
        return released(LocalDP(noise_multiplier=z, max_norm=norm), victims.model, record, rng)
    defense = DistributedDP(
        noise_multiplier=z, max_norm=norm, threshold=REAL, dimension=victims.dimension
    )
    plain: Defense = Defense()
    own = released(plain, victims.model, record, rng)
    sent = [defense.protect_update(own, rng)]
    silent = {n: torch.zeros_like(v) for n, v in own.items()}
    sent += [defense.protect_update(silent, rng) for _ in range(REAL - 1)]
    mean = {n: torch.stack([u[n] for u in sent]).sum(0) / REAL for n in own}
    total = defense.protect_aggregate(mean, REAL, rng)
    return {n: (v * REAL).float() for n, v in total.items()}


def run(look: Look, victims: Victims, picks: int, drawn: int) -> dict[str, Any]:
    """Return hits among all candidates and a shortlist, their nulls, and reconstructions."""
    candidates = victims.candidates
    updates = [
        release(look, victims, candidates[i : i + 1], torch_rng(0, look.key, i))
        for i in range(picks)
    ]
    card = LocalDP(noise_multiplier=noise(look, victims.dimension), max_norm=victims.norm).card
    view = seen(victims.model, card, updates[0], victims.public)
    scores = ratios(updates, contributions(view, candidates))
    truth = torch.arange(picks)
    listed = _shortlists(picks, len(candidates.y))
    short = scores.gather(1, listed).argmax(1) == 0
    other = scores.roll(1, 0).gather(1, listed).argmax(1) == 0
    claims = [
        reconstructed("posterior-mean", replace(view, update=u), torch_rng(0, "attack"))
        for u in updates[:drawn]
    ]
    mean = victims.public.x.mean(0, keepdim=True)
    guesses = torch.cat([mean if c is None else c for c in claims])
    truths = candidates.x[:drawn]
    return {
        "mu": look.mu,
        "epsilon": look.epsilon,
        "candidates": len(candidates.y),
        "picked": _floats(scores.argmax(1) == truth),
        "null": _floats(scores.argmax(1).roll(1) == truth),
        "short": _floats(short),
        "short_null": _floats(other),
        "psnr": psnr(guesses, truths).clamp(max=99).tolist(),
        "mean_psnr": psnr(mean.expand_as(truths), truths).tolist(),
        "identified": [
            float(identified(g[None], t[None], candidates.x)[0])
            for g, t in zip(guesses, truths, strict=True)
        ],
    }


def _shortlists(count: int, candidates: int) -> Tensor:
    """Return the truth and others by release, `[count, SHORTLIST]`, the truth first."""
    lists: list[Tensor] = []
    for i in range(count):
        order = torch.randperm(candidates, generator=torch_rng(0, "shortlist", i))
        lists.append(torch.cat([torch.tensor([i]), order[order != i][: SHORTLIST - 1]]))
    return torch.stack(lists)


def _floats(hits: Tensor) -> list[float]:
    return hits.double().tolist()
