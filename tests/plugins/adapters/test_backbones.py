"""Modules of other libraries and NIR files as backbones: the same outputs with the same neurons, and clear refusals."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import spikefront
from spikefront.plugins import Neuron, load_registry
from spikefront.plugins.adapters.backbones import ModuleBackbone
from spikefront.plugins.codings.direct import Direct
from spikefront.plugins.contracts import Backbone
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.neurons.snntorch_leaky import SnnTorchLeaky, SnnTorchLeakyConfig
from spikefront.plugins.testing.properties import assert_network_sound, network_of
from spikefront.runners.deploy.description import describe
from spikefront.runners.deploy.model import Model
from spikefront.runners.deploy.nir import export_nir
from spikefront.runners.deploy.nir_readers import READERS
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.study_file import read_settings
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import UsageError, from_flat

if importlib.util.find_spec("snntorch") is None or importlib.util.find_spec("spikingjelly") is None:
    pytest.skip("needs snntorch and spikingjelly", allow_module_level=True)

import snntorch
from spikingjelly.activation_based import functional
from tests.plugins.adapters.nets import Jelly, Looping, Residual

SHAPE = (1, 8, 8)


def backbone_of(make: Callable[[], nn.Module]) -> type[ModuleBackbone]:
    class Given(ModuleBackbone):
        name = "given"

        def make(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
            return make()

    return Given


def network(backbone: type[Backbone], neuron: type[Neuron], config: Any, steps: int) -> Network:
    return network_of(Direct(steps=steps), SHAPE, neuron=neuron, backbone=backbone, configs=(config, None), outputs=10)


def inputs() -> Tensor:
    torch.manual_seed(1)
    return 3 * torch.rand(6, *SHAPE)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_a_module_of_spikingjelly_gives_the_same_with_lif_at_its_sites() -> None:
    module = Jelly().eval()
    module.get_buffer("conv_fc.1.running_mean").uniform_(-0.1, 0.1)
    found = network(backbone_of(lambda: module), LIF, LIFConfig(), steps=4).eval()

    with torch.no_grad():
        theirs = module(inputs())
        torch.testing.assert_close(found(inputs()), theirs)
    assert theirs.std() > 0.01
    assert [(s.info.channels, s.info.size, s.info.stage) for s in found.sites] == [(8, (8, 8), 0), (8, (4, 4), 1)]
    assert all(site.info.last_of_stage for site in found.sites)
    functional.reset_net(module)


def test_a_module_of_snntorch_loses_its_loop_over_time_and_gives_the_same_with_leaky_at_its_sites() -> None:
    module = Looping()
    config = SnnTorchLeakyConfig(beta=0.5, reset="zero")
    found = network(backbone_of(lambda: module), SnnTorchLeaky, config, steps=5).eval()
    with torch.no_grad():
        spikes, _ = module(inputs())
        assert 0 < spikes.mean() < 1
        torch.testing.assert_close(found(inputs()), spikes.mean(0))


def test_a_sum_of_spikes_is_counted_as_events_and_gives_the_same() -> None:
    module = Residual().eval()
    found = network(backbone_of(lambda: module), LIF, LIFConfig(), steps=4).eval()
    with torch.no_grad():
        theirs = torch.stack([module(inputs()) for _ in range(4)]).mean(0)
        torch.testing.assert_close(found(inputs()), theirs)
    layers = {count.layer: count for count in count_operations(found, inputs()).layers}
    fires = [count.events for count in layers.values() if count.role == "neuron"]
    read_out = next(count for name, count in layers.items() if name.endswith("fc"))
    assert sum(fires) > 0
    assert read_out.macs == 0  # each spike that reaches the average is an accumulate per output
    assert read_out.sops == 10 * sum(fires)


@pytest.mark.parametrize("make", [Jelly, Looping, Residual])
def test_networks_of_it_are_sound_and_everything_is_counted(make: Callable[[], nn.Module]) -> None:
    assert_network_sound(network(backbone_of(make), LIF, None, steps=3), torch.rand(6, *SHAPE))


def test_candidates_do_not_share_weights() -> None:
    module = Looping()
    first, second = (network(backbone_of(lambda: module), LIF, None, steps=2) for _ in range(2))
    weights = [next(net.parameters()) for net in (first, second)]
    assert torch.equal(*weights)
    assert weights[0] is not weights[1]
    assert all(parameter.requires_grad for parameter in first.parameters())


class Sequence(nn.Sequential):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__(*(layers or (nn.Flatten(), nn.Linear(64, 10), leaky())))


def leaky() -> nn.Module:
    neuron: nn.Module = snntorch.Leaky(0.5, init_hidden=True)
    return neuron


class TwoOutputs(Sequence):
    def forward(self, x: Tensor) -> Any:
        hidden = self[1](self[0](x))
        return hidden, self[2](hidden)


class OnValues(Sequence):
    def forward(self, x: Tensor) -> Any:
        return self[1](self[0](x)) if x.sum() > 0 else x


class Twice(Sequence):
    def forward(self, x: Tensor) -> Any:
        return self[2](self[2](self[1](self[0](x))))


class Potential(Sequence):
    def __init__(self) -> None:
        super().__init__(nn.Flatten(), nn.Linear(64, 10), snntorch.Leaky(0.5))

    def forward(self, x: Tensor) -> Any:
        return self[2](self[1](self[0](x)))[1]


class Rectified(Sequence):
    def forward(self, x: Tensor) -> Any:
        return self[2](torch.relu(self[1](self[0](x))))


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "stateful": (lambda: Sequence(nn.Flatten(), nn.GRU(64, 10)), r"layer '1' \(GRU\) is not understood"),
    "feedback": (
        lambda: Sequence(nn.Flatten(), nn.Linear(64, 10), snntorch.RLeaky(0.5, linear_features=10, init_hidden=True)),
        r"layer '2' \(RLeaky\) feeds back; backbone 'recurrent' does",
    ),
    "two outputs": (TwoOutputs, "it has 2 outputs; give one"),
    "a potential": (Potential, "its output is the state of a neuron; give spikes"),
    "values": (OnValues, "the forward of OnValues can't be traced .*; it must not depend on values"),
    "twice": (Twice, "layer '2' is called twice in a step"),
    "a function": (Rectified, "relu is not understood"),
    "no flattening": (lambda: Sequence(nn.Linear(64, 10), leaky()), r"takes 64 values, not \(1, 8, 8\); put nn"),
    "no neurons": (lambda: Sequence(nn.Flatten(), nn.Linear(64, 10)), "it has no neurons"),
    "outputs": (lambda: Sequence(nn.Flatten(), nn.Linear(64, 7), leaky()), "and the task has 10 outputs"),
    "currents": (
        lambda: Sequence(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), leaky(), nn.Flatten(), nn.Linear(18, 10)),
        "pooling '1' takes the largest current; put it behind neurons, or average",
    ),
    "norm": (
        lambda: Sequence(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 10), leaky()),
        "batch norm '0' is not behind weights",
    ),
    "windows": (
        lambda: Sequence(nn.Conv2d(1, 2, 3), leaky(), nn.AvgPool2d(3, 2), nn.Flatten(), nn.Linear(8, 10)),
        "pooling '2' must have windows side by side",
    ),
    "channels": (lambda: Sequence(nn.Conv2d(3, 2, 3), leaky()), r"layer '0' takes 3 channels, not \(1, 8, 8\)"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_understood_is_refused_in_one_line(what: str) -> None:
    make, reason = REFUSED[what]
    with pytest.raises(UsageError, match=f"^backbone 'given': .*{reason}"):
        network(backbone_of(make), LIF, None, steps=2)


PLUGINS = """
from pathlib import Path

from spikefront.plugins import hookimpl
from spikefront.plugins.adapters.backbones import NirBackbone


class FromFile(NirBackbone):
    "The network of a file."

    name = "from-file"
    file = Path(__file__).with_name("net.nir")


@hookimpl
def register_backbones(register):
    register(FromFile)
"""


@pytest.fixture
def nir() -> Any:
    return pytest.importorskip("nir")


def from_file(folder: Path) -> type[Backbone]:
    """Return the backbone of the plugin file in a folder."""
    (folder / "file.py").write_text(f"{PLUGINS}\n# {folder}\n")  # a module of its own
    registry = load_registry([folder], third_parties=False)
    assert registry.problems == {}
    plugin: type[Backbone] = registry.get("backbone", "from-file")
    told = f"+{plugin.revision}" if plugin.revision else ""
    assert registry.versions()["backbone.from-file"].partition(":")[2][12:] == told
    return plugin


@pytest.mark.usefixtures("nir")
@pytest.mark.parametrize("backbone", ["convnet", "mlp"])
@pytest.mark.parametrize("reader", ["spikingjelly", "norse"])  # with averages, and with sums before smaller weights
def test_a_nir_file_is_a_backbone_that_computes_what_it_was_exported_from(
    tmp_path: Path, backbone: str, reader: str
) -> None:
    registry = load_registry(third_parties=False)
    task = registry.get("task", "digits")()
    data = task.search_data(None, 1)
    pool = {"backbone.convnet.pool": "avg"} if backbone == "convnet" else {}
    settings = {"backbone": backbone, **pool, "neuron.lif.threshold": 0.3, "steps": 4}
    candidate = from_flat({"task": "digits", "coding": "direct", **settings}, registry)
    source = assemble(candidate, registry, SHAPE, 10)
    with torch.no_grad():
        source.train()(task.prepare(data.train.inputs[:256]))  # statistics of batch norms, which are folded
    model = Model(describe(candidate, data, registry, metrics={}), source.state_dict(), registry)
    export_nir(model, tmp_path / "net.nir", READERS[reader])

    found = network(from_file(tmp_path), LIF, LIFConfig(threshold=0.3), steps=4).eval()

    x = task.prepare(data.validation.inputs[:40])
    with torch.no_grad():
        expected = model.network(x)
        assert expected.std() > 0.01
        torch.testing.assert_close(found(x), expected, rtol=1e-4, atol=1e-5)
    ours, theirs = (count_operations(each, x) for each in (model.network, found))
    assert theirs.sops == ours.sops > 0
    assert theirs.macs == ours.macs > 0


def test_sum_pooling_and_edges_that_meet_are_read_as_nir_defines_them(nir: Any, tmp_path: Path) -> None:
    two, none, weight = np.array([2, 2]), np.array([0, 0]), torch.rand(10, 16)
    ones = np.ones((1, 8, 8))
    nodes = {
        "input": nir.Input({"input": np.array(SHAPE)}),
        "a": nir.IF(r=ones, v_threshold=ones),
        "b": nir.IF(r=ones, v_threshold=ones),
        "pool": nir.SumPool2d(kernel_size=two, stride=two, padding=none),
        "flat": nir.Flatten({"input": np.array([1, 4, 4])}, start_dim=0),
        "fc": nir.Linear(weight.numpy()),
        "output": nir.Output({"output": np.array([10])}),
    }
    edges = [("input", "a"), ("input", "b"), ("a", "pool"), ("b", "pool"), ("pool", "flat"), ("flat", "fc")]
    nir.write(tmp_path / "net.nir", nir.NIRGraph(nodes, [*edges, ("fc", "output")], type_check=False))

    found = network(from_file(tmp_path), LIF, LIFConfig(tau=2.0), steps=1).eval()

    x = inputs()
    spikes = (x / 2 >= 1).float()  # of both neurons
    sums = 4 * torch.nn.functional.avg_pool2d(2 * spikes, 2)
    with torch.no_grad():
        torch.testing.assert_close(found(x), sums.flatten(1) @ weight.T)


def test_what_a_nir_file_has_that_is_not_understood_is_refused(nir: Any, tmp_path: Path) -> None:
    file = tmp_path / "net.nir"
    plugin = from_file(tmp_path)  # the file comes later
    with pytest.raises(UsageError, match=r"net\.nir is not a NIR file that can be read"):
        network(plugin, LIF, None, steps=2)

    def refused(reason: str, edges: list[tuple[str, str]], **nodes: Any) -> None:
        ends = {"input": nir.Input({"input": np.array(SHAPE)}), "output": nir.Output({"output": np.array(SHAPE)})}
        nir.write(file, nir.NIRGraph({**ends, **nodes}, edges, type_check=False))
        with pytest.raises(UsageError, match=reason):
            network(plugin, LIF, None, steps=2)

    fires = nir.IF(r=np.ones(SHAPE), v_threshold=np.ones(SHAPE))
    chain = [("input", "a"), ("a", "output")]
    refused(r"NIR node 'a' \(Delay\) is not understood; known are Affine", chain, a=nir.Delay(np.ones(SHAPE)))
    refused("node '[ab]' of the NIR graph feeds back", [*chain, ("a", "b"), ("b", "a")], a=fires, b=fires)
    refused(r"it gives values of shape \(1, 8, 8\)", chain, a=fires)
    with pytest.raises(UsageError, match=r"takes inputs of shape \(1, 8, 8\), and the task has \(3, 8, 8\)"):
        network_of(Direct(steps=2), (3, 8, 8), neuron=LIF, backbone=plugin, outputs=10)


MODULE = """
from torch import nn

from spikefront.plugins import hookimpl
from spikefront.plugins.adapters.backbones import ModuleBackbone
from spikingjelly.activation_based import layer, neuron


class Mine(ModuleBackbone):
    "A network of mine."

    name = "mine"

    def make(self, input_shape, outputs):
        flat = nn.Sequential(layer.Flatten(), layer.Linear(64, 16), layer.BatchNorm1d(16), neuron.LIFNode())
        return nn.Sequential(flat, layer.Linear(16, WIDTH))


@hookimpl
def register_backbones(register):
    register(Mine)
"""


def test_a_candidate_of_it_is_trained_measured_and_exported(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE.replace("WIDTH", "outputs"))
    flat = {"task": "digits", "coding": "direct", "backbone": "mine", "steps": 4, "training.epochs": 5}
    judged = spikefront.judge(flat, plugins_dir=tmp_path)
    assert judged.metrics["quality"] > 0.5
    assert judged.metrics["parameters"] == 64 * 16 + 16 + 32 + 16 * 10 + 10
    assert judged.metrics["energy_nj"] > 0


def test_one_that_does_not_fit_the_task_is_refused_before_any_trial(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MODULE.replace("WIDTH", "7"))
    folder = tmp_path / "searches"
    settings = read_settings(
        {"task": "digits", "plugins_dir": tmp_path, "space": {"backbone": "mine,mlp"}, "trials": 1, "folder": folder}
    )
    with pytest.raises(UsageError, match=r"'mine': it gives values of shape \(7,\), and the task has 10 outputs"):
        SearchPlan(settings).read_data()
    (tmp_path / "mine.py").write_text(MODULE.replace("WIDTH", "outputs"))
    SearchPlan(settings).read_data()


def test_the_module_of_the_page_on_libraries_is_a_backbone(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/libraries.md").read_text(encoding="utf-8")
    snippet = next(text for text in page.split("```python\n") if "ModuleBackbone" in text)
    (tmp_path / "mine.py").write_text(snippet.partition("```")[0], encoding="utf-8")
    registry = load_registry([tmp_path], third_parties=False)
    found = network(registry.get("backbone", "mine"), LIF, None, steps=3)
    assert [site.info.channels for site in found.sites] == [12, 10]
    assert_network_sound(found, torch.rand(6, *SHAPE))
