"""What an image model asks of its input."""

from __future__ import annotations

from ..core.errors import ModelError

SMALLEST = 8


def image_shape(model: str, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return channels, height and width; raise `ModelError` unless it is 8x8 or larger.

    >>> image_shape("lenet", (3, 32, 32))
    (3, 32, 32)
    """
    if len(input_shape) != 3:
        raise ModelError(
            f"{model} takes images (channels, height, width), not inputs of shape {input_shape}; "
            "use mlp or logistic"
        )
    channels, height, width = input_shape
    if min(height, width) < SMALLEST:
        raise ModelError(
            f"{model} needs images of {SMALLEST}x{SMALLEST} or larger, not {height}x{width}; "
            "use mlp or logistic"
        )
    return channels, height, width
