"""Each registered coding has a picture."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from spikefront.plugins import Kind, load_registry
from spikefront.plugins.response import Array, Response, Stage, respond
from spikefront.results.pictures.codings import coding_picture
from spikefront.searchspace import Space, parse_set

REGISTRY = load_registry(third_parties=False)


def made(kind: Kind, image: Array, ramp: Array, worth: Array | None = None) -> Response:
    steps, levels = len(image), np.linspace(0, 1, ramp.shape[1])
    given = Stage("input", Kind.ANALOG, np.ones((steps, 1, *image.shape[2:])), np.ones((steps, len(levels), 1)))
    stages = [given, Stage("code", kind, image, ramp, worth)]
    return Response("<x>", steps, "", False, {}, False, levels, stages)


@pytest.mark.parametrize("coding", sorted(REGISTRY.entries["coding"]))
def test_each_coding_is_drawn(coding: str) -> None:
    inputs = REGISTRY.get("coding", coding).inputs
    space = Space(REGISTRY, "digits" if "static" in inputs else "n-mnist", [parse_set(f"coding={coding}")])
    (prior,) = space.fitted([{"coding": coding, "steps": 4}])
    torch.manual_seed(0)
    response = respond(prior.candidate, REGISTRY)

    svg = coding_picture(response).svg()

    assert f">{coding}, T = 4: " in svg
    assert f"mean rate {response.rate:.2f}<" in svg
    assert ">time step" in svg


def test_squares_are_where_values_are_not_0_signed_by_colour_and_graded_by_size() -> None:
    image, ramp = np.zeros((2, 1, 2, 2)), np.zeros((2, 3, 1))
    image[0, 0, 0, 1], image[1, 0, 1, 0], ramp[1, 2, 0] = -1, 3, 2

    rows = [row for row in coding_picture(made(Kind.SIGNED, image, ramp)).rows if row["stage"] == "code"]

    assert [(row["step"], row["value"], row["look"]) for row in rows] == [
        (1, -1, "negative spike"),
        (2, 3, "spike"),
        (2, 2, "spike"),
    ]
    first, second, of_ramp = rows
    assert first["share"] < of_ramp["share"] < second["share"] == 1
    assert first["x"] > 0  # the second of its columns, in the first of its rows
    assert second["x"] - first["x"] > 0
    assert second["y"] > first["y"]
    assert (of_ramp["y"] + of_ramp["y2"]) / 2 == pytest.approx(1.0, abs=0.02)  # the level of that neuron


def test_names_are_text_and_the_weights_of_steps_are_fractions() -> None:
    worth = np.array([0.5, 1 / 3, 2.0, 0.3])
    svg = coding_picture(made(Kind.BINARY, np.ones((4, 1, 2, 2)), np.ones((4, 3, 1)), worth)).svg()

    assert "&lt;x&gt;, T = 4: spikes; mean rate 1.00<" in svg
    for text in ("1/2", "1/3", "2", "0.3", "a spike is worth"):
        assert f">{text}</text>" in svg


def test_of_many_steps_and_channels_some_are_drawn() -> None:
    picture = coding_picture(made(Kind.BINARY, np.ones((40, 9, 1, 1)), np.ones((40, 3, 9))))

    assert "T = 40, the first 16 drawn" in picture.alt
    assert max(row["step"] for row in picture.rows if row["step"] != "input") == 16
    labels = picture.svg()
    assert "channel 8" in labels
    assert "channel 9" not in labels
