"""What can go wrong, sorted by who can mend it.

Every message says what went wrong, where, and how to fix it, on one line.
"""


class SeepageError(Exception):
    """Base of every error that seepage raises on purpose."""


class UsageError(SeepageError):
    """The command, plan, data or model that a person gave can't be used (exit code 2)."""


class PlanError(UsageError):
    """A plan names something that does not exist or does not fit, at a known line."""

    def __init__(self, message: str, *, source: str = "", line: int | None = None) -> None:
        self.source, self.line = source, line
        where = f"{source}:{line}: " if source and line else f"{source}: " if source else ""
        super().__init__(where + message)


class DataError(UsageError):
    """A dataset is missing, unreadable, or holds values that can't be trained on."""


class ModelError(UsageError):
    """A model does not fit its data, its loss or the defense that should protect it."""


class RefusedError(UsageError):
    """A defense or accountant met something that it can't protect, and released nothing."""


class MissingExtraError(UsageError):
    """An optional dependency is needed; the message names the extra that installs it."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'seepage[{extra}]'")


class NotApplicableError(SeepageError):
    """An attack can't work on this view or model; it stands in `not_run` with this reason."""


def require_least(
    owner: str, settings: object, error: type[UsageError] = UsageError, **least: int
) -> None:
    """Raise `error` where a setting of `owner` is below its least value.

    >>> from types import SimpleNamespace
    >>> require_least("mlp", SimpleNamespace(width=0), width=1)
    Traceback (most recent call last):
    seepage.core.errors.UsageError: mlp: width is 0; use 1 or more
    """
    for name, bound in least.items():
        value = getattr(settings, name)
        if value < bound:
            raise error(f"{owner}: {name} is {value}; use {bound} or more")


class SeepageWarning(UserWarning):
    """Something that does not stop the work, but that a person should know."""
