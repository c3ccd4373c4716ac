"""Networks of each kind of task in formats of others, and their cards."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.card import model_card, nir_usage
from spikefront.runners.deploy.export import export_model
from spikefront.runners.deploy.model import Model
from spikefront.runners.judging.judge import Judgement

ROOT = Path(__file__).parents[3]
NMNIST = ROOT / "tests/data/nmnist"

Found = tuple[Judgement, Model, SearchData]


# Graphs


@pytest.mark.parametrize("kind", ["events", "motion", "delta", "values"])
@pytest.mark.filterwarnings("ignore")  # what torch.fx says about its own use in nirtorch
def test_spikingjelly_s_outputs_weighted_as_the_file_says_are_the_decoded_ones(
    found: Callable[..., Found], tmp_path: Path, registry: Registry, kind: str
) -> None:
    nir = pytest.importorskip("nir")
    exchange = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    _, model, data = found(kind)
    network, inputs = model.network, data.validation.inputs
    task = registry.get("task", model.candidate.task.name)(model.candidate.task.config)
    export_model(model, tmp_path / "net.nir", "nir", registry=registry, data=data)

    graph, state, decoded = exchange.import_from_nir(tmp_path / "net.nir", dtype=torch.float32), None, 0
    weights = json.loads(nir.read(tmp_path / "net.nir").metadata["decoding"])
    with torch.no_grad():
        x = task.prepare(inputs)
        signal = network.coding.encode_events(x.transpose(0, 1)) if model.takes_events else network.coding.encode(x)
        for weight, current in zip(weights, signal.values.expand(len(weights), *signal.values.shape[1:]), strict=True):
            flat = model.network.backbone.name == "mlp"
            output, state = graph(current.flatten(1) if flat else current, state)
            decoded = decoded + weight * output

    assert len(set(weights)) == (3 if kind == "motion" else 1)
    assert model.logits(inputs).std() > 0
    torch.testing.assert_close(decoded, model.logits(inputs))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["values", "events"])
def test_onnx_runtime_gives_what_predict_returns(
    found: Callable[..., Found], tmp_path: Path, registry: Registry, kind: str
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    _, model, data = found(kind)
    export_model(model, tmp_path / "net.onnx", "onnx", registry=registry, data=data)
    inputs = data.train.inputs[:5]

    (outputs,) = runtime.InferenceSession(tmp_path / "net.onnx").run(None, {"inputs": inputs.numpy()})

    if kind == "events":
        assert outputs.argmax(1).tolist() == model.predict(inputs).tolist()
    else:
        np.testing.assert_allclose(outputs, model.predict(inputs), rtol=1e-3)


# Cards


@pytest.mark.parametrize(
    ("kind", "lines"),
    [
        (
            "events",
            [
                "More accuracy is better; 1 is the best there can be.",
                "`uint8` of shape (N, 3, 2, 34, 34), as task `n-mnist` reads them: numbers of events (N, T, C, H, W). "
                "Outputs: 3 classes.",
                "counted on 3 evenly spaced validation samples",
                "classes = model.predict(frames)",
            ],
        ),
        (
            "motion",
            [
                "- angular_error_deg, validation split, one seed: ",
                "Less angular_error_deg is better",
                "Outputs: 2 values,",
            ],
        ),
        (
            "values",
            [
                "- r2, validation split, one seed: ",
                "Task `diabetes` (Disease progression from 10 measurements",
                "on 70 evenly",
                "Outputs: 1 value, in the unit of the data.",
                "values = model.predict(features)",
            ],
        ),
        (
            "generation",
            [
                "Less frechet_distance is better; 0 is the best there can be.",
                "- reconstruction_mse, likewise: ",
                "Outputs: images of shape (1, 8, 8), pixels in [0, 1].",
                "samples = model.sample(16)",
            ],
        ),
        ("photos", ["- balanced_accuracy, likewise: ", "Outputs: 2 classes.", "classes = model.predict(images)"]),
    ],
)
def test_card_speaks_of_the_task_s_own_quality_inputs_and_outputs(
    found: Callable[..., Found], registry: Registry, tmp_path: Path, kind: str, lines: list[str]
) -> None:
    judged, model, data = found(kind)
    export_model(model, tmp_path / "net.pt", "torch", registry=registry, data=data)

    card = (tmp_path / "net.pt.card.md").read_text(encoding="utf-8")

    for line in lines:
        assert line in card
    quality = f"{judged.metrics['quality']:.4f}"
    assert f"{quality}; measured again at the export: {quality}\n" in card
    assert ("accuracy" in card) is (kind in ("events", "photos"))
    assert (" classes" in card) is (kind in ("events", "photos"))


def test_card_of_a_graph_without_the_task_says_how_outputs_become_values(
    found: Callable[..., Found], registry: Registry, tmp_path: Path
) -> None:
    pytest.importorskip("nir")
    _, model, data = found("values")
    export_model(model, tmp_path / "net.nir", "nir", registry=registry, data=data)
    (said,) = [
        line for line in (tmp_path / "net.nir.card.md").read_text().splitlines() if line.startswith("Decoded out")
    ]
    scale, mean = (float(word.rstrip(".")) for word in said.partition("they are ")[2].split(" x + "))

    values = model.predict(data.validation.inputs)

    np.testing.assert_allclose(scale * model.logits(data.validation.inputs) + mean, values, rtol=1e-4)
    blocks = model_card(model.description, registry, "net.nir", "nir", nir_usage, again={"quality": 0.5})
    assert 'json.loads(graph.metadata["decoding"])' in blocks
