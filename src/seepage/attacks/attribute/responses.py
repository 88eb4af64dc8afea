"""True labels behind randomized ones: the Bayes-optimal guess of who knows the chances.

Under randomized response a client trains on answers, which is all that its updates tell. A
label t of k is answered truly with chance e^eps / (e^eps + k - 1), else by one of the others;
the public card says so. With class frequencies f the truth behind an answer y is t with chance
proportional to f_t P(y | t): one record is best guessed as the likeliest t, which is right with
chance

    sum_y max_t f_t P(y | t)

and not always the answer itself. Of several answers so many have truth t that the count c_t is
a sum of independent draws; guessing g_t of them gets sum_t E min(g_t, c_t) right, which is
greatest if the guesses are those of largest P(c_t >= g).
"""

from __future__ import annotations

from math import exp
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from ...core.cards import DefenseCard


def answer_chances(defenses: Iterable[DefenseCard], classes: int) -> Tensor | None:
    """Return P(answer | truth) of labels, `[truth, answer]`, or None where they are as they are.

    Answers given in turn are answers to answers.
    """
    chances: Tensor | None = None
    for card in defenses:
        epsilon: Any = card.settings.get("epsilon")
        if card.name != "randomized-response" or card.settings.get("classes") != classes:
            continue
        lie = exp(-float(epsilon)) / (1 + (classes - 1) * exp(-float(epsilon)))
        own = torch.full((classes, classes), lie, dtype=torch.float64)
        own.fill_diagonal_(1 - (classes - 1) * lie)
        chances = own if chances is None else chances @ own
    return chances


def likeliest_truths(answers: Tensor, frequency: Tensor, chances: Tensor) -> Tensor:
    """Return the labels of most expected hits, int64 `[n]`, ascending.

    `answers` are `[n]`, `frequency` the truths' shares `[k]` and `chances` P(answer | truth)
    `[k, k]`. Hits are counted without order.

    >>> keep = torch.tensor([[0.6, 0.4], [0.4, 0.6]])
    >>> likeliest_truths(torch.tensor([1]), torch.tensor([0.7, 0.3]), keep)
    tensor([0])
    """
    joint = frequency.double()[:, None] * chances.double()
    of_each = (joint / joint.sum(0))[:, answers]
    classes, count = of_each.shape
    exactly = torch.zeros(classes, count + 1, dtype=torch.float64)
    exactly[:, 0] = 1.0
    for chance in of_each.T:
        moved = torch.roll(exactly, 1, dims=1)
        exactly = exactly * (1 - chance)[:, None] + moved * chance[:, None]
    at_least = exactly.flip(1).cumsum(1).flip(1)[:, 1:]
    chosen = at_least.flatten().topk(count).indices // max(count, 1)
    return chosen.sort().values
