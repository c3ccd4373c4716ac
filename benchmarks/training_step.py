"""Time of one training step against SpikingJelly's multi-step mode, on the same network.

Network: direct coding, conv(32)-BN-LIF-maxpool-conv(64)-BN-LIF-maxpool-linear(10)-LIF, mean over T, cross-entropy,
Adam; 28x28 inputs, batch 64, T = 4, float32, 2 threads; LIF tau = 2, threshold 1, hard reset, detached, ATan(2).

Run: python benchmarks/training_step.py [--steps-per-round 8] [--rounds 5]
The sides take turns in fresh processes under the memory settings of our workers; the median over rounds is quoted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

T, BATCH = 4, 64


def ours() -> Callable[[], None]:
    """Return one training step of spikefront's network."""
    import torch

    from spikefront.plugins import Data, load_registry
    from spikefront.runners.judging.network import assemble
    from spikefront.runners.judging.training import Trainer
    from spikefront.searchspace import from_flat

    registry = load_registry(third_parties=False)
    candidate = from_flat(
        {
            "task": "fashion-mnist",
            "coding": "direct",
            "neuron": "lif",
            "backbone": "convnet",
            "backbone.convnet.width": 32,
            "backbone.convnet.stages": 2,
            "backbone.convnet.readout": "spikes",
            "training.batch": BATCH,
            "steps": T,
        },
        registry,
    )
    torch.manual_seed(0)
    network = assemble(candidate, registry, (1, 28, 28), 10)
    data = Data(torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8), torch.randint(0, 10, (BATCH,)))
    trainer = Trainer(network, registry.get("task", "fashion-mnist")(), data, candidate.training, seed=0)
    return lambda: (trainer.epoch(), None)[1]


def spikingjelly(once: bool = False) -> Callable[[], None]:
    """Return one training step of SpikingJelly's; ``once`` computes the first convolution once instead of T times."""
    import torch
    from spikingjelly.activation_based import functional, layer, neuron, surrogate
    from torch import nn

    def lif() -> nn.Module:
        node: nn.Module = neuron.LIFNode(tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan(2.0))
        return node

    torch.manual_seed(0)
    first = [layer.Conv2d(1, 32, 3, padding=1, bias=False), layer.BatchNorm2d(32)]
    rest = [
        lif(), layer.MaxPool2d(2),
        layer.Conv2d(32, 64, 3, padding=1, bias=False), layer.BatchNorm2d(64), lif(), layer.MaxPool2d(2),
        layer.Flatten(), layer.Linear(3136, 10), lif(),
    ]  # fmt: skip
    stem, body = nn.Sequential(*first), nn.Sequential(*rest)
    functional.set_step_mode(body, "m")
    functional.set_step_mode(stem, "s" if once else "m")
    parameters = [*stem.parameters(), *body.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    images, labels = torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8), torch.randint(0, 10, (BATCH,))

    def step() -> None:
        x = images.float() / 255
        current = stem(x).unsqueeze(0).repeat(T, 1, 1, 1, 1) if once else stem(x.unsqueeze(0).repeat(T, 1, 1, 1, 1))
        loss = nn.functional.cross_entropy(body(current).mean(0), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        functional.reset_net(body)

    return step


SIDES: dict[str, Callable[[], Callable[[], None]]] = {
    "spikefront": ours,
    "spikingjelly": spikingjelly,
    "spikingjelly, conv1 once": lambda: spikingjelly(once=True),
}


def measure(side: str, steps: int) -> float:
    """Return the median milliseconds of a step in this process."""
    import torch

    torch.set_num_threads(2)
    step = SIDES[side]()
    for _ in range(3):
        step()
    times = []
    for _ in range(steps):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps-per-round", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(measure(arguments.side, arguments.steps_per_round)))
        return
    from spikefront.runners.engine.placing.session import WORKER_ENVIRONMENT

    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(arguments.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--steps-per-round", str(arguments.steps_per_round)]
            run = subprocess.run(
                command, env={**os.environ, **WORKER_ENVIRONMENT}, capture_output=True, text=True, check=True
            )
            times[side].append(json.loads(run.stdout.splitlines()[-1]))
    medians = {side: statistics.median(values) for side, values in times.items()}
    print("training step, T=4, batch 64, 28x28, float32, 2 threads (ms: median, min-max over rounds; ratio to ours)")
    for side, values in times.items():
        ratio = medians[side] / medians["spikefront"]
        print(f"  {side:26s} {medians[side]:7.1f} ms  ({min(values):.1f}-{max(values):.1f})  {ratio:.2f}x")


if __name__ == "__main__":
    main()
