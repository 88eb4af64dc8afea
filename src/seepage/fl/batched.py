"""Local training of a whole cohort at once, by `torch.func`.

For small models most of a step is the cost of calling operators, which `vmap` pays once
for all clients. Where the arithmetic dominates, one client after the other is faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING

from torch.func import functional_call, grad, vmap

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..core.task import Task
    from ..core.views import Update

# Measured on one CPU core, cohorts of 2 to 32, batches of 1 to 32, MLPs and small CNNs:
# below 6 clients an MLP gains nothing; past these sizes the arithmetic dominates.
LEAST_CLIENTS = 6
MOST_COHORT_PARAMETERS = 4_000_000
MOST_BATCH_VALUES = 8_192


def worthwhile(clients: int, parameters: int, batch_values: int) -> bool:
    """Return whether a cohort runs faster batched than one by one.

    `parameters` is the size of the model, `batch_values` of a client's input batch.

    >>> worthwhile(8, 9_610, 256), worthwhile(8, 13_426, 32 * 784), worthwhile(2, 9_610, 256)
    (True, False, False)
    """
    return (
        clients >= LEAST_CLIENTS
        and clients * parameters <= MOST_COHORT_PARAMETERS
        and batch_values <= MOST_BATCH_VALUES
    )


class BatchedTrainer:
    """Plain SGD of many clients at once, for models without buffers and randomness."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        # A copy: what a module keeps of its inputs must not end up in the job's model.
        model = deepcopy(model).train()

        def loss(parameters: Update, inputs: Tensor, targets: Tensor) -> Tensor:
            """Return the loss on a client's batch, as a function of its parameters."""
            return task.loss(functional_call(model, dict(parameters), (inputs,)), targets)

        self._lr = task.training.lr
        self._at_one_point = vmap(grad(loss), in_dims=(None, 0, 0))
        self._at_own_points = vmap(grad(loss), in_dims=(0, 0, 0))

    def run(self, state: Update, steps: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Return the updates of all clients, `[clients, *shape]` by parameter.

        `steps` holds inputs `[clients, batch, *shape]` and targets `[clients, batch]` of
        each local step. With one step the update is -lr times the gradient, exactly.
        """
        gradient = self._at_one_point(state, *steps[0])
        if len(steps) == 1:
            return {name: gradient[name] * -self._lr for name in state}
        here = {name: value - self._lr * gradient[name] for name, value in state.items()}
        for inputs, targets in steps[1:]:
            gradient = self._at_own_points(here, inputs, targets)
            here = {name: value - self._lr * gradient[name] for name, value in here.items()}
        return {name: value - state[name] for name, value in here.items()}
