"""Our energies beside those of SpikingJelly's Lemaire and NeuroMC profilers, on five nets: every difference by name.

``spikingjelly.json`` has what ``run_spikingjelly.py`` printed. From our counts, ``bill`` computes their figure under
their conventions, and ours once each of ``CHANGES`` is made; nothing else lies between the two.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
import torch
from tests.plugins.energy.peer_nets import NETS, STEPS, inputs, set_weights
from tests.runners.judging.test_counting import Chain, Given
from torch import nn

from spikefront.plugins import Counts, Kind, LayerCount, Signal, Site, SiteInfo, Synapse
from spikefront.plugins.contracts.coding import Coding
from spikefront.plugins.energy.lemaire_45nm import Lemaire45nm
from spikefront.plugins.network.layers import Add, Flatten, MaxPool
from spikefront.plugins.neurons.integrate_and_fire import IF, IFConfig
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.counting import count_operations
from spikefront.runners.judging.network import Network

THEIRS: Final[dict[str, Any]] = json.loads(Path(__file__).with_name("spikingjelly.json").read_text())["nets"]

CHANGES: Final = {
    "borders": "an event at the border reaches fewer outputs; they charge the whole kernel everywhere",
    "counts": "a sum of spikes is several events; they take it for analog values, and charge all products, zeros too",
    "analog": "zeros of an analog input are skipped, and a constant one is presented once; they present it T times",
    "sram": "13.2 pJ for an access to an empty memory; they interpolate down to 0 pJ at 0 bytes",
    "sizes": "queues and memories of biases by their own size; they take 1000 words, and biases and weights together",
    "updates": "an addition per neuron and step; they have one per bias and step",
    "leaks": "a leak of tau = 2 is a shift and an addition; they charge a multiply-accumulate",
    "sums": "additions of edges and of the read-out; they leave them out",
}
ADD, MAC = 0.1, 3.2
POINTS: Final = ((0, 0.0), (8192, 10.0), (32768, 20.0), (1048576, 100.0))
"""Their price of a word of 4 bytes, in pJ, by the bytes of its memory."""


class Block(nn.Module):
    """What comes in, plus neurons behind a convolution of it."""

    def __init__(self, conv: nn.Module, site: nn.Module) -> None:
        super().__init__()
        self.conv, self.site, self.add = conv, site, Add()

    def forward(self, x: Signal) -> Signal:
        summed: Signal = self.add(x, self.site(self.conv(x)))
        return summed


def neurons(kind: str) -> Site:
    neuron = IF(IFConfig(), surrogate=ATan()) if kind == "if" else LIF(LIFConfig(decay_input=False), surrogate=ATan())
    return Site(SiteInfo(0, 0, 1, (1, 1), True), neuron, None)


def built(one: tuple[Any, ...], kind: str) -> nn.Module:
    match one:
        case ("conv" | "block", inside, outside, stride, bias):
            conv = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=bool(bias))
            set_weights(conv)
            return Block(Synapse(conv), neurons(kind)) if one[0] == "block" else Synapse(conv)
        case ("linear", inside, outside):
            linear = nn.Linear(inside, outside)
            set_weights(linear)
            return Synapse(linear)
        case ("pool",):
            return MaxPool(2)
        case ("flatten",):
            return Flatten()
    return neurons(one[0])


def kind_of(name: str) -> str:
    return str(next(one[0] for one in NETS[name] if one[0] in ("if", "lif")))


def counted(name: str) -> Counts:
    x = inputs(name)
    coding: Coding = Given(x, Kind.ANALOG if len(x) == 1 else Kind.BINARY, steps=STEPS)
    chain = Chain(*(built(one, kind_of(name)) for one in NETS[name]))
    return count_operations(Network(coding, chain), torch.zeros(1, 1))


def access(words: float, changes: Collection[str]) -> float:
    """Return the price of reading or writing a word of a memory of so many words, in pJ."""
    if "sram" in changes:
        return 13.2 + 1.09e-5 * 32 * words
    size = min(4.0 * words, POINTS[-1][0])
    (x0, y0), (x1, y1) = next(pair for pair in pairwise(POINTS) if size <= pair[1][0])
    return y0 + (y1 - y0) * (size - x0) / (x1 - x0)


def bill(name: str, counts: Counts, changes: Collection[str]) -> float:
    """Return the energy in pJ under their conventions, but for these changes."""
    total = 0.0
    for layer in counts.layers:
        if layer.role == "neuron":
            total += of_neurons(layer, kind_of(name) == "lif", changes)
        elif layer.geometry is not None:
            summed = name == "residual" and layer.layer.endswith(".3")
            dense = layer.macs > 0 or (summed and "counts" not in changes)
            total += of_dense(layer, changes) if dense else of_spiking(layer, changes)
        elif "sums" in changes:
            total += ADD * layer.operations.adds + 3.1 * layer.operations.multiplies + ADD * layer.operations.shifts
    return total


def of_neurons(layer: LayerCount, leaky: bool, changes: Collection[str]) -> float:
    size = layer.sites / STEPS
    memory = 2 * layer.sites * access(size, changes)
    memory += layer.events * access(size if "sizes" in changes else 1000, changes)
    leak = layer.sites * (2 * ADD if "leaks" in changes else MAC) if leaky else 0.0
    return memory + leak + ADD * (layer.events + (layer.sites if "updates" in changes else 0))


def of_biases(layer: LayerCount, presentations: float, changes: Collection[str]) -> float:
    """Return the reads of biases, and what they have of additions."""
    geometry = layer.geometry
    assert geometry is not None
    if not geometry.biased:
        return 0.0
    words = geometry.channels + (0 if "sizes" in changes else geometry.weights)
    return presentations * geometry.outputs * access(words, changes)


def of_spiking(layer: LayerCount, changes: Collection[str]) -> float:
    geometry = layer.geometry
    assert geometry is not None
    whole = adds = layer.events * geometry.channels
    located = 0
    if geometry.kernel is not None:
        whole *= math.prod(geometry.kernel)
        adds *= math.prod(math.ceil(k / s) for k, s in zip(geometry.kernel, geometry.stride, strict=True))
        located = 2 * layer.events
    if "borders" in changes:
        whole = adds = layer.sops
    biased = geometry.channels if geometry.biased and "sizes" not in changes else 0
    memory = layer.events * access(geometry.inputs if "sizes" in changes else 1000, changes)
    memory += whole * (access(geometry.weights + biased, changes) + 2 * access(geometry.outputs, changes))
    memory += of_biases(layer, STEPS, changes)
    added = STEPS * geometry.outputs if geometry.biased and "updates" not in changes else 0
    return memory + ADD * (adds + whole + added) + MAC * located


def of_dense(layer: LayerCount, changes: Collection[str]) -> float:
    geometry = layer.geometry
    assert geometry is not None
    assert geometry.kernel is not None, "no net here has a linear layer of analog values"
    once = "analog" in changes and layer.macs > 0
    shown = 1 if once else STEPS
    work = layer.macs if once else shown * geometry.outputs * geometry.weights // geometry.channels
    held = geometry.inputs * (1 if "sizes" in changes else STEPS)
    biased = geometry.channels if geometry.biased and "sizes" not in changes else 0
    memory = work * (access(held, changes) + access(geometry.weights + biased, changes))
    memory += of_biases(layer, shown, changes)
    added = shown * geometry.outputs if geometry.biased and (once or "updates" not in changes) else 0
    if once:  # the current is held, and read at each step
        memory += access(geometry.outputs, changes) * (1 + STEPS) * geometry.outputs
    positions = shown * (geometry.inputs + geometry.outputs) + geometry.channels * math.prod(geometry.kernel)
    return memory + MAC * work + ADD * (added + positions)


@pytest.mark.parametrize("name", NETS)
def test_lemaire_differs_from_spikingjellys_by_named_conventions_alone(name: str) -> None:
    counts, theirs = counted(name), THEIRS[name]
    assert [layer.events for layer in counts.layers if layer.role == "neuron"] == theirs["spikes"]
    assert bill(name, counts, ()) == pytest.approx(theirs["lemaire"]["total_pj"], rel=1e-9)
    assert bill(name, counts, CHANGES) == pytest.approx(1e3 * Lemaire45nm().energy_nj(counts), rel=1e-9)


def test_each_change_makes_a_difference_somewhere() -> None:
    counts = {name: counted(name) for name in NETS}
    for change in CHANGES:
        others = CHANGES.keys() - {change}
        assert any(bill(name, counts[name], others) != bill(name, counts[name], CHANGES) for name in NETS), change


@pytest.mark.parametrize("name", NETS)
def test_neuromc_charges_every_product_and_every_update(name: str) -> None:
    """Its operations are dense ones, whatever the spikes: 16 bits at 32 nm, an addition per product of a spike.

    What is left of its total, its memory, follows from the tiles of one accelerator for training: we model no such.
    """
    found = THEIRS[name]["neuromc"]
    if "refuses" in found:
        assert (name, "max_pool2d" in found["refuses"]) == ("convnet, pooled", True)
        return
    counts = counted(name)
    products = spikes_pj = 0.0
    for layer in counts.layers:
        if layer.geometry is not None:
            dense = STEPS * layer.geometry.outputs * layer.geometry.weights / layer.geometry.channels
            analog = layer.macs > 0 or (name == "residual" and layer.layer.endswith(".3"))
            products += dense
            spikes_pj += dense * (0.548 + (0.812 if analog else 0.548 / 16))
    updates = sum(layer.sites for layer in counts.layers if layer.role == "neuron")
    assert found["counts"]["mac"] == products > counts.sops + counts.macs
    assert found["mac_pj"] == pytest.approx(spikes_pj)
    assert {each: found["counts"][each] for each in ("add", "mul", "comp")} == {
        "add": updates,
        "mul": updates,
        "comp": 3 * updates,
    }
    assert found["extra_compute_pj"] == pytest.approx(updates * (0.548 + 0.812 + 3 * 0.056 + 0.548 / 16))
    assert found["memory_pj"] / found["total_pj"] > 0.8
