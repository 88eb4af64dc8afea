from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from torch import Tensor, nn

from seepage.attacks.membership.candidate_losses import candidate_losses, per_record_losses
from seepage.attacks.membership.fedmia import FedMIA
from seepage.attacks.membership.final_loss import FinalLoss
from seepage.attacks.membership.gradient_cosine import GradientCosine
from seepage.attacks.membership.gradient_dots import gradient_dots
from seepage.attacks.membership.loss_trajectory import LossTrajectory
from seepage.core.errors import NotApplicableError
from seepage.core.threat import Observer
from seepage.core.views import (
    Candidates,
    GlobalModelsView,
    HistoryView,
    JobFacts,
    ModelView,
    OutputsView,
    SeenRound,
)
from seepage.metrics.membership import AUC
from seepage.models.losses import MeanSquaredError

CLIENTS, HELD, LR = 8, 12, 0.3
RNG = torch.Generator()


@dataclass(frozen=True)
class Federation:
    model: nn.Module
    rounds: tuple[SeenRound, ...]
    shards: list[tuple[Tensor, Tensor]]
    outsiders: tuple[Tensor, Tensor]

    def candidates(self, client: int) -> tuple[Candidates, Tensor]:
        x, y = self.shards[client]
        inputs = torch.cat([x, self.outsiders[0]])
        member = torch.arange(len(inputs)) < len(x)
        return Candidates(inputs=inputs, targets=torch.cat([y, self.outsiders[1]])), member


def job(classes: int = 10) -> JobFacts:
    return JobFacts(
        input_shape=(64,),
        classes=classes,
        value_range=(0.0, 1.0),
        clients=CLIENTS,
        cohort=CLIENTS,
        local_steps=5,
        lr=LR,
    )


def mlp(seed: int, width: int = 128, *, batch_norm: bool = False) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        middle = [nn.BatchNorm1d(width)] if batch_norm else []
        return nn.Sequential(nn.Linear(64, width), *middle, nn.ReLU(), nn.Linear(width, 10))


def locally_trained(model: nn.Module, state, x: Tensor, y: Tensor, steps: int):
    model.load_state_dict(state)
    for _ in range(steps):
        gradient = torch.autograd.grad(F.cross_entropy(model(x), y), list(model.parameters()))
        with torch.no_grad():
            for p, g in zip(model.parameters(), gradient, strict=True):
                p -= LR * g
    return {n: p.detach() - state[n] for n, p in model.named_parameters()}


def federation(seed: int, rounds: int = 8) -> Federation:
    """Overfit a wide network to a few digits of each client, half of the labels drawn anew."""
    bunch = load_digits()
    rng = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(bunch.target), generator=rng)
    x = torch.tensor(bunch.data, dtype=torch.float32)[order] / 16
    y = torch.tensor(bunch.target)[order]
    wrong = torch.rand(len(y), generator=rng) < 0.5
    y = torch.where(wrong, torch.randint(0, 10, y.shape, generator=rng), y)
    shards = list(zip(x.split(HELD), y.split(HELD), strict=True))[:CLIENTS]
    model = mlp(seed)
    state = {n: p.detach().clone() for n, p in model.named_parameters()}
    seen: list[SeenRound] = []
    for number in range(rounds):
        updates = {k: locally_trained(model, state, *shards[k], 5) for k in range(CLIENTS)}
        seen.append(SeenRound(number, state, updates))
        state = {n: v + sum(u[n] for u in updates.values()) / CLIENTS for n, v in state.items()}
    model.load_state_dict(state)
    return Federation(model, tuple(seen), shards, (x[200:300], y[200:300]))


@pytest.fixture(scope="module")
def federations() -> list[Federation]:
    return [federation(seed) for seed in range(4)]


def history(fed: Federation, asked: int, target: int, rounds=None) -> tuple[HistoryView, Tensor]:
    candidates, member = fed.candidates(asked)
    view = HistoryView(
        observer=Observer.HONEST_SERVER,
        job=job(),
        loss=nn.CrossEntropyLoss(),
        facts=(candidates,),
        client=target,
        model=fed.model,
        rounds=fed.rounds if rounds is None else rounds,
    )
    return view, member


def auc(scores: Tensor, member: Tensor) -> float:
    assert scores.shape == member.shape
    return AUC.of(scores[member].double().numpy(), scores[~member].double().numpy()).value


def slow_cosines(fed: Federation, seen: SeenRound, candidates: Candidates) -> Tensor:
    """Return cosines `[n, clients]` by one backward pass a candidate, in double precision."""
    model = mlp(0).double()
    model.load_state_dict({n: v.double() for n, v in seen.state.items()})
    rows = []
    for x, y in zip(candidates.inputs.double(), candidates.targets, strict=True):
        loss = F.cross_entropy(model(x[None]), y[None])
        flat = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
        row = []
        for update in seen.updates.values():
            pull = torch.cat([update[name].double().flatten() for name in seen.state])
            row.append(-(flat @ pull) / (flat.norm() * pull.norm()))
        rows.append(torch.stack(row))
    return torch.stack(rows)


def test_gradient_dots_equal_a_loop_over_candidates(federations):
    fed = federations[0]
    candidates, _ = fed.candidates(1)
    for seen in fed.rounds[:3]:
        found = gradient_dots(fed.model, nn.CrossEntropyLoss(), candidates, seen)
        model = mlp(0)
        model.load_state_dict(dict(seen.state))
        for i in range(0, len(candidates.targets), 7):
            loss = F.cross_entropy(
                model(candidates.inputs[i : i + 1]), candidates.targets[i : i + 1]
            )
            gradient = torch.autograd.grad(loss, list(model.parameters()))
            flat = torch.cat([g.flatten() for g in gradient])
            assert torch.isclose(found.gradient_norms[i], flat.norm(), rtol=1e-4)
            for k, client in enumerate(found.clients):
                update = torch.cat([u.flatten() for u in seen.updates[client].values()])
                scale = flat.norm() * update.norm()
                assert torch.isclose(found.update_norms[k], update.norm(), rtol=1e-4)
                assert abs(found.dots[i, k] - flat @ update) < 1e-4 * scale


def test_fedmia_equals_a_slow_implementation(federations):
    fed = federations[0]
    view, _ = history(fed, 1, 1, fed.rounds[:4])
    total = torch.zeros(HELD + 100, dtype=torch.float64)
    for seen in view.rounds:
        cosines = slow_cosines(fed, seen, fed.candidates(1)[0])
        for i, row in enumerate(cosines.tolist()):
            others = [row[0], *row[2:]]
            mean = sum(others) / len(others)
            variance = sum((o - mean) ** 2 for o in others) / (len(others) - 1)
            total[i] += (row[1] - mean) / variance**0.5
    found = FedMIA(pooling=0.0)(view, RNG).scores
    assert torch.allclose(found.double(), total / 4, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("attack", [FedMIA(), GradientCosine()])
def test_histories_tell_the_target_clients_records(federations, attack):
    found, other = [], []
    for fed in federations:
        for client in range(3):
            view, member = history(fed, client, client)
            found.append(auc(attack(view, RNG).scores, member))
            null, _ = history(fed, client, (client + 1) % CLIENTS)
            other.append(auc(attack(null, RNG).scores, member))
    assert sum(found) / len(found) > 0.8
    assert abs(sum(other) / len(other) - 0.5) < 0.1


def test_pooling_the_variance_helps_where_there_are_few_clients(federations):
    rates = {0.0: 0.0, 4.0: 0.0}
    for fed in federations:
        few = tuple(
            SeenRound(r.round, r.state, {k: r.updates[k] for k in range(3)}) for r in fed.rounds
        )
        view, member = history(fed, 0, 0, few)
        for pooling in rates:
            rates[pooling] += auc(FedMIA(pooling=pooling)(view, RNG).scores, member) / 4
    assert rates[4.0] > rates[0.0]


@pytest.mark.parametrize("attack", [FedMIA(), GradientCosine()])
def test_rounds_without_the_target_are_skipped(federations, attack):
    fed = federations[0]
    part = [k for k in range(CLIENTS) if k != 2]
    without = SeenRound(9, fed.rounds[0].state, {k: fed.rounds[0].updates[k] for k in part})
    view, _ = history(fed, 2, 2)
    more, _ = history(fed, 2, 2, (without, *fed.rounds))
    assert torch.equal(attack(view, RNG).scores, attack(more, RNG).scores)
    with pytest.raises(NotApplicableError, match="client 2"):
        attack(history(fed, 2, 2, (without,))[0], RNG)


def test_fedmia_needs_two_other_clients(federations):
    fed = federations[0]
    rounds = tuple(
        SeenRound(r.round, r.state, {k: r.updates[k] for k in (0, 1)}) for r in fed.rounds
    )
    with pytest.raises(NotApplicableError, match="two others"):
        FedMIA()(history(fed, 0, 0, rounds)[0], RNG)


def test_batch_norm_is_evaluated_with_its_running_statistics():
    model = mlp(0, 32, batch_norm=True).train()
    x, y = torch.rand(9, 64), torch.arange(9)
    state = {n: v.detach().clone() for n, v in model.state_dict().items() if v.is_floating_point()}
    state["1.running_mean"] += 0.3
    update = {n: torch.randn_like(v) for n, v in state.items()}
    before = {n: v.clone() for n, v in model.state_dict().items()}
    candidates = Candidates(inputs=x, targets=y)
    found = gradient_dots(model, F.cross_entropy, candidates, SeenRound(0, state, {5: update}))
    assert model.training
    assert all(torch.equal(before[n], v) for n, v in model.state_dict().items())
    model.load_state_dict(state, strict=False)
    model.eval()
    for i in range(9):
        loss = F.cross_entropy(model(x[i : i + 1]), y[i : i + 1])
        gradient = torch.autograd.grad(loss, list(model.parameters()))
        dot = sum(
            (g * update[n]).sum()
            for (n, _), g in zip(model.named_parameters(), gradient, strict=True)
        )
        assert torch.isclose(found.dots[i, 0], dot, rtol=1e-3, atol=1e-4)


def test_a_still_gradient_or_update_has_cosine_zero():
    model = mlp(0)
    state = dict(model.named_parameters())
    still = {n: torch.zeros_like(p) for n, p in state.items()}
    candidates = Candidates(inputs=torch.rand(3, 64), targets=torch.arange(3))
    found = gradient_dots(model, F.cross_entropy, candidates, SeenRound(0, state, {0: still}))
    assert found.cosines().tolist() == [[0.0]] * 3


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
    white = FinalLoss()(ModelView(**common(candidates, Observer.MODEL_HOLDER), model=model), RNG)
    assert auc(white.scores, member) > 0.9
    with torch.no_grad():
        logits = model(candidates.inputs)
    for outputs in (logits, logits.softmax(1)):
        view = OutputsView(**common(candidates, Observer.MODEL_USER), outputs=outputs)
        black = FinalLoss()(view, RNG)
        assert spearmanr(white.scores, black.scores).statistic > 0.999
    untrained = ModelView(**common(candidates, Observer.MODEL_HOLDER), model=mlp(4))
    assert abs(auc(FinalLoss()(untrained, RNG).scores, member) - 0.5) < 0.1


def test_probabilities_that_round_to_one_keep_their_order():
    logits = torch.tensor([[20.0, 0.0], [25.0, 0.0], [30.0, 0.0]])
    candidates = Candidates(inputs=torch.zeros(3, 64), targets=torch.zeros(3, dtype=torch.int64))
    view = OutputsView(**common(candidates, Observer.MODEL_USER), outputs=logits.softmax(1))
    scores = FinalLoss()(view, RNG).scores
    assert scores[0] < scores[1] < scores[2] < 0


def test_final_loss_of_a_regression():
    candidates = Candidates(inputs=torch.rand(5, 64), targets=torch.arange(5.0))
    facts = common(candidates, Observer.MODEL_USER, MeanSquaredError(), 0)
    outputs = torch.full((5, 1), 2.0)
    scores = FinalLoss()(OutputsView(**facts, outputs=outputs), RNG).scores
    assert scores.tolist() == [-4.0, -1.0, 0.0, -1.0, -4.0]

    class Constant(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 1), 2.0)

    white = FinalLoss()(ModelView(**facts, model=Constant()), RNG).scores
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
        FinalLoss()(ModelView(**common(None, Observer.MODEL_HOLDER), model=model), RNG)
    candidates = overfit[1]
    view = OutputsView(**common(candidates, Observer.MODEL_USER), outputs=torch.rand(4, 1))
    with pytest.raises(NotApplicableError, match="no probability"):
        FinalLoss()(view, RNG)
