"""NeuroBench's complexity metrics of a network, by its names and definitions.

Yik et al., "The neurobench framework for benchmarking neuromorphic computing algorithms and systems", Nature
Communications 16 (2025), as the code of its harness (2.3.0) has them:

- ``Footprint``: bytes of all parameters and buffers.
- ``ConnectionSparsity``: share of the weights of connections that are 0; the harness rounds it to four digits.
- ``ActivationSparsity``: share of the outputs of neurons that are 0, over layers, steps and samples.
- ``SynapticOperations``, per sample: products of an input and a weight of which neither is 0, without biases. They are
  ``Effective_ACs`` where all inputs of a layer at a step, of the whole batch, are -1, 0 or 1, and else
  ``Effective_MACs``. ``Dense`` has the products with 0 too. A layer is called at each step, so what is constant counts
  T times.
- ``MembraneUpdates``, per sample: neurons and steps at which the potential that a neuron holds has another value than
  a step before; at the first step, all neurons.

They are of another kind than ours: values decide, not what a plugin declares, so counts above 1 and pooled spikes are
multiply-accumulates; neurons, attention products, sums and coefficients that don't fold into weights cost nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from spikefront.plugins import Neuron, Signal, Synapse
from spikefront.plugins.contracts.recurrent import Recurrent
from spikefront.plugins.network.membrane import exact_potentials
from spikefront.runners.judging.hooks import listening
from spikefront.runners.judging.measuring import MEASURING_SEED
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.passes import divided
from spikefront.runners.judging.seeding import fixed_randomness


@dataclass(frozen=True, slots=True)
class Complexity:
    """NeuroBench's complexity metrics of a network.

    Attributes:
        footprint: bytes.
        connection_sparsity: share in [0, 1].
        activation_sparsity: share in [0, 1]; 0 for a network without neurons.
        effective_macs: per sample.
        effective_acs: per sample.
        dense: synaptic operations per sample, those with zeros among them.
        membrane_updates: per sample; None where a neuron does not state its potential.
        unstated: names of neurons that don't.
        samples: on how many inputs they were counted.
    """

    footprint: int
    connection_sparsity: float
    activation_sparsity: float
    effective_macs: float
    effective_acs: float
    dense: float
    membrane_updates: float | None
    unstated: tuple[str, ...]
    samples: int

    def results(self) -> dict[str, object]:
        """Return them by the names that the harness has for them."""
        operations = {"Effective_MACs": self.effective_macs, "Effective_ACs": self.effective_acs, "Dense": self.dense}
        return {
            "Footprint": self.footprint,
            "ConnectionSparsity": self.connection_sparsity,
            "ActivationSparsity": self.activation_sparsity,
            "SynapticOperations": operations,
            "MembraneUpdates": self.membrane_updates,
        }


@torch.no_grad()
def complexity(network: Network, batch: Tensor) -> Complexity:
    """Return NeuroBench's complexity metrics of a network on a batch.

    Args:
        network: the network, which is left in eval mode.
        batch: prepared inputs ``(B, ...)``. It goes through in parts if memory asks for it, each a batch of its own.
    """
    network.eval()
    counter = _Counter()
    with fixed_randomness(MEASURING_SEED):
        for inputs, code in divided(network, batch):
            with listening(network, {Synapse: counter.synapse, Neuron: counter.neuron}):
                network.propagate(network.encode(inputs) if code is None else code)
    weights = [module.weight.weight for module in network.modules() if isinstance(module, Synapse)]
    zeros, numel = sum(map(_zeros, weights)), sum(weight.numel() for weight in weights)
    unstated, samples = tuple(sorted(counter.unstated)), len(batch)
    return Complexity(
        footprint=sum(one.nbytes for one in (*network.parameters(), *network.buffers())),
        connection_sparsity=zeros / numel if numel else 0.0,
        activation_sparsity=counter.silent / counter.outputs if counter.outputs else 0.0,
        effective_macs=counter.macs / samples,
        effective_acs=counter.acs / samples,
        dense=counter.dense / samples,
        membrane_updates=None if unstated else counter.updates / samples,
        unstated=unstated,
        samples=samples,
    )


@dataclass(slots=True)
class _Counter:
    """Sums over layers, steps and samples."""

    macs: int = 0
    acs: int = 0
    dense: int = 0
    silent: int = 0
    outputs: int = 0
    updates: int = 0
    unstated: set[str] = field(default_factory=set)

    def synapse(self, name: str, module: Synapse, signal: Signal, current: Signal) -> None:
        values = signal.received()
        repeats = signal.steps // len(values)  # a constant is presented at each step
        connected = _indicator(module.weight, ones=False)
        per_sample = int(_indicator(module.weight, ones=True)(torch.ones_like(values[0, :1]).float()).sum())
        self.dense += signal.steps * values.shape[1] * per_sample
        for at_step in values:
            reached = int(connected((at_step != 0).float()).sum(dtype=torch.float64)) * repeats
            if bool(((at_step == 0) | (at_step.abs() == 1)).all()):
                self.acs += reached
            else:
                self.macs += reached

    def neuron(self, name: str, module: Neuron, current: Tensor, spikes: Tensor) -> None:
        self.silent += _zeros(spikes)
        self.outputs += spikes.numel()
        if isinstance(module, Recurrent):
            fed_back = module.fed_back(spikes, 0)
            self.synapse(f"{name}.feedback", module.feedback, fed_back, fed_back.current(spikes))
        held = _potentials(module, current, spikes)
        if held is None:
            self.unstated.add(module.name)
            return
        self.updates += held[0].numel() + int(torch.count_nonzero(held[1:] != held[:-1]))


def _zeros(values: Tensor) -> int:
    return values.numel() - int(torch.count_nonzero(values))


def _indicator(weight: nn.Module, *, ones: bool) -> Any:
    """Return a weight layer with 1 for each weight that is not 0, or for all of them, and without biases."""
    layer: Any = copy.deepcopy(weight)
    layer.weight = nn.Parameter(torch.ones_like(layer.weight) if ones else (layer.weight != 0).float())
    layer.bias = None
    return layer.float()


def _potentials(module: Neuron, current: Tensor, spikes: Tensor) -> Tensor | None:
    """Return the potential that neurons hold after each step, ``(T, B, ...)``; None where they don't state it."""
    neuron = module.neuron if isinstance(module, Recurrent) else module
    if type(neuron).step is Neuron.step:
        with exact_potentials():
            before = neuron.potentials(current, spikes)
            return None if before is None else torch.stack([*islice(before, 1, len(spikes) + 1)])
    held: list[Tensor] = []
    state: tuple[Tensor, ...] | None = None
    for t in range(len(spikes)):
        total = current[t if len(current) > 1 else 0]
        if isinstance(module, Recurrent) and t:
            total = total + module.fed(spikes[t - 1])
        _, state = neuron.step(total, state)
        held.append(state[0])
    return torch.stack(held)
