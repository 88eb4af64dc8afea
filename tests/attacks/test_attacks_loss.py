"""Scores of answers against their formulas, and what calibration by shadow federations does."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

import pytest
import torch
from attack_federations import auc
from attack_views import auxiliary, digits, fitted, known, mlp, rng, simulation
from torch import Tensor

from seepage.attacks.membership.loss import LossScore
from seepage.attacks.membership.output_scores import SCORES, answer_scores
from seepage.attacks.membership.shadows import shadows_of
from seepage.core.errors import NotApplicableError, UsageError
from seepage.core.views import Candidates, ModelView, OutputsView

X, Y = digits()
STEPS = 200


def view(n: int = 24, member: Tensor | None = None) -> ModelView:
    """A model that learned the members among `n` digits, some of them mislabelled, by heart."""
    chosen = torch.arange(n) < n // 2 if member is None else member
    wrong = torch.rand(n, generator=rng(2)) < 0.3
    labels = torch.where(wrong, torch.randint(0, 10, (n,), generator=rng(3)), Y[:n])
    model = fitted(mlp(32), X[:n][chosen], labels[chosen], STEPS)
    facts = (Candidates(X[:n], labels), auxiliary(), simulation(32, n // 2, STEPS))
    return ModelView(model=model.eval(), **known(*facts))


def slow(score: str, p: list[float], y: int) -> float:
    """The formulas of Song & Mittal, class by class."""
    if score == "loss":
        return log(p[y])
    if score == "confidence":
        return p[y] - 1
    if score == "entropy":
        return sum(q * log(q) for q in p)
    return (1 - p[y]) * log(p[y]) + sum(q * log(1 - q) for c, q in enumerate(p) if c != y)


@pytest.mark.parametrize("score", SCORES)
def test_scores_are_their_formulas(score: str) -> None:
    logits = torch.randn(40, 5, generator=rng(0), dtype=torch.float64) * 4
    targets = torch.arange(40) % 5
    found = [answer_scores(score, o, targets, 5) for o in (logits, logits.softmax(1))]
    for i, row in enumerate(logits.tolist()):
        total = sum(map(exp, row))
        expected = slow(score, [exp(value) / total for value in row], int(targets[i]))
        assert all(float(f[i]) == pytest.approx(expected, abs=1e-9) for f in found)


@pytest.mark.parametrize("score", SCORES)
def test_the_surest_answers_keep_their_order_and_stay_finite(score: str) -> None:
    logits = torch.tensor([[20.0, 0.0], [30.0, 0.0], [600.0, 0.0], [0.0, 600.0]])
    found = answer_scores(score, logits, torch.zeros(4, dtype=torch.int64), 2)
    assert bool(found.isfinite().all())
    assert found[0] < found[1] <= found[2]
    if score != "entropy":  # it does not know which answer is right
        assert found[3] < found[0]


@pytest.mark.parametrize("online", [True, False])
@pytest.mark.parametrize("kind", ["model", "outputs"])
def test_calibration_takes_off_the_mean_under_shadows_without_the_record(
    kind: str, online: bool
) -> None:
    seen = view()
    candidates = seen.facts[0]
    assert isinstance(candidates, Candidates)
    shadows = shadows_of(seen, 8, online=online)
    asked = seen
    if kind == "outputs":
        with torch.no_grad():
            outputs = seen.model(candidates.inputs).softmax(1)
        asked = OutputsView(
            outputs=outputs, **known(*seen.facts)
        )  # the same shadows, whatever is seen
    for score in SCORES:
        plain = LossScore(score=score)(asked, rng(0)).scores
        found = LossScore(score=score, calibrated=True, shadows=8, online=online)(asked, rng(0))
        for i in range(0, 24, 5):
            record = replace(seen, facts=(Candidates(X[i : i + 1], candidates.targets[i : i + 1]),))
            usual = [
                float(LossScore(score=score)(replace(record, model=f.model), rng(0)).scores)
                for k, f in enumerate(shadows.federations)
                if not shadows.inside[k, i]
            ]
            expected = float(plain[i]) - sum(usual) / len(usual)
            assert float(found.scores[i]) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("score", SCORES)
def test_an_overfit_model_tells_its_members(score: str) -> None:
    member = torch.rand(200, generator=rng(1)) < 0.5
    seen = view(200, member)
    found = auc(LossScore(score=score)(seen, rng(0)).scores, member)
    null = auc(LossScore(score=score)(replace(seen, model=mlp(32)), rng(0)).scores, member)
    assert found > 0.6
    assert abs(null - 0.5) < 0.12
    calibrated = LossScore(score=score, calibrated=True, shadows=16)(seen, rng(0))
    assert auc(calibrated.scores, member) > found + 0.03  # some digits are hard for any model


def test_what_can_not_be_scored_is_said() -> None:
    regression = OutputsView(
        outputs=torch.zeros(24, 1), **known(Candidates(X[:24], Y[:24].float()), classes=0)
    )
    assert LossScore()(regression, rng(0)).scores.shape == (24,)
    with pytest.raises(NotApplicableError, match="regression"):
        LossScore(score="entropy")(regression, rng(0))
    alone = replace(view(), facts=(Candidates(X[:24], Y[:24]),))
    with pytest.raises(NotApplicableError, match="can't train"):
        LossScore(calibrated=True)(alone, rng(0))
    with pytest.raises(UsageError, match="did you mean 'entropy'"):
        LossScore(score="entropie")
