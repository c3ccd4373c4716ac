from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.card import model_card, torch_usage
from spikefront.runners.deploy.description import Origin, describe
from spikefront.runners.deploy.export import export_model, export_trained
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.judging.judge import Judgement
from spikefront.searchspace import UnknownName, UsageError
from spikefront.searchspace.records import Spread

Trained = Callable[..., tuple[Judgement, Model]]

ORIGIN = Origin("digits-1", "23", "0123abcd", "f00dbeef")


def export(weights: Path, found: Judgement, registry: Registry, **more: Any) -> None:
    """Export what was judged, with these weights, to ``net.pt`` beside them."""
    unknown: dict[str, Any] = {"metrics": {}, "plugins": {}, "energy_model": "horowitz-45nm", "origin": Origin()}
    export_trained(
        weights.with_name("net.pt"),
        "torch",
        candidate=found.candidate.flat(),
        weights=weights,
        registry=registry,
        **(unknown | more),
    )


@pytest.fixture
def exported(trained: Trained, registry: Registry, tmp_path: Path) -> tuple[Judgement, str]:
    """Export what a search left of a candidate; return what was judged and the card."""
    found, _ = trained(backbone="mlp")
    torch.save(found.network.state_dict(), tmp_path / "trial-00023.pt")
    versions = registry.versions()
    export(
        tmp_path / "trial-00023.pt",
        found,
        registry,
        metrics=found.metrics,
        plugins={name: versions[name] for name in ("coding.direct", "task.digits")},
        energy_model="lemaire-45nm",
        origin=ORIGIN,
    )
    return found, (tmp_path / "net.pt.card.md").read_text(encoding="utf-8")


def row(card: str, name: str) -> str:
    """Return the value beside a name in a table of the card."""
    (found,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", card, flags=re.MULTILINE)
    return str(found)


def test_export_of_what_a_search_saved_is_loaded_with_its_quality(
    exported: tuple[Judgement, str], data: SearchData, tmp_path: Path
) -> None:
    found, _ = exported

    model = load(tmp_path / "net.pt")

    hits = model.predict(data.validation.inputs) == data.validation.targets
    assert float(hits.double().mean()) == found.metrics["quality"]
    assert model.description.origin == ORIGIN
    assert not list(tmp_path.glob("*.part"))


def test_card_says_where_the_network_comes_from_and_what_was_measured(
    exported: tuple[Judgement, str], data: SearchData, registry: Registry
) -> None:
    found, card = exported
    quality = f"{found.metrics['quality']:.4f}"

    assert card.startswith("# Spiking network for digits\n")
    assert f"Trained on 300 of its {len(data.train)} training samples, for 2 epochs, with seed 0" in card
    assert f"accuracy, validation split, one seed: {quality}; measured again at the export: {quality}" in card
    assert "One seed, validation split, **not confirmed**" in card
    assert row(card, "accumulates of synapses (SOPs)") == f"{found.metrics['sops']:.6g}"
    assert row(card, "latency") == "4 time steps"
    assert registry.get("energy", "lemaire-45nm").source in card
    assert row(card, "search") == "`digits-1`"
    assert row(card, "trial") == "`23`"
    assert row(card, "MLflow run") == "`0123abcd`"
    assert row(card, "commit in the folder of the search") == "`f00dbeef`"
    assert row(card, "coding direct") == f"`{registry.versions()['coding.direct']}`"
    assert row(card, "neuron lif") == "not known"
    assert row(card, "neuron.lif.tau") == "`2.0`"
    assert "\n## Licence\n\n*Not stated." in card


def test_loading_code_in_the_card_runs(
    exported: tuple[Judgement, str], data: SearchData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", exported[1], flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"images": data.validation.inputs[:5], "load": load}

    exec(block.replace("import spikefront\n", "").replace("spikefront.load", "load"), scope)

    assert isinstance(scope["classes"], torch.Tensor)
    assert scope["classes"].shape == (5,)


def test_card_of_a_confirmed_network_gives_mean_interval_and_seeds(
    trained: Trained, registry: Registry, data: SearchData
) -> None:
    found, _ = trained(backbone="mlp")
    confirmation = Spread(seeds=5, mean=0.91234, sd=0.012, low=0.8974, high=0.9272)
    description = describe(found.candidate, data, registry, metrics=found.metrics, confirmation=confirmation)

    card = model_card(description, registry, "net.pt", "torch", torch_usage, again={"quality": 0.5})

    expected = "test split, mean of 5 seeds: 0.9123 (standard deviation 0.0120, 95 % interval 0.8974 to 0.9272)"
    assert expected in card
    assert "not confirmed" not in card


@pytest.mark.parametrize(
    ("target", "form", "reason"),
    [
        ("net.pt", "tflite", "unknown format 'tflite'. Known: mlflow, neurobench, nir, onnx, safetensors, torch"),
        (".", "torch", "is a folder; name a file in it"),
        ("nowhere/net.pt", "torch", "nowhere does not exist; create it or choose another"),
    ],
)
def test_format_and_target_are_checked_first(
    trained: Trained, registry: Registry, data: SearchData, tmp_path: Path, target: str, form: str, reason: str
) -> None:
    _, model = trained(backbone="mlp")

    with pytest.raises(UsageError, match=re.escape(reason)) as refused:
        export_model(model, tmp_path / target, form, registry=registry, data=data)

    assert isinstance(refused.value, UnknownName) == (form == "tflite")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_candidate_are_refused(trained: Trained, registry: Registry, tmp_path: Path) -> None:
    found, _ = trained(backbone="mlp")
    torch.save({"something": torch.zeros(1)}, tmp_path / "weights.pt")

    with pytest.raises(UsageError, match="weights don't fit the network that plugins build here"):
        export(tmp_path / "weights.pt", found, registry)

    assert not (tmp_path / "net.pt").exists()


def test_example_in_the_documentation_predicts(
    exported: tuple[Judgement, str], data: SearchData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (Path(__file__).parents[3] / "docs/export.md").read_text(encoding="utf-8")
    block = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {"images": data.validation.inputs}

    exec(block, scope)

    assert isinstance(scope["classes"], torch.Tensor)
    hits = scope["classes"] == data.validation.targets
    assert float(hits.double().mean()) == exported[0].metrics["quality"]


def test_weights_that_are_damaged_or_something_else_are_refused_in_one_line(
    exported: tuple[Judgement, str], registry: Registry, tmp_path: Path
) -> None:
    found, _ = exported
    whole = (tmp_path / "trial-00023.pt").read_bytes()
    torch.save([torch.zeros(2)], tmp_path / "list.pt")
    torch.save({"a": torch.zeros(1).expand(1 << 40)}, tmp_path / "huge.pt")
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pt")
    odd = {"empty": b"", "text": b"no weights", "cut": whole[: len(whole) // 2], "zip": b"PK\x03\x04" + whole[4:99]}
    odd |= {name: (tmp_path / f"{name}.pt").read_bytes() for name in ("list", "huge", "other")}
    for name, content in odd.items():
        weights = tmp_path / f"trial-{name}.pt"
        weights.write_bytes(content)
        reason = "weights don't fit" if name == "other" else f"trial-{name}.pt: not the weights of a trial, or damaged"
        with pytest.raises(UsageError) as problem:
            export(weights, found, registry)
        assert reason in problem.value.on_command_line()
        assert problem.value.on_command_line().isprintable()
    with pytest.raises(UsageError, match="no such file"):
        export(tmp_path / "trial-missing.pt", found, registry)
