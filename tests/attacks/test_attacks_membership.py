from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from attack_federations import RNG, Federation, auc, federation, job, mlp
from scipy.stats import spearmanr
from torch import Tensor, nn

from seepage.attacks.membership.candidate_losses import candidate_losses, per_record_losses
from seepage.attacks.membership.loss import LossScore
from seepage.attacks.membership.loss_trajectory import LossTrajectory
from seepage.core.errors import NotApplicableError
from seepage.core.threat import Observer
from seepage.core.views import (
    Candidates,
    GlobalModelsView,
    ModelView,
    OutputsView,
)
from seepage.models.losses import MeanSquaredError


def pooled(fed: Federation) -> tuple[Candidates, Tensor]:
    x = torch.cat([s[0] for s in fed.shards])
    y = torch.cat([s[1] for s in fed.shards])
    inputs, targets = torch.cat([x, fed.outsiders[0]]), torch.cat([y, fed.outsiders[1]])
    return Candidates(inputs=inputs, targets=targets), torch.arange(len(inputs)) < len(x)


def common(candidates: Candidates | None, observer: Observer, loss=F.cross_entropy, classes=10):
    facts = () if candidates is None else (candidates,)
    return {"observer": observer, "job": job(classes), "loss": loss, "facts": facts}


@pytest.fixture(scope="module")
def overfit() -> tuple[nn.Module, Candidates, Tensor]:
    """A model that remembers its 96 digits, half of them by labels drawn anew."""
    fed = federation(9, rounds=1)
    candidates, member = pooled(fed)
    model = mlp(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        F.cross_entropy(model(candidates.inputs[member]), candidates.targets[member]).backward()
        optimizer.step()
    return model, candidates, member


def test_final_loss_finds_what_an_overfit_model_remembers(overfit):
    model, candidates, member = overfit
    white = LossScore()(ModelView(**common(candidates, Observer.MODEL_HOLDER), model=model), RNG)
    assert auc(white.scores, member) > 0.9
    with torch.no_grad():
        logits = model(candidates.inputs)
    for outputs in (logits, logits.softmax(1)):
        view = OutputsView(**common(candidates, Observer.MODEL_USER), outputs=outputs)
        black = LossScore()(view, RNG)
        assert spearmanr(white.scores, black.scores).statistic > 0.999
    untrained = ModelView(**common(candidates, Observer.MODEL_HOLDER), model=mlp(4))
    assert abs(auc(LossScore()(untrained, RNG).scores, member) - 0.5) < 0.1


def test_probabilities_that_round_to_one_keep_their_order():
    logits = torch.tensor([[20.0, 0.0], [25.0, 0.0], [30.0, 0.0]])
    candidates = Candidates(inputs=torch.zeros(3, 64), targets=torch.zeros(3, dtype=torch.int64))
    view = OutputsView(**common(candidates, Observer.MODEL_USER), outputs=logits.softmax(1))
    scores = LossScore()(view, RNG).scores
    assert scores[0] < scores[1] < scores[2] < 0


def test_final_loss_of_a_regression():
    candidates = Candidates(inputs=torch.rand(5, 64), targets=torch.arange(5.0))
    facts = common(candidates, Observer.MODEL_USER, MeanSquaredError(), 0)
    outputs = torch.full((5, 1), 2.0)
    scores = LossScore()(OutputsView(**facts, outputs=outputs), RNG).scores
    assert scores.tolist() == [-4.0, -1.0, 0.0, -1.0, -4.0]

    class Constant(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 1), 2.0)

    white = LossScore()(ModelView(**facts, model=Constant()), RNG).scores
    assert torch.equal(white, scores)


@pytest.mark.parametrize("training", [True, False])
def test_loss_trajectory_is_the_mean_over_the_global_models(federations, training):
    fed = federations[1]
    candidates, member = pooled(fed)
    view = GlobalModelsView(
        **common(candidates, Observer.PEER_CLIENT),
        model=fed.model.train(training),
        rounds=tuple((r.round, r.state) for r in fed.rounds),
    )
    scores = LossTrajectory()(view, RNG).scores
    total = torch.zeros(len(member))
    for seen in fed.rounds:
        model = mlp(0)
        model.load_state_dict(dict(seen.state))
        with torch.no_grad():
            total -= F.cross_entropy(model(candidates.inputs), candidates.targets, reduction="none")
    assert torch.allclose(scores, total / len(fed.rounds), atol=1e-5)
    assert auc(scores, member) > 0.6
    assert fed.model.training is training


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        F.cross_entropy,
        lambda o, t: F.nll_loss(o.log_softmax(-1), t),
        nn.CrossEntropyLoss(label_smoothing=0.1),
    ],
)
def test_losses_of_single_records(overfit, loss):
    model, candidates, _ = overfit
    found = candidate_losses(model, loss, candidates)
    for i in range(0, len(found), 20):
        alone = loss(model(candidates.inputs[i : i + 1]), candidates.targets[i : i + 1])
        assert torch.isclose(found[i], alone, atol=1e-6)


def test_losses_are_those_of_evaluation_mode():
    model = mlp(0, 32, batch_norm=True).train()
    candidates = Candidates(inputs=torch.rand(9, 64), targets=torch.arange(9))
    found = candidate_losses(model, F.cross_entropy, candidates)
    with torch.no_grad():
        outputs = model.eval()(candidates.inputs)
    expected = F.cross_entropy(outputs, candidates.targets, reduction="none")
    assert torch.allclose(found, expected, atol=1e-6)


def test_a_loss_of_no_single_record_is_not_applicable():
    outputs, targets = torch.rand(4, 3), torch.arange(4) % 3
    for bad in (lambda o, t: F.cross_entropy(o, t, reduction="none"), lambda o, t: o[3].sum()):
        with pytest.raises(NotApplicableError, match="single record"):
            per_record_losses(bad, outputs, targets)


def test_without_candidates_nothing_is_scored(overfit):
    model = overfit[0]
    with pytest.raises(NotApplicableError, match="candidates"):
        LossScore()(ModelView(**common(None, Observer.MODEL_HOLDER), model=model), RNG)
    candidates = overfit[1]
    view = OutputsView(**common(candidates, Observer.MODEL_USER), outputs=torch.rand(4, 1))
    with pytest.raises(NotApplicableError, match="no probability"):
        LossScore()(view, RNG)
