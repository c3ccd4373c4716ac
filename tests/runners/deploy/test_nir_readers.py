"""The matrix of networks and readers of NIR files: what docs/export.md calls exact, and what it calls refused."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import Registry, SearchData, load_registry
from spikefront.runners.deploy.description import describe
from spikefront.runners.deploy.export import check_target, export_model
from spikefront.runners.deploy.model import Model
from spikefront.runners.deploy.nir import export_nir
from spikefront.runners.deploy.nir_readers import READERS, reader_named, steps_of_decay
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import UsageError, from_flat

nir = pytest.importorskip("nir")
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch.fx about nirtorch, and of readers

ROOT = Path(__file__).parents[3]

NETWORKS: dict[str, dict[str, Any]] = {
    "mlp lif": {"backbone": "mlp", "neuron": "lif", "neuron.lif.tau": 2.7, "neuron.lif.threshold": 0.3},
    "mlp lif r": {"backbone": "mlp", "neuron": "lif", "neuron.lif.tau": 3.3, "neuron.lif.decay_input": False},
    "mlp plif": {"backbone": "mlp", "neuron": "plif", "neuron.plif.threshold": 0.3},
    "mlp if": {"backbone": "mlp", "neuron": "if"},
    "convnet lif": {"backbone": "convnet", "neuron": "lif", "neuron.lif.threshold": 0.3},
    "convnet if": {"backbone": "convnet", "neuron": "if", "neuron.if.threshold": 0.5},
    "vgg lif": {"backbone": "vgg", "neuron": "lif", "neuron.lif.threshold": 0.3},
    "mlp snntorch": {"backbone": "mlp", "neuron": "snntorch-leaky", "neuron.snntorch-leaky.reset": "zero"},
    "mlp spikingjelly": {"backbone": "mlp", "neuron": "spikingjelly-lif", "neuron.spikingjelly-lif.threshold": 0.3},
    "mlp lif soft": {"backbone": "mlp", "neuron": "lif", "neuron.lif.threshold": 0.3, "neuron.lif.reset": "soft"},
    "mlp if soft": {"backbone": "mlp", "neuron": "if", "neuron.if.reset": "soft"},
    "convnet if soft": {"backbone": "convnet", "neuron": "if", "neuron.if.threshold": 0.5, "neuron.if.reset": "soft"},
    "vgg if": {"backbone": "vgg", "neuron": "if", "neuron.if.threshold": 0.5},
}


@cache
def setting() -> tuple[Registry, SearchData]:
    registry = load_registry(third_parties=False)
    return registry, registry.get("task", "digits")().search_data(None, 1)


@cache
def model_of(network: str) -> Model:
    """Return a network with the statistics that batch norms have on data, so that it fires; weights are drawn."""
    registry, data = setting()
    flat = NETWORKS[network]
    if flat["neuron"] not in registry.entries["neuron"]:
        pytest.skip(f"the library of {flat['neuron']} is not installed")
    pool = {} if flat["backbone"] == "mlp" else {f"backbone.{flat['backbone']}.pool": "avg"}
    candidate = from_flat({"task": "digits", "coding": "direct", "steps": 4, **flat, **pool}, registry)
    torch.manual_seed(0)
    made = assemble(candidate, registry, (1, 8, 8), 10).train()
    for module in made.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None
    with torch.no_grad():
        made(registry.task(candidate).prepare(data.train.inputs[:256]))
    return Model(describe(candidate, data, registry, metrics={}), made.state_dict(), registry)


def outputs_of(model: Model) -> tuple[Tensor, Tensor]:
    """Return what was encoded of 100 samples and the network's output, ``(T, 100, ...)``."""
    registry, data = setting()
    x = registry.task(model.candidate).prepare(data.validation.inputs[:100])
    with torch.no_grad():
        signal = model.network.coding.encode(x)
        output = model.network.backbone(signal).values
    encoded = signal.values.expand(signal.steps, *signal.values.shape[1:])
    return (encoded.flatten(2) if model.network.backbone.name == "mlp" else encoded), output


def step_by_step(network: Any, encoded: Tensor) -> Tensor:
    outputs, state = [], None
    for current in encoded:
        output, state = network(current) if state is None else network(current, state)
        outputs.append(output)
    return torch.stack(outputs)


def spikingjelly(graph: Any, encoded: Tensor) -> Tensor:
    exchange = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    return step_by_step(exchange.import_from_nir(graph, dtype=encoded.dtype), encoded)


def snntorch(graph: Any, encoded: Tensor) -> Tensor:
    reader = pytest.importorskip("snntorch.import_nir")
    return step_by_step(reader.import_from_nir(graph), encoded)


def norse(graph: Any, encoded: Tensor) -> Tensor:
    reader = pytest.importorskip("norse.torch")
    return step_by_step(reader.from_nir(graph, dt=1e-4), encoded)


def sinabs(graph: Any, encoded: Tensor) -> Tensor:
    reader, layers = pytest.importorskip("sinabs.nir"), pytest.importorskip("sinabs.layers")
    activation = pytest.importorskip("sinabs.activation")
    network = reader.from_nir(graph, batch_size=encoded.shape[1])
    for layer in network.modules():
        if isinstance(layer, (layers.LIF, layers.IAF)):
            subtracts = graph.metadata["reset"] == "subtract"
            layer.reset_fn = activation.MembraneSubtract() if subtracts else activation.MembraneReset()
            layer.spike_fn = activation.SingleSpike
            layer.min_v_mem = None
    output, *_ = network(encoded.transpose(0, 1).flatten(0, 1))  # samples, and in each its steps
    outputs: Tensor = output.unflatten(0, (encoded.shape[1], len(encoded))).transpose(0, 1)
    return outputs


def rockpool(graph: Any, encoded: Tensor) -> Tensor:
    reader = pytest.importorskip("rockpool.nn.modules.torch.nir")
    output: Tensor = reader.from_nir(graph)(encoded.transpose(0, 1))[0]
    return output.transpose(0, 1)


RUN: dict[str, Callable[[Any, Tensor], Tensor]] = {
    run.__name__: run for run in (spikingjelly, snntorch, norse, sinabs, rockpool)
}


def difference(network: str, reader: str, written_for: str, folder: Path) -> float:
    """Return the largest difference of an output on 100 samples, as a reader computes it from a file."""
    if importlib.util.find_spec(reader) is None:
        pytest.skip(f"{reader} is not installed")
    model = model_of(network)
    export_nir(model, folder / "net.nir", READERS[written_for])
    encoded, expected = outputs_of(model)
    assert expected.std() > 0.05
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        found = RUN[reader](nir.read(folder / "net.nir"), encoded)
    assert found.shape == expected.shape
    return float((found - expected).abs().max())


QUICK = (("spikingjelly", "convnet lif"), ("snntorch", "mlp if"), ("snntorch", "convnet lif"))

HARD = tuple(name for name in NETWORKS if not name.endswith("soft"))

EXACT = {
    "spikingjelly": HARD,
    "snntorch": HARD,
    "norse": HARD,
    "sinabs": tuple(name for name in NETWORKS if not name.startswith(("convnet lif", "vgg lif"))),
}
"""Networks whose outputs a reader computes, from a file that is written for it."""


@pytest.mark.parametrize(
    ("network", "reader"),
    [
        pytest.param(
            network,
            reader,
            marks=() if (reader, network) in QUICK else pytest.mark.slow,
        )
        for reader, networks in EXACT.items()
        for network in networks
    ],
)
def test_a_reader_computes_the_same_from_a_file_for_it(network: str, reader: str, tmp_path: Path) -> None:
    assert difference(network, reader, reader, tmp_path) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "reader", "as_defined"),
    [
        ("mlp lif", "snntorch", True),
        ("convnet lif", "snntorch", True),
        ("mlp lif", "norse", True),
        ("mlp if", "norse", True),
        ("mlp lif r", "norse", False),  # takes every resistance for 1
        ("mlp lif", "sinabs", False),  # takes tau for a number of steps
    ],
)
def test_what_readers_make_of_a_file_that_is_written_as_nir_is_defined(
    network: str, reader: str, as_defined: bool, tmp_path: Path
) -> None:
    assert (difference(network, reader, "spikingjelly", tmp_path) < 1e-5) is as_defined


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "reader", "written_for", "error"),
    [
        ("mlp if", "snntorch", "spikingjelly", "r != 1 not supported"),
        ("convnet lif", "norse", "spikingjelly", "0_pool"),
        ("convnet lif", "sinabs", "sinabs", "truth value"),  # LIF neurons on maps: it tests an array
        ("mlp lif", "rockpool", "spikingjelly", "tau_mem"),  # it looks for a field that NIR's LIF does not have
        ("mlp if", "rockpool", "spikingjelly", "Cannot convert"),
        ("convnet if", "rockpool", "spikingjelly", "Cannot convert"),
    ],
)
def test_what_a_reader_refuses(network: str, reader: str, written_for: str, error: str, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, AttributeError, KeyError, NotImplementedError, ValueError), match=error):
        difference(network, reader, written_for, tmp_path)


def test_a_file_for_sinabs_has_sums_biases_and_times_in_steps(tmp_path: Path) -> None:
    export_nir(model_of("convnet lif"), tmp_path / "ours.nir")
    export_nir(model_of("convnet lif"), tmp_path / "theirs.nir", reader_named("sinabs"))
    ours, theirs = nir.read(tmp_path / "ours.nir").nodes, nir.read(tmp_path / "theirs.nir").nodes

    assert type(theirs["0_pool"]).__name__ == "SumPool2d"
    assert type(ours["0_pool"]).__name__ == "AvgPool2d"
    # tau = 2: a step leaves a half, as exp(-1 / tau') does; the weights halve the current, and divide sums of 4
    assert theirs["0_neuron"].tau.flat[0] == pytest.approx(1 / torch.tensor(2.0).log().item(), rel=1e-6)
    torch.testing.assert_close(
        torch.from_numpy(theirs["0_synapse"].weight), torch.from_numpy(ours["0_synapse"].weight) / 2
    )
    torch.testing.assert_close(torch.from_numpy(theirs["0_synapse"].bias), torch.from_numpy(ours["0_synapse"].bias) / 2)
    torch.testing.assert_close(
        torch.from_numpy(theirs["1_synapse"].weight), torch.from_numpy(ours["1_synapse"].weight) / 8
    )
    torch.testing.assert_close(
        torch.from_numpy(theirs["2_synapse"].weight), torch.from_numpy(ours["2_synapse"].weight) / 4
    )


def test_the_decay_of_a_step_is_that_of_the_euler_step() -> None:
    for tau in (1.1, 2.0, 9.5):
        assert torch.tensor(-1 / steps_of_decay(tau)).exp().item() == pytest.approx(1 - 1 / tau, rel=1e-6)


def test_a_first_flattening_is_left_to_the_reader_and_what_nir_has_no_place_for_is_in_the_metadata(
    tmp_path: Path,
) -> None:
    model = model_of("mlp if")
    export_nir(model, tmp_path / "net.nir")
    graph = nir.read(tmp_path / "net.nir")

    assert graph.nodes["input"].input_type["input"].tolist() == [64]
    assert "0_flatten" not in graph.nodes
    assert graph.metadata["class_names"] == str(list(model.description.class_names)).replace("'", '"')
    assert (graph.metadata["steps"], graph.metadata["reader"]) == ("4", "spikingjelly")


def test_a_reader_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown reader of NIR files 'sinab'"):
        check_target(tmp_path / "net.nir", "nir", reader="sinab")
    with pytest.raises(UsageError, match=r"sinabs.* is a reader of NIR files, and the format is torch"):
        check_target(tmp_path / "net.pt", "torch", reader="sinabs")
    registry, data = setting()
    export_model(model_of("mlp if"), tmp_path / "net.nir", "nir", registry=registry, data=data, reader="norse")
    assert "The file is for norse" in (tmp_path / "net.nir.card.md").read_text()


@pytest.mark.parametrize(
    "reader", [name if name == "snntorch" else pytest.param(name, marks=pytest.mark.slow) for name in READERS]
)
def test_the_snippet_of_the_page_reads_a_file(reader: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(reader) is None:
        pytest.skip(f"{reader} is not installed")
    blocks = re.findall(r"```python\n(.+?)```", (ROOT / "docs/export.md").read_text(encoding="utf-8"), re.DOTALL)
    (snippet,) = [block for block in blocks if f"{reader}." in block and "encoded" in block]
    model = model_of("mlp if")
    export_nir(model, tmp_path / "net.nir", READERS[reader])
    encoded, expected = outputs_of(model)
    given: dict[str, Any] = {"graph": nir.read(tmp_path / "net.nir"), "encoded": encoded}
    with torch.no_grad(), contextlib.redirect_stdout(io.StringIO()):
        exec(snippet, given)
    outputs = given["outputs"]
    found = torch.stack(outputs) if isinstance(outputs, list) else outputs
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
