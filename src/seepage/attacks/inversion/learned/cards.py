"""The catalogue of learned inversions."""

from ....core.cards import AttackCard

LEARNED: tuple[AttackCard, ...] = ()
