"""How well a model learns a few digits in a few steps."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits
from torch import nn

from seepage.models.api import loss


def accuracy(model: nn.Module, steps: int, lr: float, momentum: float = 0.0) -> float:
    """Train on 400 digits, in batches of 32, and return the share of them that is then right."""
    inputs, targets = (torch.tensor(part[:400]) for part in load_digits(return_X_y=True))
    inputs, criterion = inputs.float().view(-1, 1, 8, 8) / 16, loss("auto", 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=momentum)
    rng = torch.Generator().manual_seed(0)
    for _ in range(steps):
        batch = torch.randint(400, (32,), generator=rng)
        optimizer.zero_grad()
        criterion(model(inputs[batch]), targets[batch]).backward()
        optimizer.step()
    return float((model.eval()(inputs).argmax(1) == targets).double().mean())
