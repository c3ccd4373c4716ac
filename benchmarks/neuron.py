"""Time of each neuron, forward and backward, against a copy of the bytes that it has to move.

Currents of the first layer of a convnet: ``(T, 64, 32, 28, 28)``, channels last, float32. The least that a neuron
moves, per neuron and step: forward, it reads the current and writes the spike; backward, it reads the current and the
gradient of the spike, and writes that of the current. The floor is copies of as many bytes. All are in one process that
keeps freed memory, as those that train do.

Run: python benchmarks/neuron.py [--steps 4] [--rounds 9] [--threads 2] [--batch 64]
Neurons, their torch form and the copy take turns; the median over rounds is quoted. ``SPIKEFRONT_NATIVE=0`` shows the
torch form alone.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from spikefront.plugins import Neuron, load_registry
from spikefront.plugins.network.native import kernels
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.allocation import keep_freed_memory

NEURONS = ("if", "lif", "plif", "alif", "phase", "ternary-lif", "tsa")


def currents(steps: int, batch: int) -> Tensor:
    """Return currents of which some neurons fire, channels last."""
    x = torch.randn(steps * batch, 32, 28, 28).to(memory_format=torch.channels_last)
    folded: Tensor = x.unflatten(0, (steps, batch))
    return folded


@contextmanager
def torch_form() -> Iterator[None]:
    """Run neurons without native code: a mode that sees each function has them fall back."""
    from torch.overrides import TorchFunctionMode

    class Plain(TorchFunctionMode):
        def __torch_function__(self, function, types, arguments=(), keywords=None):  # type: ignore[no-untyped-def]
            return function(*arguments, **(keywords or {}))

    with Plain():
        yield


def copy(values: int) -> Callable[[], None]:
    """Return a copy that moves so many float32 values, half of them read."""
    source = torch.randn(values // 2)
    target = torch.empty_like(source)
    return lambda: (target.copy_(source), None)[1]


def passes(neuron: Neuron, x: Tensor, gradient: Tensor, plain: bool) -> tuple[float, float]:
    """Return the milliseconds of one forward and one backward pass."""
    x.grad = None
    started = time.perf_counter()
    if plain:
        with torch_form():
            spikes = neuron(x, len(gradient))
    else:
        spikes = neuron(x, len(gradient))
    between = time.perf_counter()
    torch.autograd.grad(spikes, x, gradient)
    return 1000 * (between - started), 1000 * (time.perf_counter() - between)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--neurons", nargs="+", default=NEURONS, choices=NEURONS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    keep_freed_memory()
    registry = load_registry(third_parties=False)
    x = currents(arguments.steps, arguments.batch).requires_grad_()
    gradient = torch.randn_like(x)
    forward_bytes, backward_bytes = copy(2 * x.numel()), copy(3 * x.numel())
    sides = [(name, plain) for name in arguments.neurons for plain in (False, True)]
    if kernels() is None:
        sides = [(name, True) for name in arguments.neurons]
    neurons = {name: registry.get("neuron", name)(surrogate=ATan()) for name in arguments.neurons}
    times: dict[tuple[str, bool], list[tuple[float, float]]] = {side: [] for side in sides}
    floor: list[float] = []
    for round_ in range(-2, arguments.rounds):
        started = time.perf_counter()
        forward_bytes()
        backward_bytes()
        if round_ >= 0:
            floor.append(1000 * (time.perf_counter() - started))
        for side in sides:
            taken = passes(neurons[side[0]], x, gradient, side[1])
            if round_ >= 0:
                times[side].append(taken)
    least = statistics.median(floor)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"torch {torch.__version__}; {sys.executable.rsplit('/', 1)[-1]} {' '.join(sys.argv)}")
    print(f"{tuple(x.shape)}, {20 * x.numel() / 1e6:.0f} MB, {arguments.threads} threads; ms: median, ratio to a copy")
    print(f"  {'copy of the same bytes':24s} {least:7.1f} ms  ({min(floor):.1f}-{max(floor):.1f})")
    for (name, plain), pairs in times.items():
        forward, backward = (statistics.median(column) for column in zip(*pairs, strict=True))
        both = [sum(pair) for pair in pairs]
        total = statistics.median(both)
        what = f"{name}, {'torch' if plain else 'native'}"
        print(
            f"  {what:24s} {total:7.1f} ms  ({min(both):.1f}-{max(both):.1f})  {total / least:5.2f}x"
            f"   forward {forward:.1f}, backward {backward:.1f}"
        )


if __name__ == "__main__":
    main()
