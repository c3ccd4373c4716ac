"""Run a network on the Loihi of SANA-FE, in a process of its own: JSON of the network in, JSON of its costs out.

A script, never imported: SANA-FE is under the GPL. Standard input is a net of ``chip_loop`` with its steps and input
spikes, standard output pJ of synapses, neurons and network, spikes, and ns by the timing model that is named.
"""

from __future__ import annotations

import json
import sys

import sanafe  # type: ignore[import-not-found, unused-ignore]

net = json.load(sys.stdin)
arch = sanafe.load_loihi()
cores = list(arch.cores())
network = sanafe.Network()
groups = []
for layer, size in enumerate(net["sizes"]):
    if layer == 0:
        group = network.create_neuron_group("layer0", size, soma_hw_name="loihi_inputs")
        for i in range(size):
            spikes = [bool(net["inputs"][t][i]) for t in range(net["steps"])]
            group.neurons[i].set_attributes(soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": spikes})
    else:
        attributes = {
            "threshold": net["threshold"],
            "leak_decay": net["keep"],
            "reset_mode": "hard" if net["hard"] else "soft",
            "reset": 0.0,
        }
        group = network.create_neuron_group(f"layer{layer}", size, model_attributes=attributes)
        for i in range(size):
            bias = net["biases"][layer - 1][i]
            group.neurons[i].set_attributes(soma_hw_name="loihi_lif", model_attributes={**attributes, "bias": bias})
    for i in range(size):
        store = net["stores"][layer - 1] if layer else "dense"
        group.neurons[i].set_attributes(default_synapse_hw_name=f"loihi_{store}_synapse")
    groups.append(group)
for layer, targets in enumerate(net["targets"]):
    for i, reached in targets.items():
        for j, weight in reached:
            groups[layer].neurons[int(i)].connect_to_neuron(groups[layer + 1].neurons[j], {"weight": weight})
for layer, group in enumerate(groups):
    for i, core in enumerate(net["cores"][layer]):
        group.neurons[i].map_to_core(cores[core])
chip = sanafe.SpikingChip(arch)
chip.load(network)
result = chip.sim(net["steps"], timing_model=net["timing"], processing_threads=1)
energy = {name: joules * 1e12 for name, joules in result["energy"].items()}
print(json.dumps({"energy": energy, "spikes": result["spikes"], "ns": result["sim_time"] * 1e9}))
