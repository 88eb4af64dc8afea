"""The page of `dp_claims.py`: what is recorded, as tables, and what it says of each claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import inf
from typing import Any

import numpy as np
from claims_text import ABOUT, CLAIMS, NOTES
from rates import above, gain, over_seeds, rate, seeds_cell
from result_tables import head, interval, line

from seepage.accounting.bounds import orthogonal_success, rero_bound

Row = dict[str, Any]
KEPT = 0.9
CLAIMED = {"Fashion-MNIST": 0.87, "CIFAR-10": 0.71}
SHORT = 20


def paired(first: Sequence[float], second: Sequence[float]) -> str:
    """Return the mean difference over records with its bootstrap interval."""
    return interval([a - b for a, b in zip(first, second, strict=True)], "+.3f")


def bound(mu: float, prior: float) -> float:
    """Return the ReRo bound, 1 without noise."""
    return 1.0 if mu == inf else rero_bound(mu, prior)


def image_rows(found: list[Row]) -> Iterator[str]:
    """Yield the lines of (a)."""
    for blind in (row for row in found if row["part"] == "blind"):
        data = blind["data"]
        mean = blind["guesses"]["mean image"]
        for name, guess in blind["guesses"].items():
            cells = [interval(guess[m], ".3f") for m in ("near", "binary", "ssim")]
            yield line((data, "none", "none", name, *cells, "", rate(guess["identified"]), "", ""))
        for row in found:
            if row["part"] != "images" or row["data"] != data:
                continue
            for name, got in row["attacks"].items():
                cells = [data, row["level"], f"{row['epsilon']:.3g}", name]
                if "near" in got:
                    cells += [interval(got[m], ".3f") for m in ("near", "binary", "ssim")]
                    cells.append(paired(got["binary"], mean["binary"][: len(got["binary"])]))
                else:
                    cells += [""] * 4
                cells += [
                    rate(got["identified"]),
                    gain(got["identified"], got["null"], 0.001),
                    f"{bound(row['mu'], 0.001):.3f}",
                ]
                yield line(cells)


def share_rows(found: list[Row]) -> Iterator[str]:
    """Yield by data set and budget how many images reach the share of pixels that is claimed."""
    for row in (r for r in found if r["part"] == "images"):
        blind = next(r["blind"] for r in found if r["part"] == "blind" and r["data"] == row["data"])
        claimed = CLAIMED[row["data"]]
        got = row["attacks"]["posterior-mean"]
        hits, null = ([float(b >= claimed) for b in got[m]] for m in ("binary", "null_binary"))
        most = bound(row["mu"], blind)
        yield line((
            row["data"], row["level"], f"{row['epsilon']:.3g}", f"{claimed:.2f}", rate(hits),
            rate(null), f"{blind:.3f}", f"{most:.3f}", above(hits, most),
        ))  # fmt: skip


def leak_rows(found: list[Row]) -> Iterator[str]:
    """Yield the lines of what the mechanisms leak."""
    for row in (r for r in found if r["part"] == "client"):
        n, mu = row["candidates"], row["mu"]
        best = ["1.000" if mu == inf else f"{orthogonal_success(mu, SHORT):.3f}"]
        yield line((
            row["data"], row["mechanism"], row["observer"], row["budget"],
            f"{row['epsilon']:.3g}", rate(row["picked"]), gain(row["picked"], row["null"], 1 / n),
            f"{bound(mu, 1 / n):.3f}", rate(row["short"]), *best, f"{bound(mu, 1 / SHORT):.3f}",
            rate(row["identified"]), paired(row["psnr"], row["mean_psnr"]),
        ))  # fmt: skip


def kept(row: Row, base: Row, metric: str) -> list[float]:
    """Return by seed the share of the baseline that is left."""
    return [a / b for a, b in zip(row[metric], base[metric], strict=True)]


def base_of(found: list[Row], data: str) -> Row:
    """Return the row without defense."""
    return next(
        r
        for r in found
        if r["part"] == "utility" and r["data"] == data and r["mechanism"] == "none"
    )


def utility_rows(found: list[Row]) -> Iterator[str]:
    """Yield the lines of utility."""
    for row in (r for r in found if r["part"] == "utility"):
        base = base_of(found, row["data"])
        cells: list[str] = []
        for metric in ("accuracy", "fair"):
            cells += [seeds_cell(row[metric]), seeds_cell(kept(row, base, metric))]
        real = "real" if row["clients"] <= 20 else "emulated"
        yield line((
            row["data"], row["mechanism"], row["rounds"], f"{row['clients']:,}", real,
            f"{row['noise']:.3g}", *cells, row["lr"],
        ))  # fmt: skip


def least_clients(found: list[Row], data: str, mechanism: str) -> str:
    """Return the least number of clients from which on more than 90 % is surely left."""
    said: list[str] = []
    rounds = sorted({r["rounds"] for r in found if r["part"] == "utility"})
    for number in rounds:
        rows = [
            r
            for r in found
            if r["part"] == "utility"
            and (r["data"], r["mechanism"], r["rounds"]) == (data, mechanism, number)
        ]
        least = None
        for row in sorted(rows, key=lambda r: -r["clients"]):
            if over_seeds(kept(row, base_of(found, data), "fair"))[1] <= KEPT:
                break
            least = row["clients"]
        if rows:
            said.append(f"{least:,} ({number} rounds)" if least else f"none ({number} rounds)")
    return ", ".join(said)


def clients_rows(found: list[Row]) -> Iterator[str]:
    """Yield the lines of how many clients it takes."""
    for base in (r for r in found if r["part"] == "utility" and r["mechanism"] == "none"):
        data = base["data"]
        trivial = np.mean([m / a for m, a in zip(base["majority"], base["accuracy"], strict=True)])
        for mechanism in ("LocalDP", "CentralDP", "DistributedDP"):
            least = least_clients(found, data, mechanism)
            yield line((data, mechanism, least, f"{trivial:.3f}"))


def page(found: list[Row]) -> str:
    """Return the page of all rows."""
    columns = (
        "data", "releases", "total epsilon", "guess or attack", "pixels within 0.1",
        "pixels right, binarized", "SSIM 7x7", "binarized, gain over the mean image",
        "identified of 1,000 [95 %]", "gain over null and prior", "ReRo bound (1 of 1,000)",
    )  # fmt: skip
    shares = (
        "data", "releases", "total epsilon", "pixels right", "images that reach it [95 %]",
        "null", "best blind guess", "ReRo bound from it", "lower limit above it",
    )  # fmt: skip
    leaks = (
        "data", "mechanism", "observer", "epsilon 1.5 is", "total epsilon", "picked of 1,000",
        "gain over null and prior", "ReRo bound", f"picked of {SHORT}", "orthogonal candidates",
        "ReRo bound (1 of 20)", "identified by posterior-mean", "PSNR over the mean image, dB",
    )  # fmt: skip
    utility = (
        "data", "mechanism", "rounds", "clients", "", "noise multiplier", "accuracy",
        "accuracy kept", "balanced accuracy or AUC", "of it kept", "lr",
    )  # fmt: skip
    literal = [
        f"{r['data']}: deviation {r['literal']['measured']:.5f}, "
        f"expected {r['literal']['expected']:.5f}"
        for r in found
        if r["part"] == "blind"
    ]
    return "\n".join([
        "# Claims about differential privacy, run", "", ABOUT.strip(), "",
        "## The claims", "", head("claim", "verdict", "figures"),
        *map(line, CLAIMS), "", NOTES.strip(), "",
        "## (a) One client's releases of one image", "",
        "500 releases are drawn as their mean. Drawn one by one for three images, it has "
        f"{'; '.join(literal)}.", "",
        head(*columns), *image_rows(found), "",
        "Images of which so many binarized pixels are right that a claim would hold of them:", "",
        head(*shares), *share_rows(found), "",
        "## (b) What a client's updates tell of its record", "", head(*leaks), *leak_rows(found),
        "", "## (b) What is left of utility at a client's total epsilon of 1.5", "",
        head("data", "mechanism", "clients from which more than 90 % is kept", "accuracy kept by "
             "always saying the commonest class"), *clients_rows(found), "",
        head(*utility), *utility_rows(found), "",
    ])  # fmt: skip
