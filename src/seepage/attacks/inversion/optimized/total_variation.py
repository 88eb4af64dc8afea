"""Total variation of images: natural ones have little of it."""

import torch
from torch import Tensor


def total_variation(images: Tensor) -> Tensor:
    """Return the sum of absolute differences of neighbors in images `[b, c, h, w]`, a scalar.

    Anisotropic total variation (Rudin, Osher & Fatemi 1992), averaged over the batch.

    >>> import torch
    >>> float(total_variation(torch.eye(2)[None, None]))
    4.0
    """
    down = (images[..., 1:, :] - images[..., :-1, :]).abs().sum()
    across = (images[..., :, 1:] - images[..., :, :-1]).abs().sum()
    return (down + across) / len(images)


def total_variation_slope(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the total variation of each image `[..., c, h, w]`, `[...]`, and its slope.

    The slope has the shape of the images, and is 0 between equal neighbors.

    >>> import torch
    >>> total_variation_slope(torch.tensor([[[0.0, 2.0]]]))
    (tensor(2.), tensor([[[-1.,  1.]]]))
    """
    down = images[..., 1:, :] - images[..., :-1, :]
    across = images[..., :, 1:] - images[..., :, :-1]
    found = down.abs().flatten(-3).sum(-1) + across.abs().flatten(-3).sum(-1)
    slope = torch.zeros_like(images)
    down, across = down.sign_(), across.sign_()
    slope[..., 1:, :] += down
    slope[..., :-1, :] -= down
    slope[..., :, 1:] += across
    slope[..., :, :-1] -= across
    return found, slope
