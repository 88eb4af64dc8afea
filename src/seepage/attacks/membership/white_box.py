"""Membership from all that a white box shows, learned on shadow federations.

Whoever holds a model's weights sees more of a record than its loss: the gradients and the
activations of each layer, at each global model that it was sent. Which of it tells a member is
learned: shadow federations, of which it is known whom they were trained on, give examples of
records with and without (Nasr, Shokri & Houmansadr 2019, "Comprehensive Privacy Analysis of
Deep Learning", arXiv 1812.00910, section III, where the examples are known members of the
target itself). Each figure counts by itself, and against what it is for that record under the
other shadows without it, so that hard and easy records compare (Watson et al. 2022, arXiv
2111.08440).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, require_least
from ...core.views import AuxiliaryData, GlobalModelsView
from .candidate_losses import known_candidates
from .shadows import shadows_of
from .white_box_features import white_box_features

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from ...core.views import ModelView, Update

_FAR = 10.0
_LEAST = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True)
class WhiteBox:
    """Scores candidates by the log-odds of an attack model that shadow federations teach.

    Fields
    ------
    shadows : federations to train, half of them on a candidate, >= 4
    rounds : global models to look at, evenly spaced over those seen, >= 1
    hidden : units of the attack model's hidden layer; 0: it is logistic
    """

    shadows: int = 16
    rounds: int = 3
    hidden: int = 0

    def __post_init__(self) -> None:
        require_least("white-box", self, shadows=4, rounds=1, hidden=0)

    def __call__(
        self, view: ModelView | GlobalModelsView, rng: torch.Generator
    ) -> MembershipScores:
        """Return a score for each candidate, `[n]`.

        Raises `NotApplicableError` where the observer can't simulate, where a candidate is in
        nearly no shadow, or in nearly all, or where the model gives no gradient of a record.
        """
        asked = known_candidates(view)
        records = AuxiliaryData(asked.inputs, asked.targets)
        shadows = shadows_of(view, self.shadows, online=True)
        inside = shadows.inside[:, : len(asked.targets)]
        if int((~inside).sum(0).min()) < 2:
            raise NotApplicableError("a candidate is in too many of the shadow federations")
        rounds = view.rounds if isinstance(view, GlobalModelsView) else ()
        chosen = _spread(len(rounds), self.rounds)
        job = view.job

        def figures(model: torch.nn.Module, states: Sequence[Update]) -> Tensor:
            """Return what a federation shows of the candidates, `[n, d]`."""
            picked = [states[i] for i in chosen]
            return white_box_features(model, view.loss, records, job.classes, picked)

        seen = figures(view.model, [state for _, state in rounds])
        known = torch.stack([figures(f.model, f.states) for f in shadows.federations])
        examples, own = against_others(known, inside, seen)
        scores = learned(
            examples.flatten(0, 1),
            inside.flatten(),
            own,
            hidden=self.hidden,
            seed=int(torch.randint(2**31, (), generator=rng)),
        )
        note = f"{self.shadows} shadow federations, {known.shape[2]} figures a record"
        return MembershipScores(scores=scores, note=note)


def against_others(known: Tensor, inside: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Return figures of the shadows `[k, n, 2 d]` and of the target `[n, 2 d]`.

    `known` `[k, n, d]` are the shadows' figures, `inside` `[k, n]` says which were trained on a
    record, `seen` `[n, d]` are the target's. Behind each figure stands how far it is from its
    mean for that record under the *other* shadows without it.
    """
    out = (~inside).to(known.dtype)[:, :, None]
    total, count = (known * out).sum(0), out.sum(0)
    usual = (total - known * out) / (count - out)
    return (
        torch.cat([known, known - usual], dim=2),
        torch.cat([seen, seen - total / count], dim=1),
    )


def learned(examples: Tensor, member: Tensor, asked: Tensor, *, hidden: int, seed: int) -> Tensor:
    """Return log-odds of membership, `[n]`, of figures `asked` `[n, d]`.

    A classifier with so many `hidden` units (0: logistic) is fitted to examples `[m, d]`, of
    which `member` `[m]` are of members. Figures that do not vary there are left out.
    """
    mean, std = examples.mean(0), examples.std(0)
    varies = std > _LEAST
    known, new = (
        ((x - mean)[:, varies] / std[varies]).clamp(-_FAR, _FAR).numpy() for x in (examples, asked)
    )
    classifier: Any = (
        MLPClassifier((hidden,), alpha=1e-2, early_stopping=True, random_state=seed)
        if hidden
        else LogisticRegression(C=0.1, max_iter=1000)
    )
    classifier.fit(known, member.numpy())
    chances = torch.tensor(classifier.predict_log_proba(new), dtype=torch.float64)
    return chances[:, 1] - chances[:, 0]


def _spread(count: int, most: int) -> list[int]:
    """Return at most `most` of the first `count` numbers, evenly spaced, the last among them."""
    most = min(count, most)
    return [count - 1 - (i * count) // most for i in reversed(range(most))]
