"""Splits of a search by their content."""

from __future__ import annotations

import pytest
import torch

from spikefront.plugins import Data, SearchData
from spikefront.runners.engine.placing import data as placing
from spikefront.runners.engine.placing.data import describe_splits


def splits(changed: int | None = None) -> SearchData:
    inputs = torch.arange(5000 * 4, dtype=torch.int32).remainder(251).to(torch.uint8).reshape(5000, 1, 2, 2)
    if changed is not None:
        inputs[changed] = 255
    whole = Data(inputs, torch.arange(5000) % 10)
    return SearchData(whole, Data(inputs[:100].clone(), whole.targets[:100].clone()), 10)


def test_equal_content_has_equal_digests_and_any_other_others() -> None:
    train, validation = describe_splits(splits())
    assert (train.name, train.shape, train.dtype) == ("training", (5000, 1, 2, 2), "uint8")
    assert (validation.name, validation.shape) == ("validation", (100, 1, 2, 2))
    assert train.digest != validation.digest
    assert describe_splits(splits()) == (train, validation)
    other, same = describe_splits(splits(changed=4321))
    assert other.digest != train.digest
    assert same == validation


def test_of_large_splits_a_thousand_samples_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placing, "_HASHED", 1000)
    whole = describe_splits(splits())[0].digest
    assert describe_splits(splits(changed=4321))[0].digest == whole  # every fifth is read: 4321 is not
    assert describe_splits(splits(changed=4320))[0].digest != whole
