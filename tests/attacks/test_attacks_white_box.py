"""The white box: its figures against direct ones, and what it learns on shadow federations."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from attack_federations import auc
from attack_views import auxiliary, digits, fitted, known, mlp, rng, simulation
from torch import Tensor, nn

from seepage.attacks.membership.white_box import WhiteBox, against_others, learned
from seepage.attacks.membership.white_box_features import white_box_features
from seepage.core.errors import NotApplicableError
from seepage.core.views import AuxiliaryData, Candidates, GlobalModelsView, ModelView

X, Y = digits()
STEPS, N = 150, 120


def seen(member: Tensor, records: int) -> ModelView:
    """A model that learned the members among `N` digits, some mislabelled, by heart."""
    wrong = torch.rand(N, generator=rng(2)) < 0.3
    labels = torch.where(wrong, torch.randint(0, 10, (N,), generator=rng(3)), Y[:N])
    model = fitted(mlp(32), X[:N][member], labels[member], STEPS)
    facts = (Candidates(X[:N], labels), auxiliary(), simulation(32, records, STEPS))
    return ModelView(model=model.eval(), **known(*facts))


def test_figures_are_those_of_single_records() -> None:
    model = mlp(16)
    state = {n: p.detach().clone() for n, p in model.named_parameters()}
    later = {n: p + 0.1 * torch.randn(p.shape, generator=rng(0)) for n, p in state.items()}
    records = AuxiliaryData(X[:9], Y[:9])
    found = white_box_features(mlp(16), F.cross_entropy, records, 10, [state, later])
    expected: list[Tensor] = []
    body = nn.Sequential(*list(model.children())[:-1])
    for i in range(9):
        outputs = model(X[i : i + 1])
        p = outputs[0].softmax(0).double()
        own = p[Y[i]]
        loss = F.cross_entropy(outputs, Y[i : i + 1])
        slopes = torch.autograd.grad(loss, list(model.parameters()))
        pull = torch.cat([(later[n] - state[n]).flatten() for n in state])
        cosine = F.cosine_similarity(-torch.cat([g.flatten() for g in slopes]), pull, dim=0)
        hidden = body(X[i : i + 1])[0]
        expected = [
            torch.log(own / (1 - own)),
            *p.log().sort(descending=True).values[:3],
            -(p * p.log()).sum(),
            *[g.norm().log() for g in slopes],
            cosine,
            hidden.norm(),
            hidden.max(),
            (hidden > 0).float().mean(),
        ]
        for value, figure in zip(expected, found[i], strict=False):
            assert float(value.detach()) == pytest.approx(float(figure), abs=1e-4)
    assert found.shape == (9, 2 * len(expected) - 1)  # the last state knows of no change


def test_a_record_is_held_against_the_other_shadows_without_it() -> None:
    figures, target = torch.randn(6, 5, 2, generator=rng(1)), torch.randn(5, 2, generator=rng(2))
    inside = torch.rand(6, 5, generator=rng(3)) < 0.5
    inside[:2] = False
    examples, own = against_others(figures, inside, target)
    for j in range(5):
        out = [k for k in range(6) if not inside[k, j]]
        assert torch.allclose(own[j, 2:], target[j] - figures[out, j].mean(0), atol=1e-5)
        for k in range(6):
            others = [o for o in out if o != k]
            expected = figures[k, j] - figures[others, j].mean(0)
            assert torch.allclose(examples[k, j, 2:], expected, atol=1e-5)
            assert torch.equal(examples[k, j, :2], figures[k, j])


@pytest.mark.parametrize("hidden", [0, 16])
def test_the_attack_model_finds_the_one_figure_that_tells(hidden: int) -> None:
    draws = torch.randn(4000, 5, generator=rng(4), dtype=torch.float64)
    member = torch.rand(4000, generator=rng(5)) < 0.5
    draws[:, 2] += 2.0 * member
    draws[:, 4] = 7.0
    scores = learned(draws[:3000], member[:3000], draws[3000:], hidden=hidden, seed=0)
    found, best = auc(scores, member[3000:]), auc(draws[3000:, 2], member[3000:])
    assert abs(found - best) < 0.02


def test_it_finds_what_a_model_learned_by_heart_and_nothing_in_another() -> None:
    member = torch.rand(N, generator=rng(1)) < 0.5
    view = seen(member, N // 2)
    found = auc(WhiteBox()(view, rng(0)).scores, member)
    assert found > 0.8
    stranger = fitted(mlp(32), X[1000:1060], Y[1000:1060], STEPS).eval()
    null = auc(WhiteBox()(replace(view, model=stranger), rng(0)).scores, member)
    assert abs(null - 0.5) < 0.16  # three standard errors at 60 against 60


def test_several_global_models_are_read_and_few_shadows_refused() -> None:
    member = torch.rand(N, generator=rng(1)) < 0.5
    view = seen(member, N // 2)
    last = {n: v.detach().clone() for n, v in view.model.state_dict().items()}
    rounds = tuple((t, last) for t in range(5))
    several = GlobalModelsView(model=view.model, rounds=rounds, **known(*view.facts))
    scores = WhiteBox(rounds=2)(several, rng(0)).scores
    assert auc(scores, member) > 0.8
    with pytest.raises(NotApplicableError, match="can't train"):
        WhiteBox()(replace(view, facts=view.facts[:2]), rng(0))
