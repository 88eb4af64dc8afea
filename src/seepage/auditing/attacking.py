"""Runs one attack on many views: one by one, or over processes where that pays."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from ..core.attack import Attack
from ..core.claims import Claim, Reconstruction
from ..core.views import View
from ..fl.processes import WORTH_PROCESSES, over_processes

WARM_UP = 2
"""Views that are not timed: the first ones pay for what is loaded late."""


def attack_all(
    attack: Attack, views: Sequence[View], rngs: Sequence[torch.Generator]
) -> list[Claim]:
    """Return the claim on each view, each with a generator of its own.

    The claims do not depend on how the work is spread: every process computes with one
    thread, and no draw is shared.
    """
    claims: list[Claim] = []
    cores = os.cpu_count() or 1
    started = time.perf_counter()
    for done, (view, rng) in enumerate(zip(views, rngs, strict=True), 1):
        claims.append(timed(attack, view, rng))
        if done <= WARM_UP:
            started = time.perf_counter()
            continue
        each = (time.perf_counter() - started) / (done - WARM_UP)
        if cores > 1 and each * (len(views) - done) > WORTH_PROCESSES:
            return claims + _parallel(attack, views[done:], rngs[done:], cores)
    return claims


def _parallel(
    attack: Attack, views: Sequence[View], rngs: Sequence[torch.Generator], cores: int
) -> list[Claim]:
    states = [rng.get_state() for rng in rngs]
    parts = zip(views, states, strict=True)
    return list(over_processes(partial(_attack_one, attack), parts, cores))


def _attack_one(attack: Attack, asked: tuple[View, torch.Tensor]) -> Claim:
    view, state = asked
    rng = torch.Generator()
    rng.set_state(state)
    return timed(attack, view, rng)


def timed(attack: Attack, view: View, rng: torch.Generator) -> Claim:
    """Return the claim; a reconstruction says the CPU seconds that it took."""
    started = time.process_time()
    claim = attack(view, rng)
    if not isinstance(claim, Reconstruction):
        return claim
    return replace(claim, seconds=time.process_time() - started)
