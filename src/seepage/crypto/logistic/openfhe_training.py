"""Gradient descent under CKKS with bootstrapping, in OpenFHE.

Weights fill all slots by repetition. So they are a polynomial of few coefficients, and are
refreshed as a ciphertext of few slots, which takes a small part of the time and of the keys.
Both processes run this file under OpenFHE's Python: it imports nothing of ours.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

fhe: Any = import_module("openfhe")

_BUDGET = [1, 1]
"""Levels of the transforms of bootstrapping: one each will do for few slots."""

_ROUND = 6
"""Levels of a round: two products with records, one with a mask, two of a cubic, one to spare."""

_DISTRIBUTION = fhe.SecretKeyDist.SPARSE_ENCAPSULATED
"""A dense ternary key, with a sparse one inside of bootstrapping (Bossuat et al. 2022, ACNS)."""


def make_context(degree: int, insecure_toy: bool) -> Any:
    """Return a context; OpenFHE raises where it is not 128-bit secure, but for a toy."""
    levels = fhe.SecurityLevel
    chosen = fhe.CCParamsCKKSRNS()
    chosen.SetSecurityLevel(levels.HEStd_NotSet if insecure_toy else levels.HEStd_128_classic)
    chosen.SetSecretKeyDist(_DISTRIBUTION)
    chosen.SetRingDim(degree)
    chosen.SetScalingTechnique(fhe.ScalingTechnique.FLEXIBLEAUTO)
    chosen.SetScalingModSize(59)
    chosen.SetFirstModSize(60)
    chosen.SetMultiplicativeDepth(_depth())
    return fhe.GenCryptoContext(chosen)


class Bootstrapped:
    """A context that refreshes ciphertexts of `width` slots."""

    def __init__(self, context: Any, width: int) -> None:
        self.context, self.width = context, width
        self.slots: int = context.GetRingDimension() // 2
        features = fhe.PKESchemeFeature
        for feature in (
            features.PKE, features.KEYSWITCH, features.LEVELEDSHE, features.ADVANCEDSHE,
            features.FHE,
        ):  # fmt: skip
            context.Enable(feature)
        context.EvalBootstrapSetup(_BUDGET, [0, 0], width)

    def make_evaluation_keys(self, secret: Any) -> None:
        """Make what the server needs to multiply, to rotate and to refresh."""
        self.context.EvalMultKeyGen(secret)
        self.context.EvalBootstrapKeyGen(secret, self.width)
        self.context.EvalRotateKeyGen(
            secret, [*self._columns(), *(-step for step in self._columns()), *self._rows()]
        )

    def encrypt(self, numbers: NDArray[np.float64], public: Any) -> Any:
        """Return the ciphertext of `[slots]`, of no more levels than a round takes."""
        level = _depth() - _ROUND - 1
        plain = self.context.MakeCKKSPackedPlaintext(numbers, 1, level, None, self.slots)
        return self.context.Encrypt(public, plain)

    def decrypt(self, cipher: Any, secret: Any) -> NDArray[np.float64]:
        """Return what is in all slots."""
        plain = self.context.Decrypt(secret, cipher)
        plain.SetLength(self.slots)
        return np.array(plain.GetRealPackedValue())

    def first_round(self, blocks: list[Any], half: float) -> Any:
        """Return the weights after a round from 0: `half` times the sum of the records."""
        total = blocks[0]
        for block in blocks[1:]:
            total = self.context.EvalAdd(total, block)
        return self._summed(self.context.EvalMult(total, half), self._rows())

    def refreshed(self, weights: Any) -> Any:
        """Return weights with all levels of a round again."""
        weights.SetSlots(self.width)
        found = self.context.EvalBootstrap(weights)
        found.SetSlots(self.slots)
        return found

    def next_round(self, weights: Any, blocks: list[Any], cubic: tuple[float, float, float]) -> Any:
        """Return weights plus the sum of cubic(z w) z over the records z in the blocks."""
        one, linear, cube = cubic
        step = None
        for block in blocks:
            at = self._inner(block, weights)
            square = self.context.EvalSquare(at)
            slope = self.context.EvalAdd(
                self.context.EvalMult(self.context.EvalMult(at, cube), square),
                self.context.EvalMult(at, linear),
            )
            part = self.context.EvalMult(self.context.EvalAdd(slope, one), block)
            step = part if step is None else self.context.EvalAdd(step, part)
        return self.context.EvalAdd(weights, self._summed(step, self._rows()))

    def scores(self, weights: Any, block: Any) -> Any:
        """Return the products of records with the weights, in the first slot of each record."""
        return self._summed(self.context.EvalMult(block, weights), self._columns())

    def _inner(self, block: Any, weights: Any) -> Any:
        """Return the products of records with the weights, in all slots of each record."""
        first = self.scores(weights, block)
        mask = np.zeros(self.slots)
        mask[:: self.width] = 1
        plain = self.context.MakeCKKSPackedPlaintext(mask, 1, first.GetLevel(), None, self.slots)
        first = self.context.EvalMult(first, plain)
        return self._summed(first, [-step for step in self._columns()])

    def _summed(self, cipher: Any, steps: list[int]) -> Any:
        for step in steps:
            cipher = self.context.EvalAdd(cipher, self.context.EvalRotate(cipher, step))
        return cipher

    def _columns(self) -> list[int]:
        return [2**k for k in range(self.width.bit_length() - 1)]

    def _rows(self) -> list[int]:
        rows = self.slots // self.width
        return [self.width * 2**k for k in range(rows.bit_length() - 1)]


def _depth() -> int:
    return _ROUND + fhe.CryptoContext.GetBootstrapDepth(_BUDGET, _DISTRIBUTION)
