"""The environments that there are, and what each is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """A version of Python, and what pip installs for it."""

    python: tuple[int, int]
    pins: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """A library that runs under another Python.

    Fields
    ------
    name : of the environment, of the library's module and of its distribution
    recipes : the ways to make it; the first that works is taken
    needs : which interpreters fit, for people
    """

    name: str
    recipes: tuple[Recipe, ...]
    needs: str

    @property
    def variable(self) -> str:
        """The environment variable that names an interpreter which has the library."""
        return f"SEEPAGE_{self.name.upper()}_PYTHON"

    @property
    def command(self) -> str:
        """The command that makes it."""
        return command((self.name,))

    @property
    def fingerprint(self) -> str:
        """Of the recipes: an environment that was made by others is not taken for this one."""
        return sha256(repr(self.recipes).encode()).hexdigest()[:8]


def command(names: Iterable[str]) -> str:
    """Return the command that makes some environments.

    >>> command(["openfhe", "spu"])
    'seepage doctor --make openfhe --make spu'
    """
    return " ".join(("seepage doctor", *(f"--make {name}" for name in names)))


_SPU_PINS = (
    "spu==0.9.5",
    "numpy==1.26.4",
    "jax==0.4.34",
    "jaxlib==0.4.34",
    "scipy==1.15.3",
    "ml_dtypes==0.5.4",
    "opt_einsum==3.4.0",
)

OPENFHE = Environment(
    name="openfhe",
    # The wheels say that they fit any Python; each imports on one only.
    recipes=(
        Recipe(python=(3, 12), pins=("openfhe==1.6.1.0.24.4", "numpy==2.2.6")),
        Recipe(python=(3, 10), pins=("openfhe==1.6.1.0.22.4", "numpy==2.2.6")),
    ),
    needs="Python 3.10, or 3.12 with glibc 2.38 or newer",
)

SPU = Environment(
    name="spu",
    recipes=tuple(Recipe(python=version, pins=_SPU_PINS) for version in ((3, 11), (3, 10))),
    needs="Python 3.10 or 3.11",
)

ENVIRONMENTS = {environment.name: environment for environment in (OPENFHE, SPU)}
