"""How much of a batch a reconstruction gives away."""

import torch
from torch import Tensor, nn

from .matching import match, squared_distances


def identified(reconstructions: Tensor, originals: Tensor, gallery: Tensor) -> Tensor:
    """Return per original `[b]` whether its reconstruction picks it among the candidates.

    Reconstructions `[k, *shape]` are matched to originals `[b, *shape]`; a match counts
    where no other candidate of `gallery` `[n, *shape]` is nearer to it than the original
    is. An original without a reconstruction is not identified. Copies of an original in
    the gallery do not compete with it.

    >>> x = torch.eye(4)
    >>> identified(x[[1, 0]] * 0.9, x[:3], gallery=x)
    tensor([ True,  True, False])
    """
    hits = torch.zeros(len(originals), dtype=torch.bool)
    pairs = match(reconstructions, originals)
    if not pairs:
        return hits
    claimed, true = (torch.tensor(column) for column in zip(*pairs, strict=True))
    chosen, wanted = reconstructions[claimed], originals[true]
    rivals = squared_distances(chosen, gallery)
    rivals[squared_distances(wanted, gallery) == 0] = torch.inf
    own = (chosen - wanted).flatten(1).double().square().mean(1)
    hits[true] = own < rivals.min(1).values
    return hits


def mse(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared error of each pair of `[n, *shape]` records, `[n]`."""
    return (a - b).flatten(1).double().square().mean(1)


def psnr(a: Tensor, b: Tensor, *, value_range: float = 1.0) -> Tensor:
    """Return the peak signal-to-noise ratio of each pair in dB, `[n]`; exact pairs give inf.

    >>> psnr(torch.zeros(1, 4), torch.full((1, 4), 0.1)).round(decimals=3)
    tensor([20.], dtype=torch.float64)
    """
    return 10 * torch.log10(value_range**2 / mse(a, b))


def ssim(a: Tensor, b: Tensor, *, value_range: float = 1.0, window: int = 7) -> Tensor:
    """Return the mean structural similarity of each pair of images `[n, c, h, w]`, `[n]`.

    Wang et al. 2004 with a uniform `window` x `window` window, sample (co)variances and
    K1 = .01, K2 = .03, over the positions where the window fits.
    """
    size = min(window, a.shape[-1], a.shape[-2])
    a, b = a.double(), b.double()
    pool = nn.AvgPool2d(size, stride=1)
    unbias = size**2 / (size**2 - 1)
    mean_a, mean_b = pool(a), pool(b)
    var_a = unbias * (pool(a * a) - mean_a**2)
    var_b = unbias * (pool(b * b) - mean_b**2)
    cov = unbias * (pool(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * value_range) ** 2, (0.03 * value_range) ** 2
    top = (2 * mean_a * mean_b + c1) * (2 * cov + c2)
    bottom = (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return (top / bottom).flatten(1).mean(1)
