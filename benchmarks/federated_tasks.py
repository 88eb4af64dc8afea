"""Small federated jobs on real data, and what defended training leaves of their accuracy."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from image_sets import Images
from sklearn.metrics import roc_auc_score
from torch import nn

from seepage.auditing.spec import from_plan
from seepage.core.defense import Defense
from seepage.core.errors import UsageError
from seepage.core.plan_reader import plan_from_json
from seepage.core.seeds import torch_rng
from seepage.core.task import Records, Task
from seepage.fl.engine import train

SOURCES: dict[str, dict[str, Any]] = {
    "digits": {"source": "digits"},
    "Fashion-MNIST": {
        "source": "images/fashion_mnist/fashion_mnist_30k_10k.npz",
        "inputs": "x_train",
        "targets": "y_train",
    },
    "PneumoniaMNIST": {
        "source": "medical_images/pneumoniamnist/pneumoniamnist.npz",
        "inputs": "train_images",
        "targets": "train_labels",
    },
}


def task_of(
    data: str,
    model: dict[str, Any],
    *,
    clients: int,
    rounds: int,
    local_steps: int = 1,
    lr: float = 0.1,
    limit: int = 0,
    seed: int = 0,
) -> Task:
    """Return a job whose clients take full-batch steps; its split is drawn by the seed."""
    training = {"rounds": rounds, "batch_size": 0, "local_steps": local_steps, "lr": lr}
    source = {**SOURCES[data], "clients": clients, "limit": limit}
    plan = {"name": data, "data": source, "model": model, "training": training}
    base = Path(os.environ.get("SEEPAGE_DATA", Path(__file__).parents[2] / "shared" / "data"))
    spec = from_plan(plan_from_json({"seed": seed, "tasks": [plan]}), source="", base=base)
    return spec.jobs[0].task


def at_rate(task: Task, lr: float) -> Task:
    """Return the job at another learning rate."""
    return replace(task, training=replace(task.training, lr=lr))


def records(several: Sequence[Records]) -> Images:
    """Return records of several clients together."""
    return Images(
        torch.cat([r.inputs for r in several]), torch.cat([r.targets for r in several]).long()
    )


def fresh(task: Task, seed: int) -> nn.Module:
    """Return the model that the job starts from."""
    return task.build(torch_rng(seed, "model", 0))


def publicly_trained(task: Task, seed: int, steps: int = 60, lr: float = 0.3) -> nn.Module:
    """Return the job's first model after full-batch steps on public records."""
    model, held = fresh(task, seed), task.auxiliary
    for _ in range(steps):
        loss = F.cross_entropy(model(held.inputs), held.targets)
        slopes = torch.autograd.grad(loss, [*model.parameters()])
        with torch.no_grad():
            for p, slope in zip(model.parameters(), slopes, strict=True):
                p -= lr * slope
    return model


def centered(task: Task) -> Task:
    """Return the job with the mean public record taken from every input."""
    mean = task.auxiliary.inputs.mean(0)

    def less(held: Records) -> Records:
        """Return the records less the mean."""
        return replace(held, inputs=held.inputs - mean)

    clients = tuple(replace(c, train=less(c.train), holdout=less(c.holdout)) for c in task.clients)
    return replace(task, clients=clients, auxiliary=less(task.auxiliary), value_range=None)


def scores(task: Task, defenses: Sequence[Defense], seed: int) -> tuple[float, float]:
    """Return accuracy on the records held out, and what rare classes count in as well: the

    AUC of two classes, else balanced accuracy. Training that diverged gives 0 twice.
    """
    try:
        model = train(task, defenses=defenses, seed=seed).model
    except UsageError:
        return 0.0, 0.0
    held = records([c.holdout for c in task.clients])
    with torch.no_grad():
        outputs = model(held.x)
    right = (outputs.argmax(-1) == held.y).double()
    if outputs.shape[1] == 2:
        auc: Any = roc_auc_score(held.y.numpy(), (outputs[:, 1] - outputs[:, 0]).numpy())
        return float(right.mean()), float(auc)
    kinds = [right[held.y == label].mean() for label in held.y.unique()]
    return float(right.mean()), float(torch.stack(kinds).mean())
