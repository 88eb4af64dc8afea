"""The catalogue of a malicious server's inversions."""

from ....core.cards import AttackCard

ACTIVE: tuple[AttackCard, ...] = ()
