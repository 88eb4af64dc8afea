"""The catalogue: facts of every attack, without importing any."""

from .attribute.cards import ATTRIBUTE
from .inversion.active.cards import ACTIVE
from .inversion.exact.cards import EXACT
from .inversion.learned.cards import LEARNED
from .inversion.optimized.cards import OPTIMIZED
from .linkage.cards import LINKAGE
from .membership.cards import MEMBERSHIP

CARDS = (*EXACT, *OPTIMIZED, *LEARNED, *ACTIVE, *ATTRIBUTE, *MEMBERSHIP, *LINKAGE)
