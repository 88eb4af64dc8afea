"""What can be read off a model without running it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]


def has_batch_norm(model: nn.Module) -> bool:
    """Return whether any layer normalizes by batch statistics.

    >>> has_batch_norm(nn.BatchNorm1d(3)), has_batch_norm(nn.GroupNorm(1, 3))
    (True, False)
    """
    return any(isinstance(layer, _BatchNorm) for layer in model.modules())


def float_buffers(model: nn.Module) -> dict[str, Tensor]:
    """Return the floating-point buffers that are part of the state, by name, not copied.

    They travel with the parameters in a federated job; counters and buffers that are not
    saved do not.

    >>> sorted(float_buffers(nn.BatchNorm1d(3)))
    ['running_mean', 'running_var']
    """
    saved = model.state_dict().keys()
    buffers = model.named_buffers(remove_duplicate=False)
    return {name: b for name, b in buffers if name in saved and b.is_floating_point()}


def parameter_count(model: nn.Module) -> int:
    """Return the number of scalar parameters; shared ones count once.

    >>> parameter_count(nn.Linear(3, 2))
    8
    """
    return sum(p.numel() for p in model.parameters())
