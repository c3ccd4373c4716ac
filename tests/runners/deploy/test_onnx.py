"""ONNX: ONNX Runtime, which has nothing of torch or spikefront, gives the same outputs."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.description import Description
from spikefront.runners.deploy.model import Model
from spikefront.runners.deploy.onnx import export_onnx
from spikefront.runners.judging.judge import Judgement
from spikefront.searchspace import UsageError

runtime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

Trained = Callable[..., tuple[Judgement, Model]]

QUICK: list[dict[str, Any]] = [{"coding": "direct", "backbone": "convnet"}]
SLOW: list[dict[str, Any]] = [
    {"coding": "css", "backbone": "mlp"},
    {"coding": "gac", "backbone": "mlp"},
    {"coding": "tcja", "backbone": "convnet"},
    {"coding": "sac", "backbone": "mlp"},
    {"coding": "population", "backbone": "mlp"},
    {"coding": "rate", "coding__rate__spikes": "deterministic", "backbone": "mlp"},
    {"coding": "burst", "backbone": "mlp"},
    {"coding": "phase", "backbone": "mlp"},
    {"coding": "rate-conversion", "backbone": "mlp"},
    {"coding": "phase-conversion", "backbone": "mlp"},
    {"coding": "differential-conversion", "backbone": "mlp", "steps": 3},
    {"coding": "ttfs-conversion", "backbone": "convnet", "backbone__convnet__pool": "max", "steps": 8},
    {"coding": "ttfs-conversion", "backbone": "convnet", "backbone__convnet__pool": "avg", "steps": 8},
    {"coding": "direct", "neuron": "alif", "backbone": "ms-resnet"},
    {"coding": "direct", "neuron": "qb-lif", "backbone": "mlp"},
    {"coding": "latency", "neuron": "ternary-lif", "backbone": "sew-resnet"},
    {"coding": "direct", "neuron": "plif", "backbone": "vgg"},
]


@pytest.mark.parametrize(
    "flat",
    [*QUICK, *(pytest.param(flat, marks=pytest.mark.slow) for flat in SLOW)],
    ids=lambda flat: "-".join(map(str, flat.values())),
)
def test_onnx_runtime_gives_the_same_logits_for_any_number_of_raw_images(
    trained: Trained, data: SearchData, tmp_path: Path, flat: dict[str, Any]
) -> None:
    _, model = trained(**flat, training__epochs=1)
    images = data.validation.inputs

    agreement = export_onnx(model, tmp_path / "net.onnx", images[:50])

    assert agreement.inputs == 50
    session = runtime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    for some in (images[50:51], images[50:157]):
        (logits,) = session.run(["logits"], {"inputs": some.numpy()})
        torch.testing.assert_close(torch.from_numpy(logits), model.logits(some), rtol=1e-4, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"]


@pytest.mark.slow
def test_graph_holds_no_functions_of_others_and_says_what_it_is(
    trained: Trained, data: SearchData, tmp_path: Path
) -> None:
    _, model = trained(**QUICK[0], training__epochs=1)
    export_onnx(model, tmp_path / "net.onnx", data.validation.inputs[:10])

    graph = onnx.load(tmp_path / "net.onnx")

    onnx.checker.check_model(graph, full_check=True)
    assert {entry.domain for entry in graph.opset_import} <= {""}
    (entry,) = [entry for entry in graph.metadata_props if entry.key == "spikefront"]
    assert Description.from_json(entry.value) == model.description


def test_random_code_is_refused(trained: Trained, data: SearchData, tmp_path: Path) -> None:
    _, model = trained(coding="rate", backbone="mlp", training__epochs=1)

    with pytest.raises(UsageError, match="coding 'rate' as it is configured: it draws random numbers"):
        export_onnx(model, tmp_path / "net.onnx", data.validation.inputs[:10])

    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def model(trained: Trained, registry: Registry) -> Model:
    """Return a network that no other test has, so that it can be changed."""
    _, kept = trained(backbone="mlp", training__epochs=1)
    return Model(kept.description, kept.network.state_dict(), registry)


def test_operation_that_onnx_lacks_is_named(
    model: Model, data: SearchData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = model.network.coding.encode
    monkeypatch.setattr(model.network.coding, "encode", lambda x: encode(torch.special.bessel_j1(x)))

    with pytest.raises(UsageError, match=r"can't be expressed in ONNX: .*bessel_j1.*; use format='torch'$"):
        export_onnx(model, tmp_path / "net.onnx", data.validation.inputs[:10])

    assert list(tmp_path.iterdir()) == []


def test_graph_that_gives_other_outputs_is_refused(
    model: Model, data: SearchData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = model.network.coding.decode
    monkeypatch.setattr(
        model.network.coding, "decode", lambda out: decode(out) + (0.5 if torch.compiler.is_exporting() else 0.0)
    )

    with pytest.raises(UsageError, match="the ONNX graph gives other outputs than the network on 10 of 10 inputs"):
        export_onnx(model, tmp_path / "net.onnx", data.validation.inputs[:10])

    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_named_with_how_to_install_it(
    model: Model, data: SearchData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *more: Any) -> Any:
        if name == "onnxscript":
            raise ImportError("No module named 'onnxscript'", name="onnxscript")
        return real(name, *more)

    monkeypatch.setattr(builtins, "__import__", without)

    with pytest.raises(
        UsageError, match=r"needs the package onnxscript; install it with: pip install 'spikefront\[onnx"
    ):
        export_onnx(model, tmp_path / "net.onnx", data.validation.inputs[:10])
