"""Exported networks that were edited, with a right checksum: each is refused in one line, whatever was changed."""

from __future__ import annotations

import json
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikefront.plugins import Registry
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.deploy.torch_file import checksum, write_archive
from spikefront.searchspace import UsageError

Trained = Callable[..., tuple[Any, Model]]

VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**15, 10**400, "x", "", [], [1], [-1], [10**9, 10**9], {}, {"a": None}, [[]],
    {"x": {}}, float("nan"), "\x00", "\ud800",
]  # fmt: skip
"""What is put in the place of a field, or of a value within one."""


def places(fields: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the paths of all fields, and of the values within them."""
    found: list[tuple[Any, ...]] = []
    for name, value in fields.items():
        found.append((name,))
        if isinstance(value, dict):
            found += [(name, key) for key in value]
        if isinstance(value, list):
            found += [(name, number) for number in range(len(value))]
    return found


def changed(fields: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(fields))
    inside = copy
    for step in place[:-1]:
        inside = inside[step]
    inside[place[-1]] = value
    return copy


def refused_or_read(path: Path, registry: Registry) -> str:
    """Load a file; return the message if it is refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # versions of plugins that are not those here
        try:
            load(path, registry=registry)
        except UsageError as error:
            message = str(error)
        else:
            return ""
    assert "\n" not in message
    return message


def mutate(model: Model, registry: Registry, path: Path, seed: int, count: int) -> int:
    """Load so many mutants of a description; return how many were refused."""
    fields, generator = json.loads(model.description.to_json()), np.random.default_rng(seed)
    where, refused = places(fields), 0
    for _ in range(count):
        place, value = where[generator.integers(len(where))], VALUES[generator.integers(len(VALUES))]
        text = json.dumps(changed(fields, place, value))
        write_archive(path, text, model.network.state_dict())
        refused += bool(refused_or_read(path, registry))
    return refused


def test_mutants_of_a_description_are_refused_in_one_line(trained: Trained, registry: Registry, tmp_path: Path) -> None:
    _, model = trained(backbone="mlp")
    assert mutate(model, registry, tmp_path / "net.pt", seed=0, count=60) > 30


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["mlp", "convnet", "vgg", "spiking-transformer"])
def test_many_mutants_are_refused_in_one_line(
    trained: Trained, registry: Registry, tmp_path: Path, backbone: str
) -> None:
    _, model = trained(backbone=backbone, training__epochs=1)
    assert mutate(model, registry, tmp_path / "net.pt", seed=1, count=400) > 200


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"outputs": 10**9}, "weights don't fit the network"),
        ({"network_shape": [1, 60_000, 60_000]}, "weights don't fit the network"),
        ({"outputs": -1}, "outputs is -1, which no export writes"),
        ({"network_shape": [1, 1 << 40, 1 << 40]}, "network_shape is .*, which no export writes"),
        ({"plugins": None}, "plugins is null, which no export writes"),
        ({"metrics": "x"}, 'metrics is "x", which no export writes'),
    ],
)
def test_sizes_that_the_weights_do_not_have_take_no_memory(
    trained: Trained, registry: Registry, tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    _, model = trained(backbone="mlp")
    fields = {**json.loads(model.description.to_json()), **change}
    write_archive(tmp_path / "net.pt", json.dumps(fields), model.network.state_dict())
    tracemalloc.start()
    with pytest.raises(UsageError, match=reason):
        load(tmp_path / "net.pt", registry=registry)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def save(path: Path, model: Model, state: dict[str, Any], digest: str = "") -> Path:
    text = model.description.to_json()
    contents = {"kind": "spikefront network", "version": 1, "description": text, "state": state, "sha256": digest}
    torch.save(contents, path)
    return path


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(1 << 40),
        torch.zeros(2, device="meta"),
        torch.zeros(3).to_sparse(),
    ],
    ids=["expanded", "meta", "sparse"],
)
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_no_export_writes_are_refused(
    trained: Trained, registry: Registry, tmp_path: Path, tensor: torch.Tensor
) -> None:
    _, model = trained(backbone="mlp")
    message = refused_or_read(save(tmp_path / "net.pt", model, {"a": tensor}), registry)
    assert "damaged" in message or "is not a network" in message


def test_packed_files_are_refused(trained: Trained, registry: Registry, tmp_path: Path) -> None:
    _, model = trained(backbone="mlp")
    whole = save(tmp_path / "whole.pt", model, {"a": torch.zeros(1 << 20)})
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(tmp_path / "net.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in source.namelist():
            packed.writestr(name, source.read(name))
    assert "is not a network" in refused_or_read(tmp_path / "net.pt", registry)


def test_weights_of_another_kind_with_a_right_checksum_are_refused(
    trained: Trained, registry: Registry, tmp_path: Path
) -> None:
    _, model = trained(backbone="mlp")
    for state in ({}, {"a": torch.zeros(2)}, {name: torch.zeros(1) for name in model.network.state_dict()}):
        digest = checksum(model.description.to_json(), state)
        assert "weights don't fit" in refused_or_read(save(tmp_path / "net.pt", model, state, digest), registry)
