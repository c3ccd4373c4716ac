"""Networks of few bits: synapses that read rounded values, their scales, and the energy of such multiplications.

Each synapse but the first reads ``scale * clamp(round(x / scale), 0, 2^bits - 1)``. Scales minimise the squared error
on the calibration set. A synapse that reads negative values, as shortcuts of currents do, is left alone: the spiking
network carries real numbers there too.

Prices for a multiplier of b bits are not published for each technology, so a multiply-accumulate of a b-bit number
costs the cheaper of two ways that the energy model does price: one multiply-accumulate of full width, or b
accumulates, one for each binary digit (bit-serial: Judd et al., "Stripes", MICRO 2016; digits that are 0 count too).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn

from spikefront.plugins import Counts, Data, EnergyModel, Kind, LayerCount, Signal, Synapse, Task
from spikefront.runners.judging.conversion import run_calibration
from spikefront.runners.judging.network import Network

_CLIPPINGS: Final = 40
_CALIBRATION_VALUES: Final = 100_000


def bits_of(steps: int) -> int:
    """Return the bits of a number that T steps of a rate code can tell apart: ``ceil(log2(T + 1))``.

    Example:
        >>> [bits_of(steps) for steps in (1, 3, 4, 8)]
        [1, 2, 3, 4]
    """
    return steps.bit_length()


@torch.no_grad()
def calibrated_scales(network: Network, task: Task, train: Data, bits: int) -> dict[str, float]:
    """Return the scale of each synapse's input by name; none of the first, and of those that read values below 0."""
    read: dict[str, Tensor] = {}

    def listen(name: str) -> Callable[[nn.Module, tuple[Signal]], None]:
        def hook(module: nn.Module, args: tuple[Signal]) -> None:
            read[name] = args[0].values.flatten()

        return hook

    hooks = [module.register_forward_pre_hook(listen(name)) for name, module in _synapses(network)]
    network.eval()
    run_calibration(network, task, train)
    for handle in hooks:
        handle.remove()
    behind = list(read.items())[1:]  # in the order of the calls
    return {name: best_scale(values, bits) for name, values in behind if values.min() >= 0}


def _synapses(network: Network) -> Iterator[tuple[str, Synapse]]:
    return ((name, module) for name, module in network.named_modules() if isinstance(module, Synapse))


def best_scale(values: Tensor, bits: int) -> float:
    """Return the scale with the least squared error of rounding, of 40 that clip from nearly all values to none.

    Args:
        values: at least 0, ``(N,)``; of very many, 100,000 evenly spaced ones count.
        bits: width of the rounded numbers.
    """
    values = values[:: max(1, len(values) // _CALIBRATION_VALUES)]
    largest, top = float(values.max()), 2**bits - 1
    if largest == 0:
        return 1.0
    scales: list[float] = [largest * part / _CLIPPINGS / top for part in range(1, _CLIPPINGS + 1)]
    return min(scales, key=lambda scale: float((rounded(values, scale, bits) - values).square().mean()))


def rounded(x: Tensor, scale: float, bits: int) -> Tensor:
    """Return ``scale * clamp(round(x / scale), 0, 2^bits - 1)``; its derivative is 1 where nothing is clamped, else 0.

    Args:
        x: any shape.
        scale: distance of neighbouring values.
        bits: width of the numbers.

    Example:
        >>> rounded(torch.tensor([-1.0, 0.4, 0.6, 9.0]), scale=1.0, bits=2)
        tensor([0., 0., 1., 3.])
    """
    top = 2**bits - 1
    values = (x / scale).round().clamp(0, top) * scale
    if not torch.is_grad_enabled():
        return values
    clamped = x.clamp(0, top * scale)
    return clamped + (values - clamped).detach()


@contextmanager
def rounding(network: Network, scales: Mapping[str, float], bits: int) -> Iterator[None]:
    """Round the inputs of synapses inside the context.

    Args:
        network: the network.
        scales: by the names of the synapses.
        bits: width of the rounded numbers.
    """

    def reading(scale: float) -> Callable[[nn.Module, tuple[Signal]], tuple[Signal]]:
        def hook(module: nn.Module, args: tuple[Signal]) -> tuple[Signal]:
            assert args[0].kind is Kind.ANALOG and args[0].coefficient is None
            return (args[0].with_values(rounded(args[0].values, scale, bits)),)

        return hook

    chosen = [(module, scales[name]) for name, module in _synapses(network) if name in scales]
    hooks = [module.register_forward_pre_hook(reading(scale)) for module, scale in chosen]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def bit_energy_nj(counts: Counts, model: EnergyModel, bits: int, layers: Collection[str]) -> dict[str, float]:
    """Return the energy of each layer in nanojoules per sample, where some multiply numbers of few bits.

    Args:
        counts: of the network.
        model: what prices them.
        bits: width of the numbers that ``layers`` multiply.
        layers: names of these layers.
    """
    names = set(layers)
    serial = [_bit_serial(one, bits) if one.layer.partition("#")[0] in names else one for one in counts.layers]
    full, by_bit = model.charged_nj(counts), model.charged_nj(replace(counts, layers=tuple(serial)))
    return {name: min(energy, by_bit[name]) for name, energy in full.items()}


def _bit_serial(layer: LayerCount, bits: int) -> LayerCount:
    """Return the counts of a layer that reads numbers digit by digit, as it would spikes."""
    traffic = None if layer.traffic is None else layer.traffic * bits
    return replace(
        layer, sops=bits * layer.macs, macs=0, macs_every_step=0, events=bits * layer.events, traffic=traffic
    )
