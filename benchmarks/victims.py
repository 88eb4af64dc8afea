"""What clients send and what a server knows, made by hand; how claims are timed and matched."""

from __future__ import annotations

import time
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from image_sets import CLASSES, Images
from torch import Tensor, nn

from seepage.core.claims import Reconstruction
from seepage.core.threat import Observer
from seepage.core.views import JobFacts, View
from seepage.metrics.matching import match


def gradient(model: nn.Module, batch: Images) -> list[Tensor]:
    """Return the gradient of the mean loss by parameter; batch statistics move on."""
    loss = F.cross_entropy(model(batch.x), batch.y)
    return list(torch.autograd.grad(loss, list(model.parameters())))


def gradient_update(model: nn.Module, batch: Images, lr: float) -> dict[str, Tensor]:
    """Return `-lr` times the gradient, and how far the float buffers moved."""
    local = deepcopy(model)
    names = [name for name, _ in local.named_parameters()]
    slopes = zip(names, gradient(local, batch), strict=True)
    old = model.state_dict()
    moved = {n: b - old[n] for n, b in local.named_buffers() if b.is_floating_point()}
    return {name: -lr * slope for name, slope in slopes} | moved


def stepped_update(
    model: nn.Module, batches: Iterable[Images], lr: float, *, fused: bool = True
) -> dict[str, Tensor]:
    """Return new minus old parameters after a step on each batch, in float32 as clients do.

    A step that is not fused is rounded before it is taken, which the exact attacks notice.
    """
    local = deepcopy(model)
    for batch in batches:
        slopes = gradient(local, batch)
        with torch.no_grad():
            for parameter, slope in zip(local.parameters(), slopes, strict=True):
                parameter.sub_(slope if fused else lr * slope, alpha=lr if fused else 1)
    old = dict(model.named_parameters())
    return {n: p.detach() - old[n].detach() for n, p in local.named_parameters()}


def server(
    shape: tuple[int, ...],
    *facts: Any,
    lr: float,
    clients: int = 8,
    steps: int = 1,
    observer: Observer = Observer.HONEST_SERVER,
) -> dict[str, Any]:
    """Return what all views of a server have alike, in the first round."""
    job = JobFacts(
        input_shape=shape,
        classes=CLASSES,
        value_range=(0.0, 1.0),
        clients=clients,
        cohort=clients,
        local_steps=steps,
        lr=lr,
    )
    return {"observer": observer, "job": job, "loss": F.cross_entropy, "facts": facts, "round": 0}


def attacked(attack: Any, view: View, rng: torch.Generator) -> tuple[Reconstruction, float]:
    """Return an attack's claim, and the CPU seconds that it took."""
    started = time.process_time()
    claim = attack(view, rng)
    return claim, time.process_time() - started


def matched(claimed: Tensor, originals: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pairs that fit best: rows of the claim, and the originals that they stand for."""
    pairs = torch.tensor(match(claimed, originals), dtype=torch.long).view(-1, 2)
    return claimed[pairs[:, 0]], originals[pairs[:, 1]]
