"""Membership from what the final model answers for a record.

A model that overfits answers surely and rightly on the records that it was trained on. Four
scores of its answer p to a record (x, y), higher for a member:

    loss               -loss(f(x), y)
    confidence         p_y
    entropy            sum_c p_c log p_c
    modified-entropy   (1 - p_y) log p_y + sum_{c != y} p_c log(1 - p_c)

(Yeom, Giacomelli, Fredrikson & Jha 2018, arXiv 1709.01604; Song & Mittal 2021, "Systematic
Evaluation of Privacy Risks of Machine Learning Models", arXiv 2003.10595, eq. 8.) Some records
are easy for a model that never saw them: calibrated, a score is held against its mean under
shadow federations that were trained without the record (Watson, Guo, Cormode & Sablayrolles
2022, "On the Importance of Difficulty Calibration in Membership Inference Attacks", arXiv
2111.08440, eq. 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError, require_least
from ...core.names import nearest
from ...core.views import OutputsView
from .candidate_losses import candidate_losses, known_candidates, outputs_of
from .output_scores import SCORES, answer_scores
from .shadows import shadows_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ...core.views import ModelView


@dataclass(frozen=True, kw_only=True, slots=True)
class LossScore:
    """Scores candidates by the final model's answers to them.

    Fields
    ------
    score : `loss`, `confidence`, `entropy` or `modified-entropy`
    calibrated : whether it is held against shadow federations without the record
    shadows : federations to train where it is calibrated, >= 4
    online : whether half of them train on a candidate; else none does
    """

    score: str = "loss"
    calibrated: bool = False
    shadows: int = 16
    online: bool = True

    def __post_init__(self) -> None:
        require_least("loss", self, shadows=4)
        if self.score not in SCORES:
            raise UsageError(f"loss: score is {self.score!r}{nearest(self.score, SCORES)}")

    def __call__(self, view: ModelView | OutputsView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return a score for each candidate, `[n]`.

        Raises `NotApplicableError` where there are no candidates, where the outputs or the loss
        do not fit them, where a score other than the loss is asked of a regression, or where
        the observer can't train the shadows that calibrate.
        """
        known_candidates(view)
        black = isinstance(view, OutputsView)
        scores = self._of_outputs(view, view.outputs) if black else self._of(view, view.model)
        if not self.calibrated:
            return MembershipScores(scores=scores)
        shadows = shadows_of(view, self.shadows, online=self.online)
        every = torch.stack([self._of(view, f.model) for f in shadows.federations])
        without = ~shadows.inside[:, : len(scores)]
        if not bool(without.any(0).all()):
            raise NotApplicableError("a candidate is in every shadow federation: train more")
        usual = torch.where(without, every, 0).sum(0) / without.sum(0)
        note = f"calibrated by {self.shadows} shadow federations"
        return MembershipScores(scores=scores - usual, note=note)

    def _of(self, view: ModelView | OutputsView, model: nn.Module) -> Tensor:
        candidates = known_candidates(view)
        if self.score == "loss" and not isinstance(view, OutputsView):
            return -candidate_losses(model, view.loss, candidates)
        return self._of_outputs(view, outputs_of(model, candidates.inputs))

    def _of_outputs(self, view: ModelView | OutputsView, outputs: Tensor) -> Tensor:
        targets = known_candidates(view).targets
        return answer_scores(self.score, outputs, targets, view.job.classes)
