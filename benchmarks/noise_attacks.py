"""The best attacks on Gaussian noise, beside what theory says they reach and may reach.

Prints a markdown page; everything is of scikit-learn's digits, or made up.

    python benchmarks/noise_attacks.py > benchmarks/results/noise_attacks.md
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import sqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from noisy_jobs import AUXILIARY, DELTA, X, Y, history, net, rng, told
from result_tables import head, line
from torch import Tensor, nn

from seepage.accounting.bounds import antipodal_success, orthogonal_success, rero_bound
from seepage.accounting.gaussian import epsilon_of
from seepage.attacks.api import attack_view
from seepage.attacks.membership.gaussian_release import best_pick, log_likelihood_ratios
from seepage.core.intervals import clopper_pearson
from seepage.core.views import (
    AuxiliaryData,
    BatchSize,
    Candidates,
    UpdateView,
)
from seepage.defenses.dp.records.coordinate_scales import public_scales
from seepage.defenses.dp.records.dp_sgd import DPSGD
from seepage.defenses.dp.records.per_coordinate_dp import PerCoordinateDP
from seepage.metrics.membership import AUC
from seepage.metrics.reconstruction import identified

MUS = (0.39, 2.0, 5.0)
GALLERY = slice(800, 1300)


def interval(hits: int, n: int) -> str:
    """Return a rate and its 95 % limits."""
    low, high = clopper_pearson(hits, n)
    return f"{hits / n:.4f} [{low:.4f}, {high:.4f}]"


def above(hits: int, n: int, bound: float) -> str:
    """Say whether the lower limit of a rate is above a bound."""
    return "YES" if clopper_pearson(hits, n)[0] > bound else "no"


def picks(contributions: Tensor, draws: int, seed: int) -> int:
    """Return how often the best pick is right, under noise of deviation 1."""
    order, hits = rng(seed), 0
    for some in torch.zeros(draws).split(2000):
        truth = torch.randint(len(contributions), some.shape, generator=order)
        noise = torch.randn(len(some), contributions.shape[1], generator=order)
        ratios = log_likelihood_ratios(
            contributions[truth] + noise, contributions, torch.ones(contributions.shape[1])
        )
        hits += int((best_pick(ratios) == truth).sum())
    return hits


def candidates_page(draws: int) -> Iterator[str]:
    """Yield the table of picks among n candidates."""
    yield f"\n## One of n candidates, Bayes-optimal pick, {draws} releases each\n"
    yield head("mu", "candidates", "picked [95 %]", "theory", "ReRo bound", "lower limit above it")
    for mu in MUS:
        for n in (10, 100, 1000):
            hits, bound = picks(mu * torch.eye(n), draws, 7 + n), rero_bound(mu, 1 / n)
            theory = f"{orthogonal_success(mu, n):.4f}"
            cells = interval(hits, draws), theory, f"{bound:.4f}", above(hits, draws, bound)
            yield line((mu, f"{n} orthogonal", *cells))
        hits, bound = picks(mu * torch.tensor([[1.0], [-1.0]]), draws, 2), rero_bound(mu, 0.5)
        theory = f"{antipodal_success(mu):.4f}"
        cells = interval(hits, draws), theory, f"{bound:.4f}", above(hits, draws, bound)
        yield line((mu, "2 opposite", *cells))


def quiet_page(draws: int) -> Iterator[str]:
    """Yield the table of even and uneven noise against both attackers."""
    model, n = net(steps=60), 300
    yield f"\n## Uneven noise at the same epsilon: one of {n} digits, batch of 1\n"
    yield f"{draws} releases each. Clipped at the median length of public gradients; the fixed"
    yield "attacker takes the noise for even.\n"
    yield head("defense", "mu", "epsilon", "whitening attacker", "fixed attacker", "ReRo bound")
    public = X[AUXILIARY], Y[AUXILIARY]
    scales = public_scales(model, F.cross_entropy, *public)
    even = {name: (1.0,) * len(scale) for name, scale in scales.items()}
    for mu in (2.0, 5.0):
        for name, chosen in (("even", even), ("scales of public gradients", scales)):
            defense = PerCoordinateDP(
                noise_multiplier=1 / mu,
                max_grad_norm=median_length(model, chosen),
                source="public",
                scales=chosen,
            )
            hits = [0, 0]
            blind = replace(defense.card, name="unknown")
            for seed in range(draws):
                truth = int(torch.randint(n, (), generator=rng(seed)))
                view = history(
                    defense, model, [torch.tensor([truth])], 1, seed, Candidates(X[:n], Y[:n])
                )
                for who, card in enumerate((defense.card, blind)):
                    seen = replace(view, defenses=(card,))
                    scores: Any = attack_view("candidate-test", seen, rng(0), sample_rate=1.0)
                    hits[who] += int(scores.scores.argmax()) == truth
            epsilon, bound = epsilon_of(mu, DELTA), rero_bound(mu, 1 / n)
            rates = [interval(h, draws) for h in hits]
            yield line((name, mu, f"{epsilon:.2f}", *rates, f"{bound:.3f}"))


def median_length(model: nn.Module, scales: dict[str, tuple[float, ...]]) -> float:
    """Return the median norm of public records' gradients over their scales."""
    lengths: list[float] = []
    for i in range(1300, 1400):
        loss = F.cross_entropy(model(X[i : i + 1]), Y[i : i + 1])
        slopes = torch.autograd.grad(loss, [*model.parameters()])
        over = [
            s.flatten() / torch.tensor(scales[name])
            for (name, _), s in zip(model.named_parameters(), slopes, strict=True)
        ]
        lengths.append(float(torch.cat(over).norm()))
    return float(np.median(lengths))


def row_estimate(view: UpdateView) -> Tensor:
    """Return the record by the noiseless formula, from the noisy gradient."""
    weight, bias = view.update["1.weight"], view.update["1.bias"]
    return (weight.T @ bias / (bias @ bias)).clamp(0, 1).view(1, 1, 8, 8)


def reconstruction_page(draws: int) -> Iterator[str]:
    """Yield the table of reconstructions of one digit, by noise and rounds."""
    model, held = net(steps=60), AuxiliaryData(X[AUXILIARY], Y[AUXILIARY])
    mean = held.inputs.mean(0, keepdim=True)
    yield f"\n## Reconstruction of one digit under DP-SGD, batch of 1, {draws} digits\n"
    yield "Squared error a pixel; identified: picks its original among 501 digits.\n"
    yield head(
        "noise multiplier", "rounds", "mu", "epsilon", "posterior-mean", "averaged",
        "row estimate, round 1", "mean digit", "identified (posterior-mean)",
        "identified (averaged)", "ReRo bound", "lower limit above it",
    )  # fmt: skip
    for z in (0.01, 0.03, 0.1, 0.3, 1.0, 3.0):
        defense = DPSGD(noise_multiplier=z)
        for rounds in (1, 8):
            errors, found = np.zeros((draws, 4)), np.zeros((draws, 2))
            for seed in range(draws):
                index = torch.tensor([seed])
                view = history(defense, model, [index] * rounds, 1, seed, held)
                first = UpdateView(
                    round=0, client=0, model=model, update=view.rounds[0].updates[0],
                    **told(defense, BatchSize(1)),
                )  # fmt: skip
                claims: list[Any] = [
                    attack_view(name, view, rng(0)).inputs  # pyright: ignore[reportAttributeAccessIssue]
                    for name in ("posterior-mean", "averaged")
                ]
                guesses = [claims[0][:1], claims[1][:1], row_estimate(first), mean]
                errors[seed] = [error(guess, X[index]) for guess in guesses]
                gallery = torch.cat([X[index], X[GALLERY]])
                found[seed] = [
                    float(len(c) > 0 and bool(identified(c[:1], X[index], gallery)[0]))
                    for c in claims
                ]
            mu = sqrt(rounds) / z
            bound, hits = rero_bound(mu, 1 / 501), found.sum(0).astype(int).tolist()
            yield line((
                z, rounds, f"{mu:.3g}", f"{epsilon_of(mu, DELTA):.3g}",
                *[f"{e:.4f}" for e in np.nanmean(errors, 0)],
                *[f"{h / draws:.2f}" for h in hits], f"{bound:.3f}",
                above(max(hits), draws, bound),
            ))  # fmt: skip


def error(guess: Tensor, truth: Tensor) -> float:
    """Return the squared error a pixel, NaN where nothing was claimed."""
    return float((guess - truth).square().mean()) if len(guess) else float("nan")


def membership_page(clients: int) -> Iterator[str]:
    """Yield the table of membership attacks on Poisson batches of DP-SGD."""
    yield "\n## Membership in a client's 40 digits: 10 rounds, Poisson batches of 8\n"
    yield f"Mean AUC over {clients} clients, half of 80 candidates members; all are clipped to 1.\n"
    yield head("noise multiplier", "candidate-test", "gradient-cosine")
    for z in (0.0, 0.25, 0.5, 1.0, 2.0):
        defense = DPSGD(noise_multiplier=z)
        areas = np.zeros((clients, 2))
        for seed in range(clients):
            order = rng(1000 + seed)
            asked = torch.randperm(1300, generator=order)[:80]
            batches = [asked[:40][torch.rand(40, generator=order) < 0.2] for _ in range(10)]
            facts = Candidates(X[asked], Y[asked])
            view = history(defense, net(), batches, 8, seed, facts)
            for who, name in enumerate(("candidate-test", "gradient-cosine")):
                scores: Any = attack_view(name, view, rng(0))
                values = scores.scores.double().numpy()
                areas[seed, who] = AUC.of(values[:40], values[40:]).value
        cells = zip(areas.mean(0), areas.std(0, ddof=1) / sqrt(clients), strict=True)
        yield line((z, *[f"{m:.3f} (se {s:.3f})" for m, s in cells]))


def main() -> None:
    """Print the page."""
    torch.set_num_threads(1)
    print("# The best attacks on Gaussian noise")
    print(f"\nEpsilon at delta {DELTA:g}, add-remove, everything released (no amplification).")
    parts: list[Callable[[], Iterator[str]]] = [
        partial(candidates_page, 60_000),
        partial(quiet_page, 150),
        partial(reconstruction_page, 40),
        partial(membership_page, 20),
    ]
    for part in parts:
        for row in part():
            print(row, flush=True)


if __name__ == "__main__":
    main()
