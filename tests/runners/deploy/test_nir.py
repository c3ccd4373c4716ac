"""NIR: SpikingJelly, which reads the file by itself, fires the same spikes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from spikefront.plugins import Registry, SearchData, Synapse
from spikefront.plugins.tasks.fashion_mnist import DEBIAN_FOLDER
from spikefront.runners.deploy.description import Description, describe
from spikefront.runners.deploy.model import Model
from spikefront.runners.deploy.nir import STEP_S, export_nir, in_seconds, nir_graph
from spikefront.runners.judging.judge import Judgement
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import UsageError, from_flat

nir = pytest.importorskip("nir")

Trained = Callable[..., tuple[Judgement, Model]]

NETWORKS: dict[str, dict[str, Any]] = {
    "convnet lif": {"backbone": "convnet", "neuron": "lif", "neuron__lif__tau": 2.7},
    "convnet if": {"backbone": "convnet", "neuron": "if"},
    "convnet plif": {"backbone": "convnet", "neuron": "plif"},
    "convnet spikes": {"backbone": "convnet", "neuron": "if", "backbone__convnet__readout": "spikes"},
    "mlp lif": {"backbone": "mlp", "neuron": "lif", "neuron__lif__tau": 3.3, "neuron__lif__decay_input": False},
    "mlp if latency": {"backbone": "mlp", "neuron": "if", "coding": "latency"},
    "mlp if rate": {"backbone": "mlp", "neuron": "if", "coding": "rate", "backbone__mlp__depth": 2},
    "vgg": {"backbone": "vgg", "neuron": "lif", "backbone__vgg__hidden": 0},
}

QUICK = ("convnet lif", "convnet if", "mlp lif", "mlp if latency")


def exportable(network: str) -> dict[str, Any]:
    """Return a candidate of ``NETWORKS`` that averages, and fires after little training."""
    flat = NETWORKS[network]
    pool = {} if flat["backbone"] == "mlp" else {f"backbone__{flat['backbone']}__pool": "avg"}
    return {**flat, **pool, f"neuron__{flat['neuron']}__threshold": 0.3}


def our_spikes(model: Model, inputs: Tensor) -> tuple[Tensor, list[Tensor], Tensor]:
    """Return what was encoded ``(T, B, ...)``, each site's spikes ``(T, B, ...)`` and the output ``(T, B, K)``."""
    seen: list[Tensor] = []
    hooks = [
        site.register_forward_hook(lambda module, args, out: seen.append(out.values)) for site in model.network.sites
    ]
    with torch.no_grad():
        signal = model.network.coding.encode(inputs)
        output = model.network.backbone(signal)
    for hook in hooks:
        hook.remove()
    return signal.values.expand(signal.steps, *signal.values.shape[1:]), seen, output.values


def their_spikes(path: Path, encoded: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Return the spikes of each neuron node ``(T, B, ...)`` and the output ``(T, B, K)``, as SpikingJelly has them."""
    exchange = pytest.importorskip("spikingjelly.activation_based.nir_exchange")
    graph = exchange.import_from_nir(path, dtype=encoded.dtype)
    seen: dict[str, list[Tensor]] = {}
    for name, module in graph.named_modules():
        if name.endswith("_neuron"):
            module.register_forward_hook(lambda m, args, out, name=name: seen.setdefault(name, []).append(out[0]))
    outputs, state = [], None
    with torch.no_grad():
        for current in encoded:
            output, state = graph(current, state)
            outputs.append(output)
    return {name: torch.stack(spikes) for name, spikes in seen.items()}, torch.stack(outputs)


def assert_same_spikes(model: Model, inputs: Tensor, path: Path) -> None:
    """Check that SpikingJelly's spikes are ours, in each layer."""
    encoded, ours, output = our_spikes(model, inputs)
    encoded = encoded.flatten(2) if model.network.backbone.name == "mlp" else encoded
    export_nir(model, path)

    theirs, their_output = their_spikes(path, encoded)

    assert len(theirs) == len(ours) > 0
    for number, spikes in enumerate(ours):
        assert 0 < spikes.mean() < 1
        assert int((theirs[f"{number}_neuron"] != spikes).sum()) == 0
    torch.testing.assert_close(their_output, output)


@pytest.mark.parametrize(
    "dtype", [torch.float32, pytest.param(torch.float64, marks=pytest.mark.slow)], ids=["float32", "float64"]
)
@pytest.mark.parametrize(
    "network", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]
)
@pytest.mark.filterwarnings("ignore")  # what torch.fx says about its own use in nirtorch
def test_spikingjelly_fires_the_same_spikes_on_100_images(
    trained: Trained, registry: Registry, data: SearchData, tmp_path: Path, network: str, dtype: torch.dtype
) -> None:
    _, kept = trained(**exportable(network))
    model = Model(kept.description, kept.network.state_dict(), registry)
    model.network.to(dtype)
    inputs = registry.get("task", "digits")().prepare(data.validation.inputs[:100])

    assert_same_spikes(model, inputs.to(dtype), tmp_path / "net.nir")


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
@pytest.mark.filterwarnings("ignore")
def test_spikingjelly_fires_the_same_spikes_on_100_images_of_clothes(registry: Registry, tmp_path: Path) -> None:
    task = registry.get("task", "fashion-mnist")()
    data = task.search_data(None, 1)
    flat = {"task": "fashion-mnist", "coding": "direct", "backbone.convnet.pool": "avg", "neuron.lif.threshold": 0.3}
    candidate = from_flat(flat, registry)
    torch.manual_seed(0)
    network = assemble(candidate, registry, (1, 28, 28), 10)
    with torch.no_grad():
        network.train()(task.prepare(data.train.inputs[:256]))  # gives batch norm statistics to fold
    model = Model(describe(candidate, data, registry, metrics={}), network.state_dict(), registry)

    assert_same_spikes(model, task.prepare(data.validation.inputs[:100]), tmp_path / "net.nir")


def test_file_holds_equations_in_seconds_and_what_it_was_made_from(trained: Trained, tmp_path: Path) -> None:
    _, model = trained(**exportable("convnet lif"))
    export_nir(model, tmp_path / "net.nir")

    graph = nir.read(tmp_path / "net.nir")

    chain = ["input", "0_synapse", "0_neuron", "0_pool", "1_synapse", "1_neuron", "1_pool", "0_flatten", "2_synapse"]
    assert graph.nodes.keys() == {*chain, "output"}
    assert sorted(graph.edges) == sorted(pairwise([*chain, "output"]))
    neuron = graph.nodes["1_neuron"]
    assert neuron.tau.shape == (32, 4, 4)
    np.testing.assert_allclose(neuron.tau, 2.7e-4, rtol=1e-15)
    assert (neuron.r == 1).all()
    assert (neuron.v_threshold == 0.3).all()
    assert (neuron.v_reset == 0).all()
    described = Description.from_json(graph.metadata["spikefront"])
    assert described.candidate["coding"] == "direct"
    assert described.candidate["steps"] == 4
    assert float(graph.metadata["seconds_per_step"]) == STEP_S


def test_batch_norm_is_folded_into_the_weights(trained: Trained) -> None:
    _, model = trained(**exportable("convnet if"))
    graph = nir_graph(model)
    layer = next(module for module in model.network.modules() if isinstance(module, Synapse))
    assert layer.norm is not None
    x = torch.rand(5, 1, 8, 8)

    weight, bias = (torch.from_numpy(getattr(graph.nodes["0_synapse"], name)) for name in ("weight", "bias"))

    with torch.no_grad():
        expected = layer.norm(layer.weight(x))
        torch.testing.assert_close(torch.nn.functional.conv2d(x, weight, bias, padding=1), expected)


@pytest.mark.parametrize("tau", [1.1, 2.0, 2.7, 3.3333333, 9.99])
def test_time_constants_survive_the_division_by_the_step(tau: float) -> None:
    assert in_seconds(tau) / STEP_S == pytest.approx(tau, rel=2.3e-16, abs=0)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "max pooling": ({"backbone": "convnet"}, r"layers 2, 5 \(MaxPool\): NIR has no max pooling; .*pool=avg$"),
    "soft reset": ({"backbone": "mlp", "neuron__lif__reset": "soft"}, r"layer 2 \(Site\): .*neuron.lif.reset is soft"),
    "start": ({"backbone": "mlp", "neuron": "if", "neuron__if__start": 0.5}, "neuron.if.start is 0.5"),
    "subtract": (
        {"backbone": "mlp", "neuron": "snntorch-leaky"},
        "neuron.snntorch-leaky.reset is subtract; search with reset=zero",
    ),
    "alif": ({"backbone": "mlp", "neuron": "alif"}, "no neuron like 'alif'; if, lif, plif, spikingjelly-lif"),
    "ternary": ({"backbone": "mlp", "neuron": "ternary-lif"}, "NIR has no ternary spikes"),
    "i-lif": ({"backbone": "mlp", "neuron": "i-lif"}, "NIR has no count spikes, which neuron 'i-lif' fires"),
    "gac": ({"backbone": "mlp", "coding": "gac"}, "NIR has no attention such as GatedAttention"),
    "tcja": ({"backbone": "convnet", "coding": "tcja"}, "NIR has no attention such as JointAttention"),
    "sac": ({"backbone": "mlp", "coding": "sac"}, "NIR has no attention such as WeightedSpikes"),
    "phase": ({"backbone": "mlp", "coding": "phase"}, "coding 'phase' weights spikes by their time step"),
    "css": ({"backbone": "mlp", "coding": "css"}, "coding 'css' needs neurons that keep what exceeds"),
    "mth": ({"backbone": "mlp", "coding": "differential-conversion"}, "coding 'differential-conversion' needs neurons"),
    "ttfs": ({"backbone": "mlp", "coding": "ttfs-conversion"}, "coding 'ttfs-conversion' needs neurons that integrate"),
    "shortcut": ({"backbone": "sew-resnet"}, "shortcuts are not exported; mlp, convnet and vgg have none"),
    "vote": ({"backbone": "vgg", "backbone__vgg__pool": "avg", "backbone__vgg__vote": 2}, r"\(Vote\): NIR has no such"),
}


@pytest.mark.parametrize("part", REFUSED)
def test_what_nir_has_no_primitive_for_is_refused_with_the_reason(trained: Trained, tmp_path: Path, part: str) -> None:
    flat, reason = REFUSED[part]
    _, model = trained(**flat, training__epochs=1)

    with pytest.raises(UsageError, match=reason):
        export_nir(model, tmp_path / "net.nir")

    assert list(tmp_path.iterdir()) == []
