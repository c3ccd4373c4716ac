"""Price the nets of ``peer_nets`` with SpikingJelly's Lemaire and NeuroMC profilers; JSON on standard output.

A script, never imported. It needs no network. ``spikingjelly.json`` beside it was written so:

    pip install --no-deps spikingjelly==2.0.0 && python tests/plugins/energy/run_spikingjelly.py
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.op_counter.analytical_energy import LemaireEnergyConfig, estimate_lemaire_energy
from spikingjelly.activation_based.op_counter.neuromc import estimate_neuromc_runtime_energy
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.plugins.energy.peer_nets import NETS, STEPS, inputs, set_weights


class Block(nn.Module):
    """What comes in, plus neurons behind a convolution of it."""

    def __init__(self, conv: nn.Module, neurons: nn.Module) -> None:
        super().__init__()
        self.conv, self.neurons = conv, neurons

    def forward(self, x: Tensor) -> Tensor:
        summed: Tensor = x + self.neurons(self.conv(x))
        return summed


def neurons(kind: str) -> Any:
    return neuron.IFNode() if kind == "if" else neuron.LIFNode(tau=2.0, decay_input=False)


def built(one: tuple[Any, ...], kind: str) -> Any:
    match one:
        case ("conv" | "block", inside, outside, stride, bias):
            conv = layer.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=bool(bias))
            set_weights(conv)
            return Block(conv, neurons(kind)) if one[0] == "block" else conv
        case ("linear", inside, outside):
            linear = layer.Linear(inside, outside)
            set_weights(linear)
            return linear
        case ("pool",):
            return layer.MaxPool2d(2)
        case ("flatten",):
            return layer.Flatten()
    return neurons(one[0])


def figures(name: str) -> dict[str, Any]:
    kind = next(one[0] for one in NETS[name] if one[0] in ("if", "lif"))
    network = nn.Sequential(*(built(one, kind) for one in NETS[name]))
    functional.set_step_mode(network, "m")
    spikes: list[int] = []

    def emitted(module: nn.Module, args: object, out: Tensor) -> None:
        spikes.append(int(out.sum()))

    for module in network.modules():
        if isinstance(module, (neuron.IFNode, neuron.LIFNode)):
            module.register_forward_hook(emitted)
    x = inputs(name)
    x = x.expand(STEPS, *x.shape[1:]) if len(x) == 1 else x
    with torch.no_grad():
        network(x)
    fired = list(spikes)
    functional.reset_net(network)
    lenient = LemaireEnergyConfig(strict=False)  # or it refuses pooling, sums and reshaping, which it leaves out
    with torch.no_grad():
        lemaire = estimate_lemaire_energy(network, x, config=lenient)
    functional.reset_net(network)
    return {
        "spikes": fired,
        "lemaire": {"total_pj": lemaire.total_pj, "breakdown_pj": lemaire.breakdown_pj, "counts": lemaire.counts},
        "neuromc": neuromc_figures(network, x),
    }


def neuromc_figures(network: nn.Module, x: Tensor) -> dict[str, Any]:
    try:
        found = estimate_neuromc_runtime_energy(network, x)
    except ValueError as error:
        return {"refuses": str(error)}
    return {
        "total_pj": found.energy_total_pj,
        "mac_pj": found.energy_mac_pj,
        "extra_compute_pj": found.energy_extra_compute_pj,
        "memory_pj": found.energy_base_memory_pj + found.energy_extra_memory_pj,
        "counts": found.primitive_counts["totals"],
    }


warnings.simplefilter("ignore")
document = {
    "made_by": "tests/plugins/energy/run_spikingjelly.py",
    "spikingjelly": version("spikingjelly"),
    "torch": version("torch"),
    "nets": {name: figures(name) for name in NETS},
}
print(json.dumps(document, indent=1))
