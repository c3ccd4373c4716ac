from __future__ import annotations

import copy
import json
import math
from typing import Any

import pytest

from spikefront.searchspace.activity import Activity, LayerActivity

LAYER = LayerActivity("input", "ternary", (2, 2), (0, 3), ((0, 0, 1.0), (1, 2, -1.0)), 0.25, inputs=(0.5, 1.0))
ACTIVITY = Activity(
    7, 3, (LAYER,), "cat", "dog", "iVBORw0KGgo=", ("cat", "dog"), ((3, 1), (0, 2)), ((0, 1.5, 1.25), (1, 2.0, -2.0))
)


def written() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(ACTIVITY.to_dict()))
    return document


def test_what_is_written_is_read_back() -> None:
    assert Activity.from_dict(written()) == ACTIVITY
    assert LAYER.neurons == 4


def test_fields_of_later_versions_are_passed_over() -> None:
    document = written()
    document["later"] = 1
    document["layers"][0]["later"] = 1
    assert Activity.from_dict(document) == ACTIVITY


@pytest.mark.parametrize("document", [None, [], {}, "text", 3, {"layers": []}])
def test_a_strangers_document_is_none(document: object) -> None:
    assert Activity.from_dict(document) is None


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("sample",), -1),
        (("sample",), True),
        (("steps",), 0),
        (("steps",), 2),  # a spike is at step 2
        (("target",), None),
        (("image",), '"><script>'),
        (("classes",), ["cat"]),
        (("confusion",), [[3, 1], [0]]),
        (("confusion",), [[3, 1]]),
        (("confusion",), [[3, -1], [0, 2]]),
        (("pairs",), [[0, 1.0]]),
        (("pairs",), [[0, 1.0, math.nan]]),
        (("layers",), {}),
        (("layers", 0, "shown"), [0, 4]),  # there are four neurons
        (("layers", 0, "shown"), [0]),
        (("layers", 0, "spikes"), [[2, 0, 1.0]]),
        (("layers", 0, "spikes"), [[0, 0.5, 1.0]]),
        (("layers", 0, "inputs"), [0.5]),
        (("layers", 0, "rate"), math.inf),
        (("layers", 0, "constant"), 1),
    ],
)
def test_a_damaged_document_is_none(place: tuple[str | int, ...], value: object) -> None:
    document = copy.deepcopy(written())
    at: Any = document
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = value
    assert Activity.from_dict(document) is None


@pytest.mark.parametrize("name", ["sample", "layers", "confusion", "image"])
def test_a_document_that_lacks_a_field_is_none(name: str) -> None:
    document = written()
    del document[name]
    assert Activity.from_dict(document) is None
