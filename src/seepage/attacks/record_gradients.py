"""The gradient of each of many records on its own, in chunks that fit into memory.

They are taken in evaluation mode: a batch of one has no batch statistics.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from torch.func import functional_call, grad, vmap

from ..core.errors import NotApplicableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor, nn

    from ..core.views import Loss, Update

# Gradients held at once: few enough for the cache, enough to keep `vmap` busy.
CHUNK = 32


def record_gradients(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    *,
    names: Sequence[str],
    state: Update,
) -> Iterator[dict[str, Tensor]]:
    """Yield the gradients at `state` of a few records at a time, by parameter, `[k, *shape]`.

    `names` are the parameters, inputs are `[n, *shape]` and targets `[n]`. Raises
    `NotApplicableError` where the model gives no gradient of a single record.
    """
    trial = deepcopy(model).eval()
    parameters = {name: state[name].detach() for name in names}
    fixed = {name: value for name, value in state.items() if name not in parameters}

    def alone(own: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        """Return the loss of one record, as a function of the parameters."""
        return loss(functional_call(trial, {**fixed, **own}, (x[None],)), y[None])

    run: Any = vmap(grad(alone), in_dims=(None, 0, 0))
    for x, y in zip(inputs.split(CHUNK), targets.split(CHUNK), strict=True):
        try:
            gradients: dict[str, Tensor] = run(parameters, x, y)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise NotApplicableError(
                f"{type(model).__name__} or its loss gives no gradient of a single record: {said}"
            ) from error
        yield gradients
