"""How breaching may be configured for a contest: what it is given to choose from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .cases import SCALES, Contest

_TV = (0.2, 0.02, 0.002, 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """One configuration of breaching.

    Fields
    ------
    attack : the name of its configuration file
    fixed : changes to it
    scale : mean and standard deviation of the data, the units in which it searches
    first_steps : outer iterations that a climb starts from; None: it has none
    tuning_steps : counts of outer iterations with which the variants are compared
    """

    name: str
    attack: str
    fixed: tuple[str, ...]
    scale: dict[str, list[float]]
    first_steps: int | None
    tuning_steps: tuple[int, ...]

    def overrides(self, steps: int, restarts: int) -> list[str]:
        """Return what breaching's configuration is told."""
        if self.first_steps is None:
            return list(self.fixed)
        counts = [f"optim.max_iterations={steps}", f"restarts.num_trials={restarts}"]
        return [*self.fixed, *counts]

    def settings(self) -> dict[str, Any]:
        """Return what makes it anew."""
        return asdict(self)


def variants(contest: Contest) -> list[Variant]:
    """Return the variants of breaching's counterpart of an attack of ours, the shipped one first.

    Inputs in normalized units, as breaching has them, or in pixels. Total variation: its
    weight as shipped, a tenth, a hundredth and none. DLG: labels found along with the image, as
    shipped (one iteration is 20 of L-BFGS), or read off the gradient first.
    """
    normalized = SCALES[contest.data]
    pixels = {"mean": [0.0] * len(normalized["mean"]), "std": [1.0] * len(normalized["std"])}
    scales = {"normalized": normalized, "pixels": pixels}
    if contest.attack == "inverting-gradients":
        return [
            Variant(
                name=f"tv {tv}, {units}",
                attack="invertinggradients",
                fixed=(f"regularization.total_variation.scale={tv}",),
                scale=scale,
                first_steps=4,
                tuning_steps=(30, 100, 300),
            )
            for units, scale in scales.items()
            for tv in _TV
        ]
    if contest.attack == "dlg":
        first = ("attack_type=optimization", "label_strategy=iDLG")
        return [
            Variant(
                name=f"{labels}, {units}",
                attack="deepleakage",
                fixed=fixed,
                scale=scale,
                first_steps=1,
                tuning_steps=(1, 2, 5, 12, 30),
            )
            for units, scale in scales.items()
            for labels, fixed in (("labels sought", ()), ("labels first", first))
        ]
    return [
        Variant(
            name="as shipped",
            attack="analytic",
            fixed=(),
            scale=pixels,
            first_steps=None,
            tuning_steps=(1,),
        )
    ]
