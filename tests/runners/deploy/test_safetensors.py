"""Networks as safetensors files: read back bit for bit, opened by others, damage found, and a card for the Hub."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.export import export_model
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.deploy.safetensors_file import is_safetensors, write_safetensors
from spikefront.runners.deploy.torch_file import write_archive
from spikefront.searchspace import UsageError

safetensors = pytest.importorskip("safetensors.torch")

Trained = Callable[..., tuple[Any, Model]]


@pytest.fixture
def written(trained: Trained, registry: Registry, data: SearchData, tmp_path: Path) -> tuple[Model, Path]:
    _, model = trained(backbone="mlp")
    export_model(model, tmp_path / "net.safetensors", "safetensors", registry=registry, data=data)
    return model, tmp_path / "net.safetensors"


def test_a_network_is_read_back_bit_for_bit(written: tuple[Model, Path], registry: Registry, data: SearchData) -> None:
    model, file = written
    images = data.validation.inputs[:50]
    again = load(file, registry=registry)
    assert torch.equal(again.logits(images), model.logits(images))
    assert again.description == model.description


def test_other_readers_open_its_weights(written: tuple[Model, Path]) -> None:
    model, file = written
    found, state = safetensors.load_file(file), model.network.state_dict()
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    header = file.read_bytes()
    about = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
    assert json.loads(about["spikefront"])["candidate"]["backbone"] == "mlp"


def test_damage_edits_and_files_of_others_are_refused_in_one_line(
    written: tuple[Model, Path], registry: Registry, tmp_path: Path
) -> None:
    model, file = written
    content, text = file.read_bytes(), model.description.to_json()
    other = tmp_path / "other.safetensors"

    def refused(reason: str) -> None:
        with pytest.raises(UsageError, match=reason):
            load(other, registry=registry)

    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    refused("was changed after it was written: its checksum differs")
    other.write_bytes(content[:-100])
    refused("is not a safetensors file, or damaged")
    safetensors.save_file({"a": torch.zeros(2)}, other)
    refused("holds tensors, but not a network that spikefront exported")
    write_safetensors(other, text, {"a": torch.zeros(2)})
    refused("weights don't fit")
    write_archive(other, text, model.network.state_dict())  # a name decides nothing
    assert not is_safetensors(other)
    assert load(other, registry=registry).description == model.description


def test_the_card_begins_with_metadata_that_the_hub_reads(written: tuple[Model, Path]) -> None:
    _, file = written
    card = file.with_name("net.safetensors.card.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    metadata = yaml.safe_load(card.split("---\n")[1])
    assert metadata["library_name"] == "spikefront"
    assert metadata["pipeline_tag"] == "image-classification"
    assert {"spiking-neural-network", "direct", "lif", "mlp"} <= set(metadata["tags"])
    (result,) = metadata["model-index"][0]["results"]
    (metric,) = result["metrics"]
    assert metric["type"] == "accuracy"
    assert f"measured again at the export: {metric['value']:.4f}" in card
    assert "# Spiking network for digits" in card


def test_the_hub_s_own_library_parses_the_card(written: tuple[Model, Path]) -> None:
    hub: Any = pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")
    card = hub.ModelCard(written[1].with_name("net.safetensors.card.md").read_text(encoding="utf-8"))
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_type) == ("digits", "accuracy")
    assert 0 < result.metric_value <= 1
