"""The losses that `auto` stands for."""

from __future__ import annotations

from torch import Tensor, nn


class MeanSquaredError(nn.MSELoss):
    """Mean squared error of outputs `[n]` or `[n, 1]` against targets `[n]`.

    The plain loss would broadcast `[n, 1]` against `[n]` to `[n, n]`.
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
        """Return the mean of the squared differences."""
        if input.ndim == target.ndim + 1 and input.shape[-1] == 1:
            input = input.squeeze(-1)  # noqa: A001
        return super().forward(input, target)
