import subprocess
import sys
from dataclasses import MISSING, FrozenInstanceError, fields
from typing import Any

import pytest

import seepage.defenses
from seepage.core.cards import DefenseCard
from seepage.core.defense import Defense
from seepage.core.errors import PlanError, UsageError
from seepage.core.privacy import Exposure
from seepage.core.threat import Capability
from seepage.defenses import api
from seepage.defenses.cards import CARDS

EACH = pytest.mark.parametrize("card", CARDS, ids=lambda card: card.name)
TUNED = pytest.mark.parametrize(
    "card", [card for card in CARDS if card.parameters], ids=lambda card: card.name
)


@EACH
def test_card_describes_its_dataclass(card: DefenseCard) -> None:
    implementation = card.load()
    assert issubclass(implementation, Defense)
    assert {p.name: p.default for p in card.parameters} == {
        f.name: f.default for f in fields(implementation)
    }
    assert all(f.kw_only and f.default is not MISSING for f in fields(implementation))
    assert card.guarantee in {"formal", "heuristic", "none"}


@TUNED
def test_the_card_in_force_shows_the_settings(card: DefenseCard) -> None:
    parameter = card.parameters[0]
    value = {"fraction": 0.3, "minimum_cohort": 4}.get(parameter.name, 1.5)
    defense = card.build({parameter.name: value})
    assert defense.card.name == card.name
    assert defense.card.settings == {
        **{p.name: p.default for p in card.parameters},
        parameter.name: value,
    }
    assert f"{parameter.name}={value}" in repr(defense)
    with pytest.raises(FrozenInstanceError):
        setattr(defense, parameter.name, 1)
    with pytest.raises(PlanError, match="no parameter"):
        card.build({"strength": 1})


def test_adaptive_attacks_and_what_is_hidden() -> None:
    around = ("fully-connected", "imprint", "model-inconsistency", "sybils", "disaggregation")
    named = {card.name: card.adaptive_attacks for card in CARDS}
    assert named == {
        "dp-sgd": ("averaged", "candidate-test"),
        "per-coordinate-dp": ("averaged", "candidate-test"),
        "bayesian-noise": ("averaged", "candidate-test"),
        "local-dp": ("averaged", "posterior-mean"),
        "central-dp": (),
        "distributed-dp": ("fully-connected", "imprint", "model-inconsistency"),
        "dp-ftrl": ("averaged", "candidate-test"),
        "randomized-response": ("label-counts",),
        "top-k": ("inverting-gradients",),
        "secure-aggregation": around,
        "masking": around,
        "spdz": around,
        "ckks": around,
        "threshold-ckks": around,
        "aby3": around,
        "semi2k": around,
        "hybrid": around,
        "selective-encryption": ("inverting-gradients", "fully-connected"),
        "model-commitment": ("model-inconsistency", "imprint"),
    }
    hiding = {card.name for card in CARDS if card.load().hides}
    sums = {card.name for card in CARDS if card.protocol}
    assert hiding == {"secure-aggregation", "distributed-dp"} | sums
    assert {card.name for card in CARDS if card.sums} == {"secure-aggregation"} | sums
    assert api.SecureAggregation.hides == {Capability.SEES_CLIENT_UPDATES}
    by_record = {"dp-sgd", "per-coordinate-dp", "bayesian-noise"}
    assert {card.name for card in CARDS if card.load().poisson} == by_record


def test_every_card_says_in_plain_words_what_it_protects_from_whom_and_what_not() -> None:
    for card in CARDS:
        assert min(map(len, (card.protects, card.against, card.leaves_open))) > 20, card.name


def test_every_record_says_how_exact_its_noise_is_and_against_whom_it_holds() -> None:
    exposure = Exposure(rounds=12, local_steps=1, batch_size=5, examples=50, clients=8, cohort=8)
    records = {
        card.name: card.load()().privacy(exposure) for card in CARDS if card.guarantee == "formal"
    }
    for name, found in records.items():
        kind = (
            "exact integers" if name in {"distributed-dp", "randomized-response"} else "floating-"
        )
        assert all(kind in record.mechanism for record in found), name
    # A server that breaks the protocol asks for more rounds than a record of this job counts;
    # records that were randomized once, before the job, are all that it can't wear down.
    against = {name: {record.observer for record in found} for name, found in records.items()}
    assert against.pop("randomized-response") == {"malicious-server"}
    assert against.pop("central-dp") == {"peer-client", "honest-server"}
    assert set(map(frozenset, against.values())) == {frozenset({"honest-server"})}
    assert len(against) == 6


def test_defenses_are_found_by_name() -> None:
    assert {getattr(api, name).__name__ for name in api.__all__} == set(api.__all__)
    assert seepage.defenses.DPSGD is api.DPSGD
    with pytest.raises(AttributeError):
        _ = seepage.defenses.Nonesuch


def test_the_catalogue_and_the_accountant_load_without_the_heavy_libraries() -> None:
    code = (
        "import sys, seepage.defenses.cards, seepage.defenses.api;"
        "assert not {'torch', 'numpy', 'scipy'} & set(sys.modules);"
        "import seepage.accounting.api;"
        "assert not {'torch', 'opacus', 'dp_accounting'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("DPSGD", {"noise_multiplier": -1.0}),
        ("DPSGD", {"max_grad_norm": 0.0}),
        ("DPSGD", {"clipping": "adaptve"}),
        ("DPSGD", {"layer_split": "half"}),
        ("DPSGD", {"target_quantile": 1.0}),
        ("DPSGD", {"noise_by_layer": {"0.": 0.0}}),
        ("DPSGD", {"noise_schedule": [[5, 1.0]]}),
        ("DPSGD", {"noise_schedule": [[0, 1.0], [9, 0.0]]}),
        ("DPSGD", {"count_noise": 0.5, "clipping": "adaptive"}),
        ("PerCoordinateDP", {"source": "private"}),
        ("PerCoordinateDP", {"scales": {"": 1.0}}),
        ("PerCoordinateDP", {"scales": {"": 0.0}, "source": "public"}),
        ("PerCoordinateDP", {"memory": 1.0}),
        ("PerCoordinateDP", {"estimate_steps": 0}),
        ("BayesianNoise", {"largest_multiplier": 0.5}),
        ("BayesianNoise", {"typical_lengths": (0.5, 1.5)}),
        ("LocalDP", {"noise_multiplier": float("nan")}),
        ("CentralDP", {"max_norm": float("inf")}),
        ("TopK", {"fraction": 0.0}),
        ("TopK", {"fraction": 1.5}),
        ("SecureAggregation", {"minimum_cohort": 1}),
    ],
)
def test_values_that_make_no_defense_are_usage_errors(name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(settings))):
        getattr(api, name)(**settings)
