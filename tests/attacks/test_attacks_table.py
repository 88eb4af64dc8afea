"""Every registered attack on a tiny view of each kind that its card names."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, FrozenInstanceError, fields, replace
from typing import Any

import pytest
import torch
from attack_views import auxiliary, digits, draw, known, mlp, noisy, rng, simulation, update_of
from torch import Tensor

from seepage.attacks.api import attack_view
from seepage.attacks.cards import CARDS
from seepage.core.attack import ActiveAttack, Attack, ServerMove
from seepage.core.cards import COST_TIERS, AttackCard
from seepage.core.claims import (
    AttributeGuess,
    ColumnGuess,
    Linkage,
    MembershipScores,
    Reconstruction,
)
from seepage.core.columns import TableColumn
from seepage.core.errors import NotApplicableError, PlanError, UsageError
from seepage.core.threat import OBSERVERS, Capability
from seepage.core.views import (
    VIEW_KINDS,
    AggregateHistoryView,
    AggregateView,
    AuxiliaryData,
    BatchSize,
    CandidateClients,
    Candidates,
    GlobalModelsView,
    HistoryView,
    ModelView,
    OutputsView,
    PartialRecords,
    SeenAggregate,
    SeenRound,
    ServerKnowledge,
    UpdateView,
    View,
)
from seepage.data.coded import column_codes
from seepage.defenses.cards import CARDS as DEFENSES

X, Y = digits()
CLAIMS = {
    "reconstruction": Reconstruction,
    "membership": MembershipScores,
    "client-membership": MembershipScores,
    "linkage": Linkage,
    "attribute": AttributeGuess,
    "column": ColumnGuess,
}
PIXEL = TableColumn(name="pixel", first=20, width=1)
QUICK = {
    "inverting-gradients": {"steps": 5},
    "dlg": {"steps": 3, "restarts": 1},
    "grad-inversion": {"steps": 3},
    "sme": {"steps": 5},
    "unrolled-fedavg": {"steps": 3, "trial": 2, "swaps": 1},
    "learning-to-invert": {"examples": 64, "components": 16},
    "lira": {"shadows": 8},
    "rmia": {"shadows": 4},
    "white-box": {"shadows": 8},
    "user-level": {"shadows": 4},
    "attribute-inference": {"column": "pixel", "shadows": 4},
    "property-inference": {"column": "pixel"},
}
SUMMED = next(card for card in DEFENSES if card.name == "secure-aggregation")
EACH = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
PAIRS = [(card, kind) for card in CARDS for kind in card.views]


def a_view(kind: str, card: AttackCard | None = None, **changes: Any) -> View:
    """A view of two records of client 1, or of 24 candidates, on an MLP of width 32.

    Candidates are of six clients, where whole clients are asked about.

    Where `card` is that of an active attack, its server has made its move.
    """
    model = mlp(32)
    facts = BatchSize(2), Candidates(X[:24], Y[:24]), auxiliary(), simulation(32)
    if card and card.claims == "client-membership":
        whose = torch.arange(24) // 4
        facts = (CandidateClients(X[:24], Y[:24], whose), *facts[2:])
    defenses = (SUMMED,) if kind.startswith("aggregate") else ()
    asked, jobs = X[:24], {"clients": 4, "cohort": 4}
    if card and "column" in {p.name for p in card.parameters}:
        asked, facts = of_a_table(facts)
        jobs = {**jobs, "input_shape": (64,), "columns": (PIXEL,)}
    common = {**known(*facts, defenses=defenses, **jobs), **changes}
    move = ServerMove(models={}, cohort=(0, 1))
    attack = card.build({}) if card else None
    if isinstance(attack, ActiveAttack):
        told = ServerKnowledge(round=0, model=model, cohort=(0, 1), **common)
        move = attack.act(told, rng(1))
    models = {c: move.models.get(c, model) for c in range(4)}
    updates = {c: update_of(models[c], (X[i], Y[i])) for c in range(4) for i in [draw(c, 2)]}
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if kind == "update":
        return UpdateView(round=0, client=1, model=models[1], update=updates[1], **common)
    if kind == "aggregate":
        return a_sum(move, models, updates, common)
    if kind == "history":
        rounds = tuple(
            SeenRound(t, state, {c: noisy(u, 1e-4, seed=9 * t + c) for c, u in updates.items()})
            for t in range(3)
        )
        return HistoryView(client=1, model=model, rounds=rounds, **common)
    if kind == "aggregate-history":
        pairs = (0, 1), (1, 2), (0, 2), (0, 1)
        sums = tuple(
            SeenAggregate(i, state, noisy(mean_of(updates, pair), 1e-4, seed=i), pair)
            for i, pair in enumerate(pairs)
        )
        return AggregateHistoryView(client=1, model=model, rounds=sums, **common)
    if kind == "global-models":
        return GlobalModelsView(model=model, rounds=((0, state), (1, state)), **common)
    if kind == "model":
        return ModelView(model=model.eval(), **common)
    return OutputsView(outputs=model(asked).softmax(1).detach(), **common)


def a_sum(move: ServerMove, models: Any, updates: Any, common: dict[str, Any]) -> AggregateView:
    """The view of the mean of two updates, of which one may be of the server's own."""
    cohort = move.cohort or (0, 1)
    assert len(cohort) + move.sybils == 2
    return AggregateView(
        round=0,
        contributors=2,
        model=models[0],
        aggregate=mean_of(updates, cohort),
        sent=dict(move.models),
        cohort=cohort,
        sybils=move.sybils,
        **common,
    )


def mean_of(updates: Any, cohort: tuple[int, ...]) -> dict[str, Tensor]:
    """The sum of the cohort's updates by two: those who are missing send 0."""
    return {name: sum(updates[c][name] for c in cohort) / 2 for name in updates[0]}


def of_a_table(facts: tuple[Any, ...]) -> tuple[Tensor, tuple[Any, ...]]:
    """The facts where digits are a table, of 24 of which a pixel is not known; and the queries."""
    digits = auxiliary()
    others = AuxiliaryData(digits.inputs.flatten(1), digits.targets)
    codes = column_codes(PIXEL, others.inputs)
    masked = X[:24].flatten(1).clone()
    masked[:, PIXEL.features] = 0
    partial = PartialRecords(masked, Y[:24], PIXEL, codes, 24)
    kept = [f for f in facts if not isinstance(f, AuxiliaryData | Candidates)]
    return partial.completed().flatten(0, 1), (*kept, partial, others)


def tensors(item: Any) -> list[Tensor]:
    """Every tensor of a view, including its model's and its facts'."""
    if isinstance(item, Tensor):
        return [item]
    if isinstance(item, torch.nn.Module):
        return list(item.state_dict().values())
    if isinstance(item, dict):
        return [t for value in item.values() for t in tensors(value)]
    if isinstance(item, tuple):
        return [t for value in item for t in tensors(value)]
    if hasattr(item, "__dataclass_fields__"):
        return [t for f in fields(item) for t in tensors(getattr(item, f.name))]
    return []


@pytest.mark.parametrize(("card", "kind"), PAIRS, ids=[f"{c.name}-{k}" for c, k in PAIRS])
def test_it_claims_what_its_card_says_and_leaves_the_view_alone(card: AttackCard, kind: str):
    view = a_view(kind, card)
    before = [t.clone() for t in tensors(view)]
    flags = [p.requires_grad for p in getattr(view, "model", mlp(1)).parameters()]
    settings = QUICK.get(card.name, {})
    shared = torch.random.get_rng_state()
    first, again = (attack_view(card.name, view, rng(5), **settings) for _ in range(2))
    assert isinstance(first, CLAIMS[card.claims])
    assert torch.equal(torch.random.get_rng_state(), shared)
    assert flags == [p.requires_grad for p in getattr(view, "model", mlp(1)).parameters()]
    for was, now in zip(before, tensors(view), strict=True):
        assert torch.equal(was, now)
    for one, two in zip(tensors(first), tensors(again), strict=True):
        assert torch.equal(one, two)
        assert bool(one.isfinite().all())
    if card.claims == "client-membership":
        assert first.scores.shape == (6,)
        return
    _check_shape(
        first, {"update": 2, "aggregate": 4, "history": 6, "aggregate-history": 2}.get(kind, 0)
    )


def _check_shape(claim: Any, records: int) -> None:
    if isinstance(claim, Reconstruction):
        assert len(claim.inputs) <= records
        assert len(claim.inputs) or (claim.explanation and not claim.solved)  # or a refusal
        assert claim.inputs.shape[1:] == (1, 8, 8)
        assert bool((claim.inputs >= 0).all() & (claim.inputs <= 1).all())
        assert claim.labels is None or claim.labels.shape == (len(claim.inputs),)
    elif isinstance(claim, MembershipScores):
        assert claim.scores.shape == (24,)
    elif isinstance(claim, Linkage):
        assert torch.equal(claim.ranking.sort(1).values, torch.arange(4).expand(24, -1))
    elif isinstance(claim, ColumnGuess):
        assert claim.column == "pixel"
        assert len(claim.probabilities) == 24
        sums = claim.probabilities.sum(1)
        assert torch.allclose(sums, torch.ones_like(sums))
    else:
        assert claim.values.shape == (records,)
        assert claim.attribute in {"label", "pixel"}


@EACH
def test_a_card_describes_its_dataclass(card: AttackCard):
    implementation = card.load()
    built = card.build({})
    assert isinstance(built, Attack)
    assert {p.name: p.default for p in card.parameters} == {
        f.name: f.default for f in fields(implementation)
    }
    assert all(f.kw_only and f.default is not MISSING for f in fields(implementation))
    with pytest.raises((FrozenInstanceError, TypeError, AttributeError)):
        built.anything = 1


@EACH
def test_the_facts_of_a_card_fit_together(card: AttackCard):
    assert card.claims in CLAIMS
    assert card.cost in COST_TIERS
    assert set(card.views) <= VIEW_KINDS.keys()
    assert card.observers
    for observer in card.observers:
        assert set(card.needs) <= OBSERVERS[observer].capabilities
    assert card.reference
    assert card.year
    assert card.summary.endswith(".")


@pytest.mark.parametrize(("card", "kind"), PAIRS, ids=[f"{c.name}-{k}" for c, k in PAIRS])
def test_what_it_needs_and_is_not_told_is_not_applicable(card: AttackCard, kind: str):
    if not set(card.needs) & {n for n in Capability if n.startswith(("knows-", "holds-"))}:
        return  # it needs no more than it sees
    view = a_view(kind, card, facts=())
    with pytest.raises(NotApplicableError):
        attack_view(card.name, view, torch.Generator(), **QUICK.get(card.name, {}))


def test_names_settings_and_kinds_are_checked():
    view = a_view("update")
    with pytest.raises(UsageError, match="did you mean 'fed-mia'"):
        attack_view("fed-mai", view, torch.Generator())
    with pytest.raises(PlanError, match="no parameter 'step'; did you mean 'steps'"):
        attack_view("dlg", view, torch.Generator(), step=3)
    with pytest.raises(NotApplicableError, match="not update"):
        attack_view("fed-mia", view, torch.Generator())


def test_the_catalogue_needs_neither_torch_nor_numpy():
    code = (
        "import sys, seepage.attacks.cards; "
        "print(sorted({'torch', 'numpy', 'scipy'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_scores_of_one_client_say_nothing_of_another():
    """The null of membership: updates of a client that never saw the candidates."""
    view = a_view("history")
    strangers = Candidates(X[900:1000], Y[900:1000])
    view = replace(view, facts=(strangers,))
    member = torch.arange(100) < 50
    for name in ("gradient-cosine", "fed-mia"):
        scores = attack_view(name, view, torch.Generator()).scores
        wins = (scores[member][:, None] > scores[~member]).double().mean()
        # Three standard errors of the Mann-Whitney statistic at 50 against 50.
        assert abs(float(wins) - 0.5) < 3 * (101 / (12 * 50 * 50)) ** 0.5
