"""Numbers and names in the form in which a person reads them."""

from __future__ import annotations

from math import inf, isfinite

METRICS: dict[str, tuple[str, str, str]] = {
    "identification_rate": (
        "identification rate",
        "id. rate",
        "Share of reconstructions that pick their own original out of all candidates.",
    ),
    "tpr_at_1pct_fpr": (
        "TPR at 1 % FPR",
        "TPR@1%",
        "Share of training records recognized while 1 in 100 outsiders is wrongly accused.",
    ),
    "tpr_at_01pct_fpr": (
        "TPR at 0.1 % FPR",
        "TPR@.1%",
        "Share of training records recognized while 1 in 1,000 outsiders is wrongly accused.",
    ),
    "auc": (
        "AUC",
        "AUC",
        "How often a training record is ranked above an outsider; a coin gets 0.5.",
    ),
    "source_accuracy": (
        "source accuracy",
        "source",
        "Share of records that are traced to the client that holds them.",
    ),
    "label_rate": (
        "label rate",
        "labels",
        "Share of the victims' labels that were recovered.",
    ),
    "property_rate": (
        "property rate",
        "property",
        "Share of a batch's values in one column that were counted right.",
    ),
    "attribute_accuracy": (
        "attribute accuracy",
        "attribute",
        "Share of known records whose value in an unknown column was guessed.",
    ),
    "psnr": ("PSNR", "PSNR", "Likeness of reconstruction and original, in decibels."),
    "ssim": ("SSIM", "SSIM", "Structural likeness of reconstruction and original, at most 1."),
    "mse": ("MSE", "MSE", "Mean squared error of the reconstruction."),
}
"""Metric -> label, short label, meaning."""


def metric(name: str) -> str:
    """Return the label of a metric; one that we don't know is spelled out.

    >>> metric("tpr_at_1pct_fpr"), metric("entry_accuracy")
    ('TPR at 1 % FPR', 'entry accuracy')
    """
    return METRICS[name][0] if name in METRICS else name.replace("_", " ")


def short_metric(name: str) -> str:
    """Return a label of few characters, for narrow tables."""
    return METRICS[name][1] if name in METRICS else name.replace("_", " ")


def figure(value: float) -> str:
    """Return a number with the digits that matter.

    >>> [figure(x) for x in (0.9731, 0.0312, 2e-9, 24.13, 183.2, float("inf"))]
    ['0.97', '0.031', '0.000', '24.13', '183', '∞']
    """
    if not isfinite(value):
        return "∞" if value == inf else str(value)
    size = abs(value)
    if size == 0:
        return "0"
    if size >= 1e6:
        return f"{value:.1e}"
    digits = 3 if size < 0.0995 else 2 if size < 100 else 0
    return f"{value:.{digits}f}"


def limits(ci: tuple[float, float]) -> str:
    """Return confidence limits.

    >>> limits((0.914, 0.9951))
    '[0.91, 1.00]'
    """
    return f"[{figure(ci[0])}, {figure(ci[1])}]"


def percent(share: float) -> str:
    """Return a share in percent; one short of certainty never reads as certain.

    >>> percent(0.974), percent(0.0312), percent(0.05), percent(0.9996), percent(0.99999)
    ('97 %', '3.1 %', '5 %', '99.96 %', 'over 99.99 %')
    """
    if 0.9999 < share < 1:
        return "over 99.99 %"
    digits = 0 if 0.0995 <= share <= 0.9905 else 2 if share > 0.9905 else 1
    text = f"{100 * share:.{digits}f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + " %"


def sentence(text: str) -> str:
    """Return text with a capital first letter."""
    return text[:1].upper() + text[1:]


def epsilon(value: float) -> str:
    """Return an epsilon to three digits.

    >>> epsilon(73.58), epsilon(1.5), epsilon(float("inf"))
    ('73.6', '1.5', 'unbounded')
    """
    return f"{value:.3g}" if isfinite(value) else "unbounded"


def duration(seconds: float) -> str:
    """Return a time span.

    >>> duration(0.42), duration(42), duration(200), duration(7500)
    ('0.42 s', '42 s', '3 min 20 s', '2 h 5 min')
    """
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(count: float) -> str:
    """Return a number of bytes.

    >>> size(812), size(4_200_000)
    ('812 B', '4.2 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def printable(text: object) -> str:
    r"""Return text without the control characters that XML forbids and terminals obey.

    >>> printable("a\x1b[31mb\x00\nc")
    'a[31mb\nc'
    """
    return "".join(c for c in str(text) if c in "\n\t" or (c.isprintable() and c != "\ufffe"))
