"""A sensitive column of known records, from updates or from what the final model answers.

The attacker knows the other columns of training records and their labels. From a client's
updates it solves for the values (`column_gradients.py`); of a final model, or its answers,
it looks at how confident they are with each value in turn (`column_shadows.py`). Both start
from the imputation that needs no model (`imputation.py`): only what is right beyond it counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...core.claims import ColumnGuess
from ...core.errors import require_least
from ...core.views import HistoryView
from .column_gradients import from_updates
from .column_shadows import from_confidence
from .imputation import asked_records

if TYPE_CHECKING:
    import torch

    from ...core.views import ModelView, OutputsView


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributeInference:
    """Guesses a column of records whose other columns and label are known.

    Fields
    ------
    column : whose values are guessed ("": the first sensitive one of categories)
    shadows : federations to train for attacks on the final model, >= 2; 0: none, its
        confidence is then taken at its word
    """

    column: str = ""
    shadows: int = 8

    def __post_init__(self) -> None:
        require_least("attribute-inference", self, shadows=0)

    def __call__(
        self,
        view: HistoryView | ModelView | OutputsView,
        rng: torch.Generator,  # noqa: ARG002
    ) -> ColumnGuess:
        """Return how likely each value is for each record.

        Raises `NotApplicableError` where the view asks for no column, there are too few
        auxiliary records, or the client sent no update.
        """
        name = asked_records(view).column.name
        if isinstance(view, HistoryView):
            found = from_updates(view)
        else:
            found = from_confidence(view, self.shadows)
        return ColumnGuess(column=name, probabilities=found)
