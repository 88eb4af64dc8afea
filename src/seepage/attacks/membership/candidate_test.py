"""Membership by the likelihood of a client's noisy updates with and without each candidate.

The strongest test of a Gaussian release knows the noise. Each candidate's gradient c_i is
clipped as the defense's public card says, of the record under `dp-sgd` and its kin or of
the whole update under `local-dp`, and the observed mean gradient r of batch size B is held
to be

    N(m + (c_i - m) / B, S)  with the candidate,    N(m, S)  without,

m the mean of all candidates' clipped gradients and S the noise's covariance by coordinate:
quiet coordinates weigh more. What the other records of a batch do to r beyond m is taken for
noise too. The log-likelihood ratio of a round allows for a batch that did not draw the
candidate; rounds add up. For one record among n this is the Bayes-optimal pick, whose success
is known in closed form (`accounting.bounds.orthogonal_success`); see Nasr et al. 2021
(arXiv 2101.04535) and Hayes, Mahloujifar & Balle 2023 (arXiv 2302.07225).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError
from ...core.views import BatchSize
from ..clipped_gradients import clipped_gradients, longest_gradient, shortened
from ..gradient_noise import flat_deviations, gradient_noise
from .candidate_losses import known_candidates
from .gaussian_release import alignments, sampled_ratios

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from ...core.views import Candidates, HistoryView, SeenRound

_TINY = 1e-12


@dataclass(frozen=True, kw_only=True, slots=True)
class CandidateTest:
    """Scores candidates by whitened log-likelihood ratios, summed over the rounds seen.

    Fields
    ------
    sample_rate : chance that a local step draws a member, at most 1; 0: the batch size over
        half the number of candidates, as if half were members and the client had no others
    """

    sample_rate: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.sample_rate <= 1:
            raise UsageError(
                f"candidate-test: sample_rate is {self.sample_rate}; use a number from 0 to 1"
            )

    def __call__(self, view: HistoryView, rng: torch.Generator) -> MembershipScores:  # noqa: ARG002
        """Return the log-likelihood ratio of each candidate, `[n]`.

        Raises `NotApplicableError` where the client took part in no round that was seen, or
        the view tells no candidates or no batch size.
        """
        candidates, size = known_candidates(view), view.fact(BatchSize)
        if size is None:
            raise NotApplicableError("the batch size is not known to this observer")
        rate = self.sample_rate or min(1.0, 2 * size.value / len(candidates.targets))
        rounds = [seen for seen in view.rounds if view.client in seen.updates]
        if not rounds:
            raise NotApplicableError(f"client {view.client} took part in none of the rounds seen")
        found = [_Round(view, seen, candidates, size.value) for seen in rounds]
        scores = torch.stack([one.ratios(rate) for one in found]).sum(0)
        known = sum(one.noise is not None for one in found)
        note = f"the cards tell the noise of {known} of {len(found)} rounds"
        return MembershipScores(scores=scores, note=note)


class _Round:
    """One round's mean gradient of the client, and what a candidate would add to it."""

    def __init__(
        self, view: HistoryView, seen: SeenRound, candidates: Candidates, batch: int
    ) -> None:
        self._view, self._seen, self._candidates = view, seen, candidates
        update = seen.updates[view.client]
        parameters = view.model.named_parameters()
        like = {n: update[n] for n, p in parameters if p.requires_grad and n in update}
        if not like:
            raise NotApplicableError(f"round {seen.round} shows no parameter of the model")
        job = view.job
        self._records = batch * job.local_steps
        self._like, self._most = like, longest_gradient(view)
        self._release = _flat(like, 0).double() / -(job.lr * job.local_steps)
        if not bool(self._release.isfinite().all()):
            raise NotApplicableError(f"the update of round {seen.round} is not finite")
        noise = gradient_noise(view.defenses, job, like, number=seen.round, batch=batch)
        self.noise = None if noise is None else flat_deviations(noise, like).double()

    def ratios(self, rate: float) -> Tensor:
        """Return the log-likelihood ratio of each candidate, `[n]`."""
        total, count = torch.zeros_like(self._release), 0
        for chunk in self._contributions():
            total, count = total + chunk.sum(0), count + len(chunk)
        mean = total / count
        background = shortened(mean[None], self._most)[0]
        rest = self._release - background
        deviations = self._deviations(rest)
        inner: list[Tensor] = []
        square: list[Tensor] = []
        for chunk in self._contributions():
            shifted = mean + (chunk - mean) / self._records
            found = alignments(rest, shortened(shifted, self._most) - background, deviations)
            inner.append(found[0])
            square.append(found[1])
        return sampled_ratios(
            torch.cat(inner), torch.cat(square), rate=rate, steps=self._view.job.local_steps
        )

    def _contributions(self) -> Iterator[Tensor]:
        """Yield candidates' clipped gradients `[k, p]`."""
        for clipped in clipped_gradients(
            self._view,
            self._candidates.inputs,
            self._candidates.targets,
            like=self._like,
            state=self._seen.state,
            number=self._seen.round,
        ):
            yield _flat(clipped, 1).double()

    def _deviations(self, rest: Tensor) -> Tensor:
        """Return the deviations of all that hides a candidate, `[p]`.

        Other records are told apart from the noise by the power that is left, which is
        shared evenly; without noise that is known, all of it is theirs.
        """
        power = float(rest.square().mean())
        if self.noise is None:
            return torch.full_like(rest, max(power, _TINY**2) ** 0.5)
        left = max(power - float(self.noise.square().mean()), 0.0) * (1 - 1 / self._records)
        return (self.noise.square() + left).sqrt()


def _flat(tensors: Mapping[str, Tensor], first: int) -> Tensor:
    """Return all values in order, of the axes from `first` on."""
    return torch.cat([value.detach().flatten(first) for value in tensors.values()], dim=-1)
