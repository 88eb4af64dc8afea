"""A step of DPSGD against opacus's ghost clipping used directly, interleaved in one process.

Both clip the same batch of the same model, add noise and move the parameters. The order of the
two changes from repetition to repetition, so that neither is always the warmer one.

    python benchmarks/dp_sgd_step.py --out benchmarks/results/dp_sgd_step.md
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from statistics import median

import torch
from opacus.grad_sample import GradSampleModuleFastGradientClipping
from opacus.optimizers import DPOptimizerFastGradientClipping
from opacus.utils.fast_gradient_clipping_utils import DPLossFastGradientClipping
from torch import Tensor, nn
from torch.nn import functional as F

from seepage.core.defense import LocalStep
from seepage.defenses.dp.records.dp_sgd import DPSGD

NOISE, CLIP, RATE = 1.0, 1, 0.1
BATCHES = (16, 64, 256)
GOAL = 1.1
# Opacus says of every first layer that its hook fires on outputs.
warnings.filterwarnings("ignore", message="Full backward hook is firing")


def mlp() -> nn.Module:
    """Return 784-256-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def cnn() -> nn.Module:
    """Return two convolutions, with 16 and 32 channels, and one linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(16, 32, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 7 * 7, 10),
    )


def opacus_step(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Return one step as opacus's documentation of ghost clipping has it."""
    hooked = GradSampleModuleFastGradientClipping(model, max_grad_norm=CLIP)
    optimizer = DPOptimizerFastGradientClipping(
        torch.optim.SGD(hooked.parameters(), lr=RATE),
        noise_multiplier=NOISE,
        max_grad_norm=CLIP,
        expected_batch_size=len(x),
    )
    loss = DPLossFastGradientClipping(hooked, optimizer, nn.CrossEntropyLoss())

    def step() -> None:
        """Clip, noise and move."""
        optimizer.zero_grad()
        hooked.enable_hooks()
        loss(hooked(x), y).backward()
        optimizer.step()

    return step


def own_step(model: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Return one step as a client of a seepage job takes it."""
    defense = DPSGD(noise_multiplier=NOISE, max_grad_norm=CLIP)
    rng = torch.Generator().manual_seed(0)
    local = LocalStep(model=model, loss=F.cross_entropy, inputs=x, targets=y, expected_batch=len(x))
    parameters = dict(model.named_parameters())

    def step() -> None:
        """Clip, noise and move."""
        gradient = defense.gradient(local, rng)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.sub_(gradient[name], alpha=RATE)

    return step


def race(build: Callable[[], nn.Module], batch: int, seconds: float) -> tuple[float, float, int]:
    """Return the median CPU seconds of a step (own, opacus) and the number of repetitions."""
    torch.manual_seed(0)
    model = build().train()
    x, y = torch.rand(batch, 1, 28, 28), torch.randint(0, 10, (batch,))
    steps = (own_step(deepcopy(model), x, y), opacus_step(deepcopy(model), x, y))
    for _ in range(5):
        for step in steps:
            step()
    taken: tuple[list[float], list[float]] = ([], [])
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end or number < 20:
        for which in ((0, 1), (1, 0))[number % 2]:
            started = time.process_time()
            steps[which]()
            taken[which].append(time.process_time() - started)
        number += 1
    return median(taken[0]), median(taken[1]), number


def main() -> None:
    """Race, print the table, and write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each race")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# A DPSGD step against opacus ghost clipping used directly",
        "",
        f"CPU milliseconds of one step (median), one thread, torch {torch.__version__}, the two "
        f"interleaved. Goal: ratio at most {GOAL}.",
        "",
        "| model | batch | seepage | opacus | ratio | repetitions |",
        "|---|---|---|---|---|---|",
    ]
    for name, build in (("MLP 784-256-10", mlp), ("CNN 16-32", cnn)):
        for batch in BATCHES:
            own, peer, n = race(build, batch, given.seconds)
            lines.append(
                f"| {name} | {batch} | {own * 1e3:.2f} | {peer * 1e3:.2f} "
                f"| {own / peer:.2f} | {n} |"
            )
            print(lines[-1], flush=True)
    if given.out:
        given.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
