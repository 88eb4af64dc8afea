"""What every registered attack and defense must hold, whoever wrote it."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch

import tables
from reach import holds
from seepage.auditing.attacking import attack_all
from seepage.auditing.cells import Attacker, Job, enumerate_cells
from seepage.auditing.clients import client_evidence, client_questions
from seepage.auditing.columns import column_evidence, column_views
from seepage.auditing.evidence import membership_evidence
from seepage.auditing.federations import Federations
from seepage.auditing.moves import with_moves
from seepage.auditing.quality import Background
from seepage.auditing.scoring import score_attributes, score_reconstructions
from seepage.auditing.sources import linkage_evidence, linkage_views
from seepage.auditing.spec import from_plan
from seepage.auditing.targets import target_answers
from seepage.auditing.verdict import leaked
from seepage.auditing.views import batch_views, membership_views
from seepage.core.attack import ActiveAttack
from seepage.core.cards import DefenseCard
from seepage.core.claims import AttributeGuess, Reconstruction
from seepage.core.defense import Defense
from seepage.core.errors import NotApplicableError
from seepage.core.plan import Component, DataPlan, Plan, TaskPlan
from seepage.core.registry import card, cards
from seepage.core.seeds import torch_rng
from seepage.core.task import Training
from seepage.core.threat import OBSERVERS, Observer
from seepage.crypto.cards import protocol_card
from seepage.fl.access import capabilities
from seepage.fl.engine import train

CHEAPER = {"steps": 8, "examples": 100, "components": 32, "trial": 4, "swaps": 2}


def job(model: str = "mlp", **training: Any) -> Job:
    settings = {"width": 32} if model == "mlp" else {}
    plan = Plan(
        tasks=(
            TaskPlan(
                name="t",
                data=DataPlan(source="digits", clients=6),
                model=Component(name=model, settings=settings),
                training=Training(**{"rounds": 6, "batch_size": 4, **training}),
            ),
        )
    )
    return from_plan(plan, source="test").jobs[0]


@pytest.mark.parametrize("name", sorted(cards("attacks")))
def test_a_null_view_gives_no_gain(name: str) -> None:
    """Claims on other clients' views, held against these truths, must not look like a leak."""
    known = card("attacks", name)
    settings = {k: v for k, v in CHEAPER.items() if k in {p.name for p in known.parameters}}
    attack = known.build(settings)
    for here in (job("mlp"), job("lenet"), Job(task=tables.job(rounds=6), defenses=())):
        cells, _ = enumerate_cells(
            [here], [Attacker(card=known, settings=settings)], list(Observer)
        )
        federations = Federations(here, seed=1, width=6)
        for cell in cells:
            rng = torch_rng(0, "null")
            try:
                if known.claims == "membership" and isinstance(attack, ActiveAttack):
                    evidence = _null_targets(attack, cell, federations)
                elif known.claims == "client-membership":
                    evidence = _null_clients(attack, cell, federations)
                elif known.claims == "membership":
                    evidence = _null_membership(attack, cell.view, federations, cell.observer)
                elif known.claims == "linkage":
                    evidence = _null_linkage(attack, cell, federations)
                elif known.claims == "column":
                    evidence = _null_column(attack, cell, federations)
                else:
                    evidence = _null_batches(
                        attack, cell.view, federations, cell.observer, here, rng
                    )
            except NotApplicableError:
                continue
            assert not leaked(evidence, 0.02), cell.id
            return
    pytest.fail(f"{name} applied to nothing")


def _null_batches(attack, kind, federations, observer, here, rng):
    transcript = federations.transcript("undefended")
    if isinstance(attack, ActiveAttack):
        transcript = with_moves(transcript, observer, range(6), attack, lambda n: torch_rng(2, n))
    pairs = batch_views(kind, transcript, observer, range(6))
    claims = attack_all(attack, [v for v, _ in pairs], [torch_rng(0, i) for i in range(len(pairs))])
    truths = [t for _, t in pairs]
    shifted = [*claims[1:], claims[0]]
    score = score_reconstructions if isinstance(claims[0], Reconstruction) else score_attributes
    assert all(isinstance(c, Reconstruction | AttributeGuess) for c in claims)
    return score(shifted, truths, Background.of(here.task, rng), rng)


def _null_targets(attack, cell, federations):
    found = target_answers(cell, attack, federations, kind=cell.view, variant="undefended", seed=1)
    noise = np.random.default_rng(0).normal(size=len(found.null))
    return membership_evidence(found.null, noise, found.member)[-1]


def _null_clients(attack, cell, federations):
    """Scores of splits, held against other, independent splits."""
    rng = torch_rng(0, "clients")
    asked = client_questions(cell.view, federations, "undefended", cell.observer, rng)
    truths = [truth for *_, truth in asked]
    shifted = zip(asked, [*truths[2:], *truths[:2]], strict=True)
    nulls = [(view, null, truth) for (view, null, _), truth in shifted]
    return client_evidence(cell, attack, nulls, seed=1, variant="undefended")[-1]


def _null_linkage(attack, cell, federations):
    rng = torch_rng(0, "sources")
    asked = linkage_views(cell.view, federations, "undefended", cell.observer, rng)
    nulls = [(null, null, truth) for _, null, truth in asked]
    return linkage_evidence(cell, attack, nulls, seed=1, variant="undefended")


def _null_column(attack, cell, federations):
    asked = column_views(cell.view, federations, "undefended", cell, torch_rng(0, "column"))
    nulls = [(null, null, truth) for _, null, truth in asked]
    return column_evidence(cell, attack, nulls, seed=1, variant="undefended")


def _null_membership(attack, kind, federations, observer):
    rows = membership_views(kind, federations, "undefended", observer, torch_rng(0, "candidates"))
    nulls = [attack(null, torch_rng(1, i)).scores.numpy() for i, (_, null, _) in enumerate(rows)]
    member = np.concatenate([truth.member.numpy() for _, _, truth in rows])
    scores = np.concatenate(nulls)
    noise = np.random.default_rng(0).normal(size=len(scores))
    return next(e for e in membership_evidence(scores, noise, member) if e.metric == "auc")


@pytest.mark.parametrize("name", sorted(cards("defenses")))
def test_a_defense_faces_its_adaptive_attacks_whether_chosen_or_not(name: str) -> None:
    plain = job()
    defended = replace(plain, defenses=(card("defenses", name).build({}),), attacks=("loss",))
    chosen = Attacker(card=card("attacks", "loss"), settings={})
    cells, _ = enumerate_cells([defended], [chosen], list(Observer))
    assert {*card("defenses", name).adaptive_attacks, "loss"} == {c.attack.name for c in cells}


@dataclass(frozen=True, kw_only=True)
class Spy(Defense):
    """Stands first, and keeps what the defenses after it must hide."""

    gradients: list[torch.Tensor] = field(default_factory=list)
    updates: list[torch.Tensor] = field(default_factory=list)

    @property
    def card(self) -> DefenseCard:
        return card("defenses", "top-k")

    def gradient(self, step, rng):
        loss = step.loss(step.model(step.inputs), step.targets)
        if len(step.inputs):
            self.gradients.extend(torch.autograd.grad(loss, list(step.model.parameters())))

    def protect_update(self, update, rng):
        self.updates.extend(t.detach().clone() for t in update.values())
        return update


SETTINGS = {"local-dp": {"noise_multiplier": 1.0}, "central-dp": {"noise_multiplier": 1.0}}


@pytest.mark.parametrize("name", sorted(cards("defenses")))
def test_views_lack_what_the_defense_hides(name: str) -> None:
    about = card("defenses", name)
    if about.protocol and (missing := protocol_card(about.protocol).missing()):
        pytest.skip(f"{name}: {missing}")
    defense = about.build(SETTINGS.get(name, {}))
    spy = Spy()
    hooks = ("gradient", "protect_update", "protect_aggregate")
    if not defense.hides and all(
        getattr(type(defense), hook) is getattr(Defense, hook) for hook in hooks
    ):
        return  # it binds what is sent, and hides nothing
    task = job(rounds=1).task
    record = range(1)
    transcript = train(task, defenses=(spy, defense), seed=0, record=record)
    before = type(defense).gradient is Defense.gradient
    secrets = [t for t in (spy.updates if before else spy.gradients) if t.numel() >= 64]
    assert secrets
    seen = 0
    for observer in OBSERVERS:
        server = observer in {
            Observer.HONEST_SERVER,
            Observer.MALICIOUS_SERVER,
            Observer.EAVESDROPPER,
        }
        if name == "central-dp" and server:
            continue  # its card says so: the server sees updates before the noise
        for kind in ("update", "aggregate", "history"):
            for view, truth in batch_views(kind, transcript, observer, record):
                seen += 1
                assert not any(holds(view, t) for t in secrets), (observer, kind)
                if len(truth.inputs):
                    assert not holds(view, truth.inputs)
    assert seen or name == "central-dp"
    assert not defense.hides & capabilities(Observer.HONEST_SERVER, (defense,))
