"""Keys of the masking protocol: who signs, who agrees with whom on what, and for what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ...core.errors import RefusedError
from ..entropy import Entropy
from ..packing import pack

MASK_KEY_BYTES = 16


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """A client's long-lived signing key; the others know its public half beforehand."""

    private: Ed25519PrivateKey

    @classmethod
    def new(cls, entropy: Entropy) -> Identity:
        """Return a fresh one."""
        return cls(Ed25519PrivateKey.from_private_bytes(entropy.bytes(32)))

    @property
    def public(self) -> bytes:
        """The public half, 32 bytes."""
        return self.private.public_key().public_bytes_raw()

    def sign(self, purpose: str, *fields: bytes) -> bytes:
        """Return the signature of `fields`, for one purpose only."""
        return self.private.sign(pack(purpose.encode(), *fields))


def verified(public: bytes, signature: bytes, purpose: str, *fields: bytes) -> bool:
    """Return whether `signature` is of `fields`, for this purpose, by the holder of `public`."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            signature, pack(purpose.encode(), *fields)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


class AgreementKey:
    """An X25519 key of one client and one round."""

    def __init__(self, private: bytes) -> None:
        self.private = private
        self._key = X25519PrivateKey.from_private_bytes(private)
        self.public = self._key.public_key().public_bytes_raw()

    def agreed(self, other: bytes, purpose: str, *context: bytes, size: int) -> bytes:
        """Return `size` bytes that only the two holders can derive, for one purpose and context.

        HKDF-SHA256 of X25519 (RFC 7748, 5869). Raises `RefusedError` for a public key that is
        no key, or of low order: the shared secret would be known to all.
        """
        try:
            secret = self._key.exchange(X25519PublicKey.from_public_bytes(other))
        except ValueError as error:
            raise RefusedError("a client's public key is of no use: swapped or torn") from error
        info = pack(purpose.encode(), *context)
        return HKDF(algorithm=SHA256(), length=size, salt=None, info=info).derive(secret)


def seal(key: bytes, content: bytes) -> bytes:
    """Return `content` under a key that is used for this message only (AES-256-GCM)."""
    return AESGCM(key).encrypt(bytes(12), content, None)


def unseal(key: bytes, sealed: bytes) -> bytes:
    """Return what was sealed; `RefusedError` for anything else."""
    try:
        return AESGCM(key).decrypt(bytes(12), sealed, None)
    except InvalidTag as error:
        raise RefusedError(
            "a share does not open: it was tampered with, or its sender was given another model, "
            "roster or round"
        ) from error


def own_mask_key(seed: bytes, context: bytes) -> bytes:
    """Return the key of the mask that a client adds for itself, from its seed."""
    info = pack(b"own mask", context)
    return HKDF(algorithm=SHA256(), length=MASK_KEY_BYTES, salt=None, info=info).derive(seed)


Registry = Mapping[int, bytes]
"""Every client that may take part, and its public identity key."""
