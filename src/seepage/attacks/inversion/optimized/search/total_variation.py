"""Total variation of images: natural ones have little of it."""

import torch
from torch import Tensor


def total_variation(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the total variation of each image `[..., c, h, w]`, `[...]`, and its slope.

    It is the anisotropic one, the sum of absolute differences of neighbors (Rudin, Osher &
    Fatemi 1992). The slope has the shape of the images, and is 0 between equal neighbors.

    >>> import torch
    >>> total_variation(torch.tensor([[[0.0, 2.0]]]))
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
