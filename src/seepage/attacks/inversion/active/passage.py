"""Carries a record through convolutions, unchanged, to the first fully connected layer.

A convolution whose kernels each hold a single 1 copies pixels. With stride s an image of c
channels needs c s^2 of them, one for each offset within a stride: the pixels move into the
channels, and none is lost (Boenisch et al. 2021, arXiv 2112.02918, send identities; the
offsets let them pass a stride).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from ....core.errors import NotApplicableError
from ...layers import LayerRun, layer_runs, parameter_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ....core.views import JobFacts


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """How the first fully connected layer sees a record.

    Fields
    ------
    layer : name of that layer, a Linear
    positions : which of its inputs carries each value of the flattened record, `[n]`
    offset : what is added to the values on their way
    shape : of one record
    """

    layer: str
    positions: Tensor
    offset: float
    shape: tuple[int, ...]

    def joined(self, gradient: Mapping[str, Tensor]) -> Tensor:
        """Return the gradient as rows of sums of d [x, 1], float64 `[k, n + 1]`."""
        for name in (f"{self.layer}.weight", f"{self.layer}.bias"):
            if name not in gradient:
                raise NotApplicableError(f"the update does not hold {name}: is it frozen?")
        weight = gradient[f"{self.layer}.weight"].double()[:, self.positions]
        bias = gradient[f"{self.layer}.bias"].double()[:, None]
        return torch.cat([weight - self.offset * bias, bias], dim=1)

    def linear(self, model: nn.Module) -> nn.Linear:
        """Return the layer, as a module of `model`."""
        return cast("nn.Linear", model.get_submodule(self.layer))

    def weight(self, model: nn.Module) -> Tensor:
        """Return the layer's [weight | bias] as it acts on [x, 1], float64 `[k, n + 1]`."""
        layer = self.linear(model)
        weight = layer.weight.detach().double()[:, self.positions]
        bias = layer.bias.detach().double() + self.offset * weight.sum(1)
        return torch.cat([weight, bias[:, None]], dim=1)

    def records(self, rows: Tensor) -> Tensor:
        """Return inputs `[m, *shape]` of rows c [x, 1] `[m, n + 1]`, c not 0."""
        return (rows[:, :-1] / rows[:, -1:]).float().view(-1, *self.shape)


def has_bias(layer: nn.Module) -> bool:
    """Return whether `layer` has a bias that is a parameter of its own."""
    return "bias" in dict(layer.named_parameters(recurse=False))


def passage(model: nn.Module, job: JobFacts) -> Passage:
    """Return how records reach the first fully connected layer of `model`.

    Raises `NotApplicableError` where there is none, where it has no bias or no ReLU behind
    it, or where not every value of a record arrives unchanged.
    """
    low, high = job.value_range or (0.0, 1.0)
    n = torch.Size(job.input_shape).numel()
    # Values that are all different name the pixel that they came from.
    codes = low + (high - low) * torch.arange(1, n + 1) / (n + 1)
    probes = torch.stack([codes, codes.flip(0), torch.full((n,), low)])
    runs, _ = layer_runs(model, probes.view(3, *job.input_shape))
    place = next((i for i, r in enumerate(runs) if isinstance(r.module, nn.Linear)), None)
    if place is None or not has_bias(runs[place].module):
        raise NotApplicableError("the model has no fully connected layer with a bias to trap with")
    following = runs[place + 1 : place + 2]
    if not following or not torch.equal(following[0].input, runs[place].output.clamp_min(0)):
        raise NotApplicableError(
            "there is no ReLU behind the first fully connected layer: nothing keeps records apart"
        )
    arrived = runs[place].input.detach()
    offset = float(arrived[2].max()) - low if place else 0.0
    step = (high - low) / (n + 1)
    named = ((arrived[0] - offset - low) / step).round().long() - 1
    fits = (named >= 0) & (named < n)
    expected = probes[:2, named.clamp(0, n - 1)] + offset
    fits &= ((arrived[:2] - expected).abs() < step / 8).all(0)
    positions = torch.full((n,), -1)
    positions[named[fits]] = fits.nonzero()[:, 0]
    lost = int((positions < 0).sum())
    if lost:
        raise NotApplicableError(f"{lost} of a record's {n} values do not reach the first Linear")
    return Passage(runs[place].name, positions, offset, job.input_shape)


def open_passage(model: nn.Module, job: JobFacts) -> None:
    """Rewrite the convolutions before the first fully connected layer so that they copy pixels.

    Raises `NotApplicableError` where a layer can't: one that normalizes or has too few
    channels for its stride, or records of an unknown or negative range.
    """
    runs, _ = layer_runs(model, torch.zeros(2, *job.input_shape))
    place = next((i for i, r in enumerate(runs) if isinstance(r.module, nn.Linear)), len(runs))
    before = runs[:place]
    if before and job.value_range is None:
        raise NotApplicableError("the value range is not known: ReLU may cut off negative values")
    modules, channels = dict(model.named_modules()), job.input_shape[0]
    for number, run in enumerate(before):
        found = modules[run.name]
        if not isinstance(found, nn.Conv2d):
            kind = type(found).__name__
            raise NotApplicableError(f"{run.name} is a {kind}: it does not pass a record unchanged")
        lift = -min(0.0, (job.value_range or (0.0, 0.0))[0]) if number == 0 else 0.0
        channels = _copy_pixels(run, found, channels, lift)


def _copy_pixels(run: LayerRun, convolution: nn.Conv2d, channels: int, lift: float) -> int:
    """Make `convolution` copy its first `channels` channels; return how many it then fills."""
    (down, right), (rows, columns) = convolution.stride, convolution.kernel_size
    top = (run.input.shape[2] - 1) // down + 1, (run.input.shape[3] - 1) // right + 1
    padding = convolution.padding
    needed = channels * down * right
    name = parameter_name(run, "weight")
    if (
        isinstance(padding, str)
        or padding[0] + down > rows
        or padding[1] + right > columns
        or convolution.groups != 1
        or convolution.dilation != (1, 1)
        or run.output.shape[2] < top[0]
        or run.output.shape[3] < top[1]
    ):
        raise NotApplicableError(f"{name}: its kernel can't copy every pixel")
    if needed > convolution.out_channels:
        raise NotApplicableError(
            f"{name}: stride {down}x{right} over {channels} channels loses pixels: "
            f"{convolution.out_channels} output channels where {needed} are needed"
        )
    with torch.no_grad():
        convolution.weight.zero_()
        if convolution.bias is not None:
            convolution.bias.zero_()
            convolution.bias[:needed] = lift
        elif lift:
            raise NotApplicableError(f"{name}: without a bias, ReLU cuts off negative values")
        target = 0
        for channel in range(channels):
            for dy in range(down):
                for dx in range(right):
                    convolution.weight[target, channel, padding[0] + dy, padding[1] + dx] = 1
                    target += 1
    return needed
