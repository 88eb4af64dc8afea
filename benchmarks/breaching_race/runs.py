"""One run of ours or of breaching, timed and scored, and climbs of growing step counts."""

from __future__ import annotations

import math
import time
from statistics import median
from typing import TYPE_CHECKING, Any

import torch

from seepage.core.registry import card
from seepage.metrics.matching import match
from seepage.metrics.reconstruction import identified, psnr

from .cases import CLASSES, DEVELOPMENT, Case, gradient
from .peer import Peer, PeerError, numbered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from .variants import Variant

TARGETS = (15.0, 18.0, 20.0, 25.0)
FIRST_STEPS = {"dlg": 2, "inverting-gradients": 4}
_GROWTH = 1.35
_STUCK = 4
_SHORT, _REPEATS = 0.3, 3
_MOST_STEPS = 5000
_EXACT = 200.0

Run = dict[str, Any]


def ours(found: Case, steps: int, restarts: int) -> Run:
    """Run our attack with its defaults but for the step count and the restarts."""
    name = found.contest.attack
    settings = {"steps": steps, "restarts": restarts} if name in FIRST_STEPS else {}
    attack, view = card("attacks", name).build(settings), found.view()
    rng = torch.Generator().manual_seed(found.number + DEVELOPMENT)
    start = time.process_time()
    claim = attack(view, rng)
    seconds = time.process_time() - start
    return _scored(found, claim.inputs, {"steps": steps, "seconds": seconds})


def theirs(found: Case, variant: Variant, steps: int, restarts: int, peer: Peer) -> Run:
    """Run breaching in its process. What it raises is a run that found nothing."""
    run: Run = {"steps": steps, "seconds": 0.0, "psnr": 0.0, "identified": 0.0}
    job = peer.job(found.model, **numbered(found.gradients))
    try:
        answer, arrays = peer.arrays(
            "attack",
            job=job,
            net=found.contest.net,
            shape=list(found.shape),
            scale=variant.scale,
            attack=variant.attack,
            overrides=variant.overrides(steps, restarts),
            batch_size=found.contest.batch_size,
            seed=found.number + DEVELOPMENT,
        )
    except PeerError as error:
        return {**run, "error": str(error)}
    run = {"steps": steps, "seconds": answer["seconds"]}
    return _scored(found, torch.from_numpy(arrays["images"]), run)


def climb(run: Callable[[int], Run], steps: int | None, longest: float) -> Iterator[Run]:
    """Yield runs at growing step counts, until all targets are met.

    It ends before a run that would take `longest` CPU seconds, and where four times the steps
    change nothing: the search has converged, or has crashed. Without steps there is one run.
    """
    count = float(steps or 1)
    last, since = None, count
    while True:
        now = _steady(run, round(count))
        yield now
        met = now["identified"] == 1 and now["psnr"] >= TARGETS[-1]
        if now["psnr"] != last:
            last, since = now["psnr"], count
        if steps is None or met or count >= _STUCK * since:
            return
        grown = max(count * _GROWTH, count + 1)
        if grown > _MOST_STEPS or now["seconds"] * grown / count > longest:
            return
        count = grown


def _steady(run: Callable[[int], Run], steps: int) -> Run:
    """Return one run; a short one is timed three times, and has the median time."""
    now = run(steps)
    if now["seconds"] >= _SHORT:
        return now
    again = [run(steps)["seconds"] for _ in range(_REPEATS - 1)]
    return {**now, "seconds": median([now["seconds"], *again])}


def same_gradient(found: Case, variant: Variant, peer: Peer) -> None:
    """Raise `PeerError` unless both networks have one gradient, on noise.

    The victim's image does not enter: it never reaches the peer's process.
    """
    rng = torch.Generator().manual_seed(0)
    x = torch.rand((2, *found.shape), generator=rng)
    y = torch.randint(0, CLASSES, (2,), generator=rng)
    job = peer.job(found.model, inputs=x.numpy(), targets=y.numpy())
    _, arrays = peer.arrays(
        "gradient", job=job, net=found.contest.net, shape=list(found.shape), scale=variant.scale
    )
    for i, mine in enumerate(gradient(found.model, x, y)):
        gap = float((mine - torch.from_numpy(arrays[str(i)])).abs().max())
        if not gap <= 1e-5 * max(1.0, float(mine.abs().max())):
            raise PeerError(f"{found.contest.name}: array {i} of the gradient differs by {gap:.1e}")


def seconds_to(runs: list[Run], target: float | None) -> float:
    """Return the CPU seconds of the cheapest run that reached a PSNR, or (None) identification.

    Infinity where none did.
    """
    reached = (
        run["seconds"]
        for run in runs
        if (run["identified"] == 1 if target is None else run["psnr"] >= target)
    )
    return min(reached, default=math.inf)


def prior_psnr(found: Case) -> float:
    """Return the mean PSNR of the mean candidate, what no gradient is needed for."""
    mean = found.gallery.mean(0, keepdim=True).expand_as(found.originals)
    return psnr(mean, found.originals).mean().item()


def _scored(found: Case, images: Tensor, run: Run) -> Run:
    """Add what the images are worth: mean PSNR in dB, and the part that is identified."""
    images = images.nan_to_num(0.5, 0.5, 0.5).clamp(0, 1)
    pairs = match(images, found.originals)
    if len(pairs) < len(found.originals):
        return {**run, "psnr": 0.0, "identified": 0.0}
    claimed, true = (torch.tensor(column) for column in zip(*pairs, strict=True))
    quality = psnr(images[claimed], found.originals[true]).clamp(max=_EXACT).mean()
    hits = identified(images, found.originals, found.gallery)
    return {**run, "psnr": quality.item(), "identified": hits.double().mean().item()}
