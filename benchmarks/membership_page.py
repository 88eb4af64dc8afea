"""The page of `who_was_in.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import exp
from typing import Any

from membership_jobs import DEFENSES, DELTA, FITS, IMAGES, TABLES
from result_tables import head, line

Told = dict[str, Any]
CLAIMS = {"health": (0.82, ("icu-mortality", "heart-disease", "pneumonia")),
          "finance": (0.76, ("credit-default", "income"))}  # fmt: skip
INTRO = """# Who was in the data

`python benchmarks/who_was_in.py`: six real jobs, each trained with care (`sensible`: early
stopping) and overfit on purpose, undefended and under four defenses. Noise is calibrated to the
total epsilon named, at delta 1e-5: of a record for `dp-sgd`, of a client for `local-dp`. `secure
sum` is ideal secure aggregation: the server sees sums alone. Shadow-model attacks train 16
federations as the job was, its defense included, of the candidates and of auxiliary records; on
images only of undefended jobs, under `dp-sgd` only of small tables. Up to 300 members and as many
others of each client are asked about. Brackets are 95 % limits for these records and this one
training run. Figures come from one seed.

- **TPR** at 1 % false positives; withheld (-) below 1,000 non-members.
- **AUC**, and **BA**: balanced accuracy at a threshold that was chosen on other records.
"""


def page(rows: Sequence[Told]) -> str:
    """Return the page for the rows that there are."""
    found = {(r["data"], r["fit"], r["defense"]): r for r in rows}
    parts = [INTRO, *_jobs(found), *_claims(found), *_bounds(rows), *_attacks(found)]
    return "\n".join(parts).rstrip() + "\n"


def limits(figure: Sequence[float] | None, form: str = ".2f") -> str:
    """Return a value with its limits.

    >>> limits([0.5, 0.25, 0.75])
    '.50 [.25, .75]'
    """
    if figure is None:
        return "-"
    value, low, high = (f"{x:{form}}".replace("0.", ".", 1) for x in figure)
    return f"{value} [{low}, {high}]"


def _jobs(found: dict[tuple[str, str, str], Told]) -> Iterator[str]:
    yield "\n## The jobs: what they learned, and what of it by heart\n"
    yield head("data", "trained", "defense", "clients", "records", "rounds", "noise multiplier",
               "epsilon", "held out", "gap")  # fmt: skip
    for r in _in_order(found):
        if "reason" in r:
            yield line([r["data"], r["fit"], r["defense"], r["reason"].split(":")[0], *[""] * 6])
            continue
        known = r["utility"]
        yield line([
            r["data"], r["fit"], r["defense"], r["clients"], f"{r['records']:,}", r["rounds"],
            f"{r['noise']:.2f}" if "noise" in r else "", f"{r.get('epsilon', ''):.3}"
            if "epsilon" in r else "", limits([known["test"], *known["test_ci"]]),
            limits([known["gap"], *known["gap_ci"]]),
        ])  # fmt: skip
    yield "\nHeld out: accuracy; gap: that of the training records above it."


def _claims(found: dict[tuple[str, str, str], Told]) -> Iterator[str]:
    yield '\n## "82 % in health, 76 % in finance"\n'
    yield "The highest balanced accuracy of any attack on the undefended job, beside its gap:\n"
    yield head("claim", "data", "trained", "gap", "best attack", "BA", "TPR at 1 %", "holds?")
    for field, (claimed, datasets) in CLAIMS.items():
        for data in datasets:
            for fit in FITS:
                r = found.get((data, fit, "none"))
                best = max(_told(r), key=lambda a: a["balanced"][0], default=None) if r else None
                if not r or not best:
                    continue
                low, high = best["balanced"][1:]
                holds = "yes" if low >= claimed else "no" if high < claimed else "can't be said"
                yield line([
                    f"{claimed:.0%} in {field}", data, fit, f"{r['utility']['gap']:.2f}",
                    name_of(best), limits(best["balanced"]), limits(best.get("tpr")), holds,
                ])  # fmt: skip


def _bounds(rows: Sequence[Told]) -> Iterator[str]:
    """Say whether any attack's lower limit lies above what its epsilon allows."""
    checked, broken = 0, []
    for r in rows:
        for a in _told(r) if "epsilon" in r else ():
            if "tpr" in a:
                checked += 1
                if a["tpr"][1] > most_tpr(r["epsilon"], 0.01):
                    broken.append(f"{r['data']} / {r['fit']} / {r['defense']} / {name_of(a)}")
    yield "\n## Against the bound\n"
    said = "none lies above" if not broken else f"{len(broken)} lie above: {', '.join(broken)}"
    yield (
        f"{checked} true-positive rates at 1 % were measured under differential privacy; of their "
        f"lower limits {said} what epsilon and delta allow (at most "
        f"{most_tpr(1.5, 0.01):.3f} at epsilon 1.5)."
    )


def most_tpr(epsilon: float, fpr: float) -> float:
    """Return the highest true-positive rate under (epsilon, delta) (Kairouz et al. 2015, eq. 6).

    >>> most_tpr(0.0, 0.01) == 0.01 + DELTA
    True
    """
    return min(exp(epsilon) * fpr + DELTA, 1 - exp(-epsilon) * (1 - fpr - DELTA), 1.0)


def _attacks(found: dict[tuple[str, str, str], Told]) -> Iterator[str]:
    yield "\n## Every attack\n"
    for data in (*TABLES, *IMAGES):
        for fit in FITS:
            here = {d: found[data, fit, d] for d in DEFENSES if (data, fit, d) in found}
            if not here:
                continue
            one = next(iter(here.values()))
            counts = next(((a["members"], a["others"]) for a in _told(one)), (0, 0))
            yield f"\n### {data}, {fit}: {counts[0]:,} members, {counts[1]:,} others\n"
            yield head("attack", *here)
            names = dict.fromkeys(name_of(a) for r in here.values() for a in _told(r))
            for name in names:
                yield line([name, *(_cell(r, name) for r in here.values())])


def _cell(row: Told, name: str) -> str:
    for a in _told(row):
        if name_of(a) == name:
            tpr, auc, balanced = limits(a.get("tpr"), ".3f"), limits(a["auc"]), a["balanced"]
            return f"TPR {tpr}<br>AUC {auc}<br>BA {limits(balanced)}"
    return ""


def name_of(attack: Told) -> str:
    """Return how a table calls an attack."""
    settings = attack["settings"]
    how = settings.get("score", "") or ("calibrated" if settings.get("calibrated") else "")
    return f"{attack['attack']}{f' ({how})' if how else ''}, {attack['observer']}"


def _told(row: Told) -> list[Told]:
    return [a for a in row["attacks"] if "auc" in a]


def _in_order(found: dict[tuple[str, str, str], Told]) -> Iterator[Told]:
    for data in (*TABLES, *IMAGES):
        for fit in FITS:
            for defense in DEFENSES:
                if (data, fit, defense) in found:
                    yield found[data, fit, defense]
