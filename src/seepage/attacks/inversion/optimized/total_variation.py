"""Total variation of images: natural ones have little of it."""

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
