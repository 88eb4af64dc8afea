"""Sends a model whose first layers sort records into bins, and reads them off the update.

Neurons that measure h(x) = <w, x> against the edges of bins (`imprint_module.py`) keep the
records apart: the gradient of a bin with one record is c [x, 1], so x is exact, and as a sum
over clients only holds more records, secure aggregation does not help (Fowl et al. 2022,
"Robbing the Fed", arXiv 2110.13057). There a bin with two records is lost. Here the neurons
are shared by several measurements, each a hash of the record, and what one resolves is
subtracted in the others (`peeling.py`). With `measurements` 1 it is the paper's attack.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from ....core.attack import ServerMove
from ....core.claims import Reconstruction
from ....core.errors import NotApplicableError, UsageError
from ..exact.first_layer import FirstLayer, first_layer
from ..observed import observed_gradient, observed_records
from .bins import Bins, imprint_layers, read_bins
from .gradient_rows import added_noise, in_range
from .imprint_gain import ImprintLayers, telling_input, tune
from .imprint_module import ImprintModule, measuring_rows
from .measurements import reference_records
from .own_gradient import OwnGradient
from .passage import has_bias
from .peeling import Peeled, Peeling

if TYPE_CHECKING:
    from torch import Tensor

    from ....core.views import AggregateView, ServerKnowledge, UpdateView

_VARIANTS = ("sparse", "linear")
_SPREAD = 0.003  # wider, and a trained model is sure of a class for some bins


@dataclass(frozen=True, kw_only=True, slots=True)
class Imprint:
    """Imprints records of a batch, or of a sum over clients, in the first layer's update.

    Fields
    ------
    bins : neurons of the inserted layer
    measurements : hashes of a record that share the neurons; 1: as in the paper
    variant : `sparse` (each neuron sees its own bin) or `linear` (ReLU, differences)
    insert : put layers in front of the job's model; false: only set the weights of its own
        first two fully connected layers, all of whose neurons are then used, `linear`
    """

    bins: int = 256
    measurements: int = 3
    variant: str = "sparse"
    insert: bool = True

    def __post_init__(self) -> None:
        if self.measurements < 1 or self.bins < 2 * self.measurements:
            raise UsageError(
                f"imprint: {self.bins} bins for {self.measurements} measurements; "
                "give each measurement 2 or more"
            )
        if self.variant not in _VARIANTS:
            raise UsageError(f"imprint: variant is {self.variant!r}; use one of {_VARIANTS}")

    def act(self, knowledge: ServerKnowledge, rng: torch.Generator) -> ServerMove:
        """Send all clients of the cohort one model with an imprint in front.

        Raises `NotApplicableError` where nothing is to be inserted and the model does not
        start with Linear, ReLU, Linear, wide enough.
        """
        references = reference_records(knowledge, rng)
        if self.insert:
            flat = references.flatten(1).double()
            module = ImprintModule(flat.shape[1], self.bins, sparse=self.variant == "sparse")
            model = nn.Sequential(module, deepcopy(knowledge.model))
            model.train(knowledge.model.training)
            layers = ImprintLayers(model, module.measure, module.back, module)
            center = telling_input(knowledge, references, rng).flatten().double()
            spread = float(flat.std())
        else:
            layers = imprint_layers(knowledge, deepcopy(knowledge.model))
            center, spread = _usual_output(layers, references)
        neurons = layers.measure.out_features
        if not (has_bias(layers.measure) and has_bias(layers.back)):
            raise NotApplicableError("the first layers have no bias: insert the imprint instead")
        if neurons < 2 * self.measurements:
            raise NotApplicableError(
                f"the first layer has {neurons} neurons for {self.measurements} measurements: "
                "insert the imprint instead"
            )
        weight, bias = measuring_rows(
            references,
            neurons,
            self.measurements,
            sparse=layers.sparse,
            value_range=knowledge.job.value_range,
            rng=rng,
        )
        tune(layers, weight, bias, center, _SPREAD * spread, references, knowledge, rng)
        return ServerMove(models=dict.fromkeys(knowledge.cohort, layers.model))

    def __call__(self, view: UpdateView | AggregateView, rng: torch.Generator) -> Reconstruction:  # noqa: ARG002
        """Return the records that bins show, those that the update proves first.

        Raises `NotApplicableError` where the model that was sent holds no imprint.
        """
        layers, layer = imprint_layers(view, view.model), first_layer(view)
        matrix = layer.joined(observed_gradient(view))
        step, added = view.job.lr * view.job.local_steps, added_noise(view, matrix)
        bins = read_bins(layer, layers, matrix, step, added)
        own = OwnGradient.of(view, layer.weight.rpartition(".")[0])

        def plausible(rows: Tensor, noise: Tensor) -> Tensor:
            """Whether rows lie in the range of the data, `[m]`."""
            return in_range(rows, noise, view.job.value_range)

        def label_of(rows: Tensor, noise: Tensor, here: Tensor) -> Tensor:
            """Return the label that explains a row alone, -1 where none does, `[m]`."""
            inputs = layer.records(rows, None)
            return own.labels_of(inputs, rows[:, -1], noise, here)

        steady = view.job.local_steps == 1
        peeling = Peeling(bins, plausible, label_of, steady=steady)
        found = peeling.run(observed_records(view))
        return _reconstruction(view, layer, bins, found)


def _usual_output(layers: ImprintLayers, references: Tensor) -> tuple[Tensor, float]:
    """Return the mean and spread of what the layer behind puts out before it is rewritten."""
    with torch.no_grad():
        hidden = layers.measure(references.flatten(1)).clamp_min(0)
        usual = layers.back(hidden).double()
    return usual.mean(0), float(usual.std(0).mean())


def _reconstruction(
    view: UpdateView | AggregateView, layer: FirstLayer, bins: Bins, found: Peeled
) -> Reconstruction:
    order = (~found.sure).to(torch.int64).argsort(stable=True)
    rows, labels = found.rows[order], found.labels[order]
    alone, records = int(found.alone.sum()), observed_records(view)
    # Mixtures that pass for records would be fewer than the records.
    counted = len(rows) == records if records else int(bins.table.max()) > 0
    complete = found.left == 0 and len(rows) > 0 and counted
    proved = len(rows) if complete else int(found.sure.sum())
    left = f"{found.left} bins stay mixed" if found.left else "no bin is left"
    text = (
        f"{alone} records alone in a bin, {len(rows) - alone} collisions resolved, {left} "
        f"of {len(bins.rows)}; {proved} of {len(rows)} proved"
    )
    if not len(rows):
        text = f"no bin shows a record: {left}; send more bins, or to fewer clients"
        text = text if found.left else "no bin stands out of the noise"
    return Reconstruction(
        inputs=layer.records(rows, view.job.value_range),
        labels=labels if len(labels) and bool((labels >= 0).all()) else None,
        objective=float(found.left),
        solved=complete,
        explanation=text,
    )
