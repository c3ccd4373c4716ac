"""What a GPU makes of training: kernels against the torch form, training steps, and several trials at a time.

1. Equal: the tests of the kernels, all of them, on this GPU (spikes, gradients, resets, surrogates, T, layouts).
2. Neurons: milliseconds forward and backward, by the kernels and in the torch form, beside a copy of the same bytes.
3. Steps: the network of ``training_step.py`` with the kernels, in fp32 and bf16, in the torch form, and in
   SpikingJelly's multi-step mode.
4. Trials: training steps per second of 1, 2 and 4 processes that share the GPU, as ``--gpus-per-trial 0.25`` has them.

Run: python benchmarks/gpu.py [--only neurons steps trials] [--batch 64 512] [--seconds 3]
Without a GPU it ends with one line. ``--device cpu`` tries the script itself out, with the kernels of the CPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import torch

PARTS: Final = ("equal", "neurons", "steps", "trials")
NEURONS: Final = ("if", "lif", "plif", "alif", "tsa")
TRIALS: Final = (1, 2, 4)
TESTS: Final = Path(__file__).parents[1] / "tests/plugins/network"
T: Final = 4


def step_of_ours(device: str, batch: int, precision: str = "fp32") -> Callable[[], None]:
    """Return one training step of spikefront's network."""
    from spikefront.plugins import Data, load_registry
    from spikefront.runners.judging.network import assemble
    from spikefront.runners.judging.training import Trainer
    from spikefront.searchspace import from_flat

    registry = load_registry(third_parties=False)
    network = {"backbone.convnet.width": 32, "backbone.convnet.stages": 2, "backbone.convnet.readout": "spikes"}
    parts = {"task": "fashion-mnist", "coding": "direct", "neuron": "lif", "backbone": "convnet"}
    training = {"training.batch": batch, "training.precision": precision}
    candidate = from_flat(parts | network | training | {"steps": T}, registry)
    torch.manual_seed(0)
    built = assemble(candidate, registry, (1, 28, 28), 10).to(device)
    images = torch.randint(0, 256, (batch, 1, 28, 28), dtype=torch.uint8, device=device)
    data = Data(images, torch.randint(0, 10, (batch,), device=device))
    trainer = Trainer(built, registry.get("task", "fashion-mnist")(), data, candidate.training, seed=0)
    return lambda: (trainer.epoch(), None)[1]


def step_of_spikingjelly(device: str, batch: int) -> Callable[[], None]:
    """Return one training step of the same network in SpikingJelly's multi-step mode, by its default back end."""
    from spikingjelly.activation_based import functional, layer, neuron, surrogate
    from torch import nn

    def lif() -> nn.Module:
        node: nn.Module = neuron.LIFNode(tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan(2.0))
        return node

    torch.manual_seed(0)
    net = nn.Sequential(
        layer.Conv2d(1, 32, 3, padding=1, bias=False), layer.BatchNorm2d(32), lif(), layer.MaxPool2d(2),
        layer.Conv2d(32, 64, 3, padding=1, bias=False), layer.BatchNorm2d(64), lif(), layer.MaxPool2d(2),
        layer.Flatten(), layer.Linear(3136, 10), lif(),
    ).to(device)  # fmt: skip
    functional.set_step_mode(net, "m")
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    images = torch.randint(0, 256, (batch, 1, 28, 28), dtype=torch.uint8, device=device)
    labels = torch.randint(0, 10, (batch,), device=device)

    def step() -> None:
        x = (images.float() / 255).unsqueeze(0).repeat(T, 1, 1, 1, 1)
        loss = nn.functional.cross_entropy(net(x).mean(0), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        functional.reset_net(net)

    return step


STEPS: Final[dict[str, Callable[[str, int], Callable[[], None]]]] = {
    "ours": step_of_ours,
    "ours, bf16": partial(step_of_ours, precision="bf16"),
    "ours, torch form": step_of_ours,
    "spikingjelly": step_of_spikingjelly,
}


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device != "cpu":
        torch.cuda.synchronize()


def milliseconds(step: Callable[[], object], device: str, seconds: float) -> float:
    """Return the median milliseconds of a call in five rounds, after a warm-up."""
    for _ in range(3):
        step()
    synchronize(device)
    rounds = []
    for _ in range(5):
        done, started = 0, time.perf_counter()
        while done == 0 or time.perf_counter() - started < seconds / 5:
            step()
            done += 1
        synchronize(device)
        rounds.append(1000 * (time.perf_counter() - started) / done)
    return statistics.median(rounds)


def measure_neurons(device: str, batch: int, seconds: float) -> None:
    """Print the time of each neuron, forward and backward, and its ratio to a copy of the same bytes."""
    from neuron import torch_form

    from spikefront.plugins import load_registry
    from spikefront.plugins.surrogates.atan import ATan

    x = torch.randn(T * batch, 32, 28, 28, device=device).to(memory_format=torch.channels_last)
    current = x.unflatten(0, (T, batch)).requires_grad_()
    gradient = torch.randn_like(current)
    source = torch.randn(3 * current.numel(), device=device)  # 24 bytes of a neuron and step, half of them read
    target = torch.empty_like(source)
    floor = milliseconds(lambda: target.copy_(source), device, seconds)
    print(f"neurons, {tuple(current.shape)}, forward and backward; a copy of the same bytes takes {floor:.3f} ms")
    registry = load_registry(third_parties=False)
    for name in NEURONS:
        neuron = registry.get("neuron", name)(surrogate=ATan()).to(device)

        def passes(neuron: torch.nn.Module = neuron) -> object:
            return torch.autograd.grad(neuron(current, T), current, gradient)

        fused = milliseconds(passes, device, seconds)
        with torch_form():
            plain = milliseconds(passes, device, seconds)
        ratio = f"{fused / floor:5.2f} copies; torch form {plain:8.3f} ms, {plain / fused:.2f}x"
        print(f"  {name:6s} {fused:8.3f} ms, {ratio}")


def measure_steps(device: str, batch: int, seconds: float) -> None:
    """Print the time of a training step of each side."""
    print(f"training step, T = {T}, batch {batch}, 28x28")
    times = {side: sum(ask(start(device, batch, seconds, side))) for side in STEPS}
    for side, taken in times.items():
        print(f"  {side:18s} {taken:8.2f} ms, {taken / times['ours']:.2f}x")


def measure_trials(device: str, batch: int, seconds: float) -> None:
    """Print the training steps per second of several processes on one GPU."""
    print(f"trials on one GPU, T = {T}, batch {batch}: training steps per second of all")
    alone = 0.0
    for count in TRIALS:
        processes = [start(device, batch, seconds, "ours") for _ in range(count)]
        rate = sum(1000 / taken for taken in ask(*processes))
        alone = alone or rate
        print(f"  {count} at a time {rate:9.1f}, {rate / alone:.2f}x")


def start(device: str, batch: int, seconds: float, side: str) -> subprocess.Popen[str]:
    """Start a process that measures a side's steps once it is told to."""
    command = [sys.executable, __file__, "--device", device, "--batch", str(batch), "--seconds", str(seconds)]
    environment = {**os.environ, "SPIKEFRONT_NATIVE": "0" if side.endswith("torch form") else "1"}
    return subprocess.Popen(
        [*command, "--side", side], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def ask(*processes: subprocess.Popen[str]) -> list[float]:
    """Return the milliseconds of a step in each process; all measure at the same time."""
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            sys.exit(f"a measuring process ended with {process.wait()}")
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(process.communicate()[0].split()[-1]) for process in processes]


def serve(device: str, batch: int, seconds: float, side: str) -> None:
    """Be such a process."""
    torch.set_num_threads(1)
    step = STEPS[side](device, batch)
    for _ in range(3):
        step()
    print("ready", flush=True)
    sys.stdin.readline()
    print(milliseconds(step, device, seconds))


def check_equal(device: str) -> int:
    """Run the tests of the kernels on the GPU and return pytest's exit code."""
    files = [str(TESTS / name) for name in ("test_gpu.py", "test_triton_kernels.py", "test_triton_recurrence.py")]
    return subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]).returncode


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--batch", nargs="+", type=int, default=[64, 512])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--side", choices=STEPS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    device, seconds = arguments.device, arguments.seconds
    if device == "cuda" and not torch.cuda.is_available():
        print(f"no GPU here: torch {torch.__version__} sees none, so nothing was measured", file=sys.stderr)
        return 1
    if arguments.side:
        serve(device, arguments.batch[0], seconds, arguments.side)
        return 0
    print(
        torch.cuda.get_device_name() if device == "cuda" else "the CPU, in place of a GPU", f"torch {torch.__version__}"
    )
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {' '.join(sys.argv)}", flush=True)
    failed = check_equal(device) if "equal" in arguments.only else 0
    measures = {"neurons": measure_neurons, "steps": measure_steps, "trials": measure_trials}
    for part, measure in measures.items():
        for batch in arguments.batch if part in arguments.only else ():
            measure(device, batch, seconds)
            sys.stdout.flush()
    return failed


if __name__ == "__main__":
    sys.exit(main())
