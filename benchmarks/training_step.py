"""Time of one training step against SpikingJelly, snnTorch, the same network as an ANN, and its convolutions alone.

Network: direct coding, conv(32)-BN-LIF-maxpool-conv(64)-BN-LIF-maxpool-linear(10)-LIF, mean over T, cross-entropy,
Adam; 28x28 inputs, batch 64; LIF tau = 2, threshold 1, hard reset, detached, ATan(2). The ANN has ReLU for LIF, is laid
out channels last, and computes the first convolution and its norm once and the rest for T times the batch, as ours.

"Pooling apart" is ours with neurons and max pooling in passes of their own.

Run: python benchmarks/training_step.py [--time-steps 4 8] [--rounds 15] [--threads 2]
All arms are in one process, which keeps freed memory, and take turns step by step; no environment variable is needed.
snnTorch (pip install --no-deps snntorch) is left out where it is missing. ``--picture FILE`` draws the times.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch
from bars import bars, picture_file
from torch import Tensor, nn

from spikefront.results.pictures.picture import Row

BATCH = 64
Step = Callable[[], None]


def batch() -> tuple[Tensor, Tensor]:
    """Return images and labels."""
    return torch.randint(0, 256, (BATCH, 1, 28, 28), dtype=torch.uint8), torch.randint(0, 10, (BATCH,))


def trained(parameters: list[nn.Parameter], output: Callable[[Tensor], Tensor], after: Step = lambda: None) -> Step:
    """Return a training step with Adam.

    Args:
        parameters: what is trained.
        output: what a network makes of images in [0, 1].
        after: called after each step.
    """
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    images, labels = batch()

    def step() -> None:
        loss = nn.functional.cross_entropy(output(images.float() / 255), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        after()

    return step


def ours(steps: int, precision: str = "fp32") -> Step:
    """Return one training step of spikefront's network."""
    from spikefront.plugins import Data, load_registry
    from spikefront.runners.judging.network import assemble
    from spikefront.runners.judging.training import Trainer
    from spikefront.searchspace import from_flat

    registry = load_registry(third_parties=False)
    flat = {
        "task": "fashion-mnist",
        "coding": "direct",
        "neuron": "lif",
        "backbone": "convnet",
        "backbone.convnet.width": 32,
        "backbone.convnet.stages": 2,
        "backbone.convnet.readout": "spikes",
        "training.batch": BATCH,
        "training.precision": precision,
        "steps": steps,
    }
    candidate = from_flat(flat, registry)
    network = assemble(candidate, registry, (1, 28, 28), 10)
    task = registry.get("task", "fashion-mnist")()
    trainer = Trainer(network, task, Data(*batch()), candidate.training, seed=0)
    return lambda: (trainer.epoch(), None)[1]


def apart(steps: int) -> Step:
    """Return the same step with neurons and pooling one after the other, as where a hook gets the spikes."""
    from spikefront.plugins.contracts import site

    step = ours(steps)

    def two_passes() -> None:
        with patch.object(site, "_unwatched", lambda *_: False):
            step()

    return two_passes


def spikingjelly(steps: int, once: bool = False) -> Step:
    """Return one training step of SpikingJelly's; ``once`` computes the first convolution once instead of T times."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def lif() -> nn.Module:
        node: nn.Module = neuron.LIFNode(tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan(2.0))
        return node

    stem = nn.Sequential(layer.Conv2d(1, 32, 3, padding=1, bias=False), layer.BatchNorm2d(32))
    body = nn.Sequential(
        lif(), layer.MaxPool2d(2),
        layer.Conv2d(32, 64, 3, padding=1, bias=False), layer.BatchNorm2d(64), lif(), layer.MaxPool2d(2),
        layer.Flatten(), layer.Linear(3136, 10), lif(),
    )  # fmt: skip
    functional.set_step_mode(body, "m")
    functional.set_step_mode(stem, "s" if once else "m")

    def output(x: Tensor) -> Tensor:
        current = stem(x).unsqueeze(0) if once else stem(x.unsqueeze(0).repeat(steps, 1, 1, 1, 1))
        spikes: Tensor = body(current.repeat(steps, 1, 1, 1, 1) if once else current)
        return spikes.mean(0)

    return trained([*stem.parameters(), *body.parameters()], output, lambda: functional.reset_net(body))


def snntorch(steps: int) -> Step:
    """Return one training step of snnTorch's, whose loop over time is Python's."""
    import snntorch
    from snntorch import surrogate

    def lif() -> nn.Module:
        gradient = surrogate.atan(alpha=2.0)
        node: nn.Module = snntorch.Leaky(beta=0.5, spike_grad=gradient, reset_mechanism="zero", init_hidden=True)
        return node

    network = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), lif(), nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False), nn.BatchNorm2d(64), lif(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(3136, 10), lif(),
    )  # fmt: skip

    def output(x: Tensor) -> Tensor:
        for module in network.modules():
            if isinstance(module, snntorch.Leaky):
                module.reset_mem()
        rates: Tensor = torch.stack([network(x) for _ in range(steps)]).mean(0)
        return rates

    return trained(list(network.parameters()), output)


def layers(steps: int, inner: Callable[[int], list[nn.Module]], pool: Callable[[], nn.Module], bf16: bool) -> Step:
    """Return one training step of the network without time: the first convolution once, the rest for T times as many.

    Args:
        steps: T.
        inner: what is between a convolution of so many channels and its pooling.
        pool: the pooling.
        bf16: whether under torch's autocast.
    """
    stem = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1, bias=False), *inner(32)[:1])
    body = nn.Sequential(
        *inner(32)[1:], pool(), nn.Conv2d(32, 64, 3, padding=1, bias=False), *inner(64), pool(),
        nn.Flatten(), nn.Linear(3136, 10),
    )  # fmt: skip
    both = nn.Sequential(stem, body)
    both.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def output(x: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            current = stem(x.contiguous(memory_format=torch.channels_last))
            out = body(current.unsqueeze(0).expand(steps, -1, -1, -1, -1).flatten(0, 1))
        mean: Tensor = out.float().unflatten(0, (steps, BATCH)).mean(0)
        return mean

    return trained(list(both.parameters()), output)


class Halve(nn.Module):
    """Every second row and column, which costs nothing: the maps of pooling without it."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, :, ::2, ::2]


def twin(steps: int, bf16: bool = False) -> Step:
    """Return one training step of the ANN."""
    return layers(steps, lambda channels: [nn.BatchNorm2d(channels), nn.ReLU()], lambda: nn.MaxPool2d(2), bf16)


def convolutions(steps: int) -> Step:
    """Return one training step of convolutions and the linear layer alone."""
    return layers(steps, lambda channels: [], Halve, bf16=False)


ARMS: dict[str, Callable[[int], Step]] = {
    "spikefront": ours,
    "pooling apart": apart,
    "SpikingJelly multi-step": spikingjelly,
    "SpikingJelly, conv 1 once": lambda steps: spikingjelly(steps, once=True),
    "snnTorch": snntorch,
    "ANN twin": twin,
    "convolutions alone": convolutions,
    "spikefront, bf16": lambda steps: ours(steps, "bf16"),
    "ANN twin, bf16": lambda steps: twin(steps, bf16=True),
}


def arms(steps: int) -> dict[str, Step]:
    """Return the steps of all arms that this machine can run."""
    made = {}
    for name, arm in ARMS.items():
        torch.manual_seed(0)
        try:
            made[name] = arm(steps)
        except ModuleNotFoundError as error:
            print(f"{name} left out: {error}")
        except ValueError as error:  # no bf16 here
            print(f"{name} left out: {error}")
    return made


def measure(steps: dict[str, Step], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return wall and processor milliseconds of each arm, round by round."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for round_ in range(-3, rounds):
        for name, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            step()
            taken = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - processor)
            if round_ >= 0:
                times[name].append(taken)
    return times


def processor() -> str:
    """Return the name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time-steps", type=int, nargs="+", default=[4, 8])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--picture", type=picture_file, metavar="FILE", help="for a picture: .png, .svg, .html, .csv, .json"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    from spikefront.runners.judging.allocation import keep_freed_memory

    keep_freed_memory()  # all arms alike
    print(f"{processor()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__}")
    print(f"python {' '.join(sys.argv)}")
    rows: list[Row] = []
    for steps in arguments.time_steps:
        times = measure(arms(steps), arguments.rounds)
        print(f"T={steps}, batch {BATCH}, 28x28, {arguments.threads} threads; medians of {arguments.rounds} rounds;")
        print("  ms a step (least), times as long as ours (median over rounds); the same of processor time")
        for name, taken in times.items():
            wall, work = zip(*taken, strict=True)
            pairs = list(zip(taken, times["spikefront"], strict=True))
            longer, more = (statistics.median(theirs[n] / mine[n] for theirs, mine in pairs) for n in (0, 1))
            print(
                f"  {name:26s} {statistics.median(wall):7.1f} ({min(wall):.1f})  {longer:5.2f}x"
                f"   {statistics.median(work):7.1f}  {more:5.2f}x"
            )
            drawn = {"name": name, "panel": f"T = {steps}", "value": round(statistics.median(wall), 1)}
            rows.append({**drawn, "ours": name.startswith("spikefront")})
    if arguments.picture:
        told = f"Time of a training step, {arguments.threads} threads of {processor()}: " + "; ".join(
            f"{row['panel']}, {row['name']} {row['value']} ms" for row in rows
        )
        bars(rows, "training step (ms)", told).save(arguments.picture)


if __name__ == "__main__":
    main()
