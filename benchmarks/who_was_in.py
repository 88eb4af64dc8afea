"""Who was in the data: attacks on six real jobs, sensible and overfit, under five defenses.

    SEEPAGE_DATA=... python benchmarks/who_was_in.py             # goes on where it stopped
    SEEPAGE_DATA=... python benchmarks/who_was_in.py --data income --defense none
    python benchmarks/who_was_in.py --render                     # writes the page alone

Each finished job is a line of `results/who_was_in.jsonl`; the page is `results/who_was_in.md`.
Shadow federations are trained as the job was, its defense included; on images, of undefended
jobs alone. Several processes may work on different datasets at once.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from membership_jobs import DEFENSES, IMAGES, TABLES, Row, job, rows
from membership_page import page
from result_tables import record, recorded

from seepage.auditing.cells import Job, view_kind
from seepage.auditing.federations import Federations
from seepage.auditing.simulating import with_simulation
from seepage.core.claims import MembershipScores
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.registry import card
from seepage.core.seeds import torch_rng
from seepage.core.threat import Observer
from seepage.core.views import View
from seepage.fl import views as cut
from seepage.fl.candidates import CandidateSets, candidates
from seepage.fl.transcript import Transcript
from seepage.fl.utility import utility
from seepage.metrics.balanced_accuracy import BalancedAccuracy
from seepage.metrics.membership import AUC, TPR, enough_for

RESULTS = Path(__file__).parent / "results"
LOG, PAGE = RESULTS / "who_was_in.jsonl", RESULTS / "who_was_in.md"
SHADOWS, MEMBERS, FPR = 16, 300, 0.01
HOLDER, SERVER, PEER = Observer.MODEL_HOLDER, Observer.HONEST_SERVER, Observer.PEER_CLIENT

CHEAP: tuple[tuple[str, Observer, dict[str, Any]], ...] = (
    ("loss", HOLDER, {}),
    ("loss", HOLDER, {"score": "entropy"}),
    ("loss-trajectory", PEER, {}),
    ("gradient-cosine", PEER, {}),
    ("gradient-cosine", SERVER, {}),
    ("fed-mia", SERVER, {"score": "loss"}),
    ("fed-mia", SERVER, {}),
)
DEAR: tuple[tuple[str, Observer, dict[str, Any]], ...] = (
    ("loss", HOLDER, {"calibrated": True, "shadows": SHADOWS}),
    ("white-box", HOLDER, {"shadows": SHADOWS}),
    ("rmia", HOLDER, {"shadows": SHADOWS}),
    ("lira", HOLDER, {"shadows": SHADOWS}),
)


def scored(
    transcript: Transcript, asked: CandidateSets, attack: str, observer: Observer, settings: Any
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores and membership of each question; nothing where the observer sees nothing."""
    found = card("attacks", attack)
    kind = view_kind(found, observer, transcript.defenses)
    if kind == "history":
        pairs: Any = cut.history_views(transcript, observer, candidates=asked.by_client)
    else:
        builders: dict[Any, Any] = {
            "aggregate-history": cut.aggregate_history_view,
            "global-models": cut.global_models_view,
            "model": cut.model_view,
        }
        pairs = builders[kind](transcript, observer, *asked.pooled) if kind in builders else ()
    run: Any = found.build(settings)
    for number, (view, truth) in enumerate(pairs):
        seen: View = with_simulation(view, transcript)
        claim = run(seen, torch_rng(0, attack, number))
        assert isinstance(claim, MembershipScores)
        yield claim.scores.double().numpy(), truth.member.numpy()


def figures(scores: np.ndarray, member: np.ndarray) -> dict[str, Any]:
    """Return each figure with its 95 % limits, or nothing where it is withheld."""
    ours, others = scores[member], scores[~member]
    auc, balanced = AUC.of(ours, others), BalancedAccuracy.of(ours, others)
    told: dict[str, Any] = {
        "members": len(ours),
        "others": len(others),
        "auc": [auc.value, *auc.interval()],
        "balanced": [balanced.value, *balanced.interval()],
    }
    if enough_for(FPR, len(others)):
        rate = TPR.of(ours, others, FPR, np.random.default_rng(0))
        told["tpr"] = [rate.value, *rate.interval()]
    return told


def run(row: Row) -> dict[str, Any]:
    """Train one job, ask all attacks who was in it, and return what there is to say."""
    started = time.perf_counter()
    planned, promise = job(row)
    transcript = Federations(planned, seed=0, width=1).transcript("defended")
    asked = candidates(transcript.task, torch_rng(0, "candidates"), limit=MEMBERS)
    attacks = [
        told
        for name, observer, settings in (*CHEAP, *(DEAR if row.shadows else ()))
        if (told := attacked(transcript, asked, name, observer, settings))
    ]
    known = utility(transcript.model, planned.task)
    return {
        **vars(row),
        "clients": len(planned.task.clients),
        "records": sum(len(c.train) for c in planned.task.clients),
        "rounds": planned.task.training.rounds,
        "utility": {k: known[k] for k in ("test", "test_ci", "train", "gap", "gap_ci", "test_auc")
                    if k in known},
        **noise(planned, promise),
        "attacks": attacks,
        "seconds": time.perf_counter() - started,
    }  # fmt: skip


def noise(planned: Job, promise: Any) -> dict[str, Any]:
    """Return what the defense guarantees, of what unit, and at what noise."""
    if promise is None:
        return {}
    settings = planned.defenses[0].card.settings
    return {
        "epsilon": promise.total_epsilon,
        "unit": promise.unit,
        "mu": promise.mu,
        "noise": settings["noise_multiplier"],
    }


def attacked(
    transcript: Transcript,
    asked: CandidateSets,
    name: str,
    observer: Observer,
    settings: dict[str, Any],
) -> dict[str, Any]:
    """Return the figures of one attack; nothing where it does not apply."""
    started = time.perf_counter()
    about = {"attack": name, "observer": observer.value, "settings": settings}
    try:
        parts = list(scored(transcript, asked, name, observer, settings))
    except NotApplicableError as error:
        return {**about, "reason": str(error)}
    if not parts:
        return {}
    scores, member = (np.concatenate(part) for part in zip(*parts, strict=True))
    told = {**about, **figures(scores, member), "seconds": time.perf_counter() - started}
    print(f"    {name} {settings}: AUC {told['auc'][0]:.3f}, {told['seconds']:.0f} s", flush=True)
    return told


def main() -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=(*TABLES, *IMAGES), nargs="*", default=[])
    parser.add_argument("--defense", choices=DEFENSES, nargs="*", default=[])
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for row in () if given.render else rows():
        done = {Row(r["data"], r["fit"], r["defense"]) for r in recorded(LOG)}
        chosen = (not given.data or row.data in given.data) and (
            not given.defense or row.defense in given.defense
        )
        if chosen and row not in done:
            print(row.key, flush=True)
            try:
                told = run(row)
            except UsageError as error:  # noise that drowns the model: a result, too
                told = {**vars(row), "attacks": [], "reason": str(error)}
            record(LOG, compact(told))
    PAGE.write_text(page(recorded(LOG)))


def compact(value: Any) -> Any:
    """Return a row's value with its numbers as short as its tables need them."""
    if isinstance(value, dict):
        return {name: compact(held) for name, held in value.items()}
    if isinstance(value, (list, tuple)):
        return [compact(held) for held in value]
    return round(value, 4) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
