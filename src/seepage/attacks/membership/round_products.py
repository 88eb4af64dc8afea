"""What a round's updates and the candidates' gradients have to do with each other.

A candidate's contribution d_i is what one draw of it adds to the mean gradient of a client,
clipped as the public cards say, over the known deviations of the noise. A likelihood needs no
more of them than their products with one another and with each client's release. The same
ones serve the question of every client, so they are remembered by content.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.func import functional_call

from ...core.errors import NotApplicableError
from ..clipped_gradients import clipped_gradients, longest_gradient, shortened
from ..gradient_noise import flat_deviations, gradient_noise
from ..memory import Memory, content
from .batch_mates import Spectrum

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from ...core.views import Candidates, HistoryView, SeenRound

MOST_BYTES = 2**30
"""Of contributions held at once; where they are more, their Gram matrix is left out."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RoundProducts:
    """Products of one round, of n candidates and k clients, in double precision.

    Fields
    ------
    clients : whose releases, in the order of the columns
    inner : <d_i, x_k> of each release less its mean, `[n, k]`
    squares : <d_i, d_i>, `[n]`
    power : <x_k, x_k>, `[k]`
    spectrum : of the contributions' Gram matrix; None where there was no room for it
    size : coordinates of a release
    known : whether the noise is known, and so of variance 1 in these products
    """

    clients: tuple[int, ...]
    inner: Tensor
    squares: Tensor
    power: Tensor
    spectrum: Spectrum | None
    size: int
    known: bool

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all that is held."""
        held = (self.inner, self.squares, self.power)
        return held if self.spectrum is None else (*held, *self.spectrum.tensors())


def round_products(
    view: HistoryView, seen: SeenRound, candidates: Candidates, batch: int
) -> RoundProducts:
    """Return the products of a round in which `view.client` took part; `batch` is expected.

    Raises `NotApplicableError` where its update is not finite or shows no parameter.
    """
    parameters = view.model.named_parameters()
    update = seen.updates[view.client]
    like = {n: update[n] for n, p in parameters if p.requires_grad and n in update}
    if not like:
        raise NotApplicableError(f"round {seen.round} shows no parameter of the model")
    if not all(bool(value.isfinite().all()) for value in like.values()):
        raise NotApplicableError(f"the update of round {seen.round} is not finite")
    whole = [c for c in sorted(seen.updates) if _fits(seen.updates[c], like)]
    model = deepcopy(view.model).eval()
    with torch.no_grad():
        # Two modules of equal state may still compute different things.
        outputs = functional_call(model, dict(seen.state), (candidates.inputs[:4],))
    facts = (view.job, view.defenses, seen.round, batch, tuple(whole), tuple(like))
    key = content(
        facts,
        [
            *seen.state.values(),
            *(seen.updates[c][name] for c in whole for name in like),
            *(candidates.inputs, candidates.targets, outputs),
        ],
    )
    return _MEMORY.recall(
        (key, view.loss), lambda: _Round(view, seen, candidates, batch, like).products(whole)
    )


def forget() -> None:
    """Drop all that is remembered."""
    _MEMORY.forget()


class _Round:
    """The contributions of one round, held where there is room, else made anew."""

    def __init__(
        self,
        view: HistoryView,
        seen: SeenRound,
        candidates: Candidates,
        batch: int,
        like: Mapping[str, Tensor],
    ) -> None:
        self._view, self._seen, self._candidates, self._like = view, seen, candidates, like
        job = view.job
        self._records = batch * job.local_steps
        self._most = longest_gradient(view)
        self._size = sum(value.numel() for value in like.values())
        noise = gradient_noise(view.defenses, job, like, number=seen.round, batch=batch)
        self._known = noise is not None
        self._deviations = flat_deviations(noise, like) if noise else torch.ones(())

    def products(self, clients: list[int]) -> RoundProducts:
        """Return the products with these clients' releases."""
        count = len(self._candidates.targets)
        held = self._held() if 4 * count * self._size <= MOST_BYTES else None
        clipped: Callable[[], Iterator[Tensor]] = (
            self._flat_chunks if held is None else lambda: iter([held])
        )
        total = torch.stack([chunk.sum(0) for chunk in clipped()]).sum(0)
        mean = total / count
        background = shortened(mean[None], self._most)[0]
        job = self._view.job
        released = torch.stack([_flat(self._seen.updates[c], self._like) for c in clients])
        x = (released / -(job.lr * job.local_steps) - background) / self._deviations
        inner: list[Tensor] = []
        squares: list[Tensor] = []
        spectrum: Spectrum | None = None
        for chunk in clipped():
            each = self._contributions(chunk, mean, background)
            inner.append((each @ x.T).double())
            squares.append(torch.linalg.vector_norm(each, dim=1).double().square())
            if held is not None:
                spectrum = Spectrum.of(each @ each.T)
        return RoundProducts(
            clients=tuple(clients),
            inner=torch.cat(inner),
            squares=torch.cat(squares),
            power=x.double().square().sum(1),
            spectrum=spectrum,
            size=self._size,
            known=self._known,
        )

    def _contributions(self, clipped: Tensor, mean: Tensor, background: Tensor) -> Tensor:
        """Return d_i of clipped gradients `[k, p]`, which are overwritten."""
        if self._most is None:
            return clipped.div_(self._records * self._deviations)
        # A clipped update moves by less than what one record adds to the mean.
        shifted = mean + (clipped - mean) / self._records
        return (shortened(shifted, self._most) - background) / self._deviations

    def _held(self) -> Tensor:
        held = torch.empty(len(self._candidates.targets), self._size)
        row = 0
        for chunk in self._by_name():
            column = 0
            for value in chunk.values():
                flat = value.flatten(1)
                held[row : row + len(flat), column : column + flat.shape[1]] = flat
                column += flat.shape[1]
            row += len(next(iter(chunk.values())))
        return held

    def _flat_chunks(self) -> Iterator[Tensor]:
        for chunk in self._by_name():
            yield torch.cat([value.flatten(1) for value in chunk.values()], dim=1)

    def _by_name(self) -> Iterator[dict[str, Tensor]]:
        """Yield candidates' clipped gradients `[k, *shape]` by parameter."""
        return clipped_gradients(
            self._view,
            self._candidates.inputs,
            self._candidates.targets,
            like=self._like,
            state=self._seen.state,
            number=self._seen.round,
        )


def _fits(update: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> bool:
    """Return whether an update has all that is compared, finite."""
    return all(name in update and bool(update[name].isfinite().all()) for name in like)


def _flat(update: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> Tensor:
    return torch.cat([update[name].detach().flatten() for name in like])


_MEMORY = Memory(RoundProducts.tensors, most_bytes=2**28)
