from __future__ import annotations

import math

from spikefront.results.pictures.training import training_picture
from spikefront.searchspace.retraining import READOUT, LayerEpoch, Retraining

LAYERS = tuple(
    LayerEpoch(layer, epoch, rate=rate * (epoch - 1), gradient=gradient / epoch)
    for epoch in (1, 2, 3)
    for layer, rate, gradient in (("backbone.layers.1.neuron", 0.2, 1e-4), (READOUT, math.nan, 3.0))
)


def test_a_picture_has_a_cell_for_each_layer_and_epoch_that_is_known() -> None:
    picture = training_picture(Retraining(LAYERS, (), 10), "trial s/1, latency")
    svg = picture.svg()
    assert svg.count('aria-roledescription="rect mark"') == 3 + 6  # the read-out has no rate
    for words in ("layers.1", "read-out", "trial s/1, latency", "spikes per neuron and step", "gradient norm"):
        assert words in svg
    assert svg.count('fill="#D55E00"') == 1  # silent after the first epoch
    assert [(row["layer"], row["epoch"], row["rate"]) for row in picture.rows[:1]] == [("layers.1", 1, 0.0)]
    assert "layers.1: 0.4 spikes per neuron and step, 3.33e-05 gradient norm; read-out: 1 gradient norm" in picture.alt


def test_a_picture_takes_gradients_that_are_infinite_missing_or_all_the_same() -> None:
    infinite = (*LAYERS, LayerEpoch(READOUT, 4, gradient=math.inf))
    assert ">infinite<" in training_picture(Retraining(infinite, (), 10)).svg()
    same = tuple(LayerEpoch(READOUT, epoch, gradient=1.0) for epoch in range(1, 30))
    assert training_picture(Retraining(same, (), 10)).svg().count('aria-roledescription="rect mark"') == 29
    none = (LayerEpoch("backbone.layers.1.neuron", 1, rate=0.0),)
    assert "gradient norm<" not in training_picture(Retraining(none, (), 10)).svg()
