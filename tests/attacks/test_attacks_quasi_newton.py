from __future__ import annotations

import torch
from attack_views import rng
from torch import Tensor

from seepage.attacks.inversion.optimized.search.quasi_newton import QuasiNewton, _Memory


def test_several_descents_at_once_reach_the_minima_of_quadratics():
    scales = torch.stack([torch.logspace(0, 4, 30), torch.logspace(0, 2, 30)]).double()
    centers = torch.randn(2, 30, generator=rng()).double()
    calls = []

    def evaluate(x: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(1)
        rest = x - centers
        return (scales * rest.square()).sum(1) / 2, scales * rest

    descent = QuasiNewton(steps=200, history=40, first=0.1, floor=1e-14)
    found, values = descent(evaluate, torch.zeros_like(centers))
    torch.testing.assert_close(found, centers, atol=1e-5, rtol=0)
    assert float(values.max()) < 1e-12  # also of the slower one, after the other is done
    # Gradient descent needs about the condition number times as many.
    assert len(calls) < 150


def test_the_compact_form_is_that_of_bfgs():
    memory = _Memory(2, 12, 6, torch.zeros(1).double())
    curvature = torch.randn(2, 12, 12, generator=rng()).double()
    curvature = curvature @ curvature.mT + torch.eye(12).double()
    pairs: list[list[tuple[Tensor, Tensor]]] = [[], []]
    for k in range(9):
        steps = torch.randn(2, 12, generator=rng(k + 1)).double()
        if k == 3:
            steps[1] = 0
        changes = (curvature @ steps[:, :, None])[..., 0]
        memory.add(steps, changes)
        for i in range(1 if k == 3 else 2):
            pairs[i].append((steps[i], changes[i]))
    slopes = torch.randn(2, 12, generator=rng(99)).double()
    found = memory.times(slopes)
    for i in range(2):
        s, y = pairs[i][-1]
        inverse = torch.eye(12).double() * (s @ y) / (y @ y)
        for s, y in pairs[i]:
            left = torch.eye(12).double() - torch.outer(y, s) / (s @ y)
            inverse = left.mT @ inverse @ left + torch.outer(s, s) / (s @ y)
        torch.testing.assert_close(found[i], inverse @ slopes[i])
