"""Membership by the likelihood of a client's noisy updates with and without each candidate.

The strongest test of a Gaussian release knows the noise. Each candidate's gradient is clipped
as the defense's public card says, of the record under `dp-sgd` and its kin or of the whole
update under `local-dp`; d_i is what one draw of it adds to the client's mean gradient, and
the observed one less the mean of all candidates' is held to be

    x ~ N((k - e) d_i, S_i)  if the candidate was drawn k times,  e times on average,

with S_i the noise's covariance by coordinate, so that quiet coordinates weigh more, and that
of the other candidates, each of which may be in the batch too (`batch_mates`). Where nothing
is known of the noise, its power is what the candidates leave unexplained. The log-likelihood
ratio of a round allows for a batch that did not draw the candidate; rounds add up. For one
record among n this is the Bayes-optimal pick, whose success is known in closed form
(`accounting.bounds.orthogonal_success`); see Nasr et al. 2021 (arXiv 2101.04535) and Hayes,
Mahloujifar & Balle 2023 (arXiv 2302.07225).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from ...core.claims import MembershipScores
from ...core.errors import NotApplicableError, UsageError
from ...core.views import BatchSize
from .batch_mates import draws
from .candidate_losses import known_candidates
from .gaussian_release import sampled_ratios
from .round_products import RoundProducts, round_products

if TYPE_CHECKING:
    from torch import Tensor

    from ...core.views import HistoryView


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
        rounds = [seen for seen in view.rounds if view.client in seen.updates]
        if not rounds:
            raise NotApplicableError(f"client {view.client} took part in none of the rounds seen")
        found = [round_products(view, seen, candidates, size.value) for seen in rounds]
        scores = torch.stack([self._ratios(view, one, size.value) for one in found]).sum(0)
        known = sum(one.known for one in found)
        note = f"the cards tell the noise of {known} of {len(found)} rounds"
        return MembershipScores(scores=scores, note=note)

    def _ratios(self, view: HistoryView, round_: RoundProducts, batch: int) -> Tensor:
        """Return the log-likelihood ratio of each candidate in one round, `[n]`."""
        count, steps = len(round_.squares), view.job.local_steps
        rate = self.sample_rate or min(1.0, 2 * batch / count)
        mean, variance = draws(rate, steps, share=min(1.0, batch / (count * rate)))
        column = round_.clients.index(view.client)
        inner, square = _explained(round_, column, variance)
        return sampled_ratios(inner + mean * square, square, rate=rate, steps=steps)


def _explained(products: RoundProducts, column: int, variance: float) -> tuple[Tensor, Tensor]:
    """Return <d_i, x> and <d_i, d_i> `[n]`, whitened by all that hides a candidate."""
    inner, power = products.inner[:, column], float(products.power[column])
    spectrum, size = products.spectrum, products.size
    if spectrum is not None and size > spectrum.rank:
        noise = spectrum.noise_power(inner, power, size, known=products.known)
        return spectrum.allowing_for_others(inner, noise_power=noise, variance=variance)
    # Too little is left to tell other records from noise: they are taken for even noise.
    even = max(power / size, 1.0 if products.known else torch.finfo(inner.dtype).tiny)
    return inner / even, products.squares / even
