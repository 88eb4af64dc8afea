"""BFV in OpenFHE, modulo a power of two and with numbers in the coefficients.

All processes run this file under OpenFHE's Python: it imports nothing of ours but what the room
`threshold_ckks` has for that, and hands it on.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1] / "threshold_ckks"))

if TYPE_CHECKING:
    from ..threshold_ckks import key_shares
    from ..threshold_ckks.openfhe_ring import add_into, ciphertext_from, context_from, fhe, written
else:
    import key_shares
    from openfhe_ring import add_into, ciphertext_from, context_from, fhe, written

__all__ = ["Ring", "add_into", "ciphertext_from", "context_from", "key_shares", "written"]

Words = NDArray[np.int64]


class Ring:
    """A ring of 128-bit security with three primes, and what is done in it."""

    def __init__(self, context: Any) -> None:
        self.context = context
        self.degree: int = context.GetRingDimension()
        features = fhe.PKESchemeFeature
        for feature in (features.PKE, features.LEVELEDSHE, features.MULTIPARTY):
            context.Enable(feature)

    @classmethod
    def new(cls, degree: int, prime_bits: int, bits: int) -> Ring:
        """Return the ring of words modulo 2^bits; OpenFHE raises where it is not secure."""
        chosen = fhe.CCParamsBFVRNS()
        chosen.SetSecurityLevel(fhe.SecurityLevel.HEStd_128_classic)
        chosen.SetRingDim(degree)
        chosen.SetPlaintextModulus(1 << bits)
        chosen.SetMultiplicativeDepth(0)
        chosen.SetScalingModSize(prime_bits)
        chosen.SetMultipartyMode(fhe.MultipartyMode.NOISE_FLOODING_MULTIPARTY)
        # The other technique takes a fourth prime into account, which sums have no use for.
        chosen.SetKeySwitchTechnique(fhe.KeySwitchTechnique.BV)
        context = fhe.GenCryptoContext(chosen)
        if round(np.log2(context.GetModulus())) != 3 * prime_bits:
            raise ValueError(f"OpenFHE chose another modulus: {context.GetModulus()}")
        return cls(context)

    def encrypted(self, words: Words, public: Any) -> list[bytes]:
        """Return ciphertexts of signed words, `[n]`, as messages have them."""
        return [
            written(self.context.Encrypt(public, self.plain(words[start : start + self.degree])))
            for start in range(0, len(words), self.degree)
        ]

    def plain(self, words: Words) -> Any:
        """Return up to `degree` signed words as a plaintext."""
        lowest = -(self.context.GetPlaintextModulus() // 2)  # OpenFHE knows it as its negative
        return self.context.MakeCoefPackedPlaintext(
            np.where(words == lowest, -words, words).tolist()
        )

    def decrypted_in_part(self, cipher: Any, key: Any, lead: bool) -> Any:
        """Return the part of a decryption that a share of the key gives, flooded."""
        context = self.context
        step = context.MultipartyDecryptLead if lead else context.MultipartyDecryptMain
        (part,) = step([cipher], key)
        return part

    def opened(self, parts: Any) -> Words:
        """Return the signed words, `[degree]`, that the sum of all partial decryptions gives."""
        plain = self.context.MultipartyDecryptFusion([parts])
        plain.SetLength(self.degree)
        return np.array(plain.GetCoefPackedValue(), np.int64)
