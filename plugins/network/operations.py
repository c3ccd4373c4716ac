"""Operation counts: what a network did on a measuring batch, before any energy model prices it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from spikefront.plugins.network.traffic import Timing, Traffic

Role = Literal["encoder", "synapse", "neuron", "attention", "residual", "readout"]


@dataclass(frozen=True, slots=True)
class Operations:
    """Elementary operations.

    Attributes:
        adds: additions; a comparison or a subtraction counts as one.
        multiplies: multiplications.
        shifts: multiplications by a power of two that is known at deployment; see ``product_by``.
    """

    adds: float = 0.0
    multiplies: float = 0.0
    shifts: float = 0.0

    def __mul__(self, times: float) -> Operations:
        return Operations(self.adds * times, self.multiplies * times, self.shifts * times)

    def __add__(self, other: Operations) -> Operations:
        return Operations(self.adds + other.adds, self.multiplies + other.multiplies, self.shifts + other.shifts)


def is_power_of_two(factor: float) -> bool:
    """Return whether a number is exactly ``+-2^k``, k being any integer."""
    return math.isfinite(factor) and abs(math.frexp(factor)[0]) == 0.5


def product_by(factor: float) -> Operations:
    """Return the operations of one product with a number that is known at deployment.

    One rule for all codings, neurons and read-outs: by 0, 1 or -1 it is free (a sign goes into the addition behind); by
    ``+-2^k`` it is a shift; by ``1 - 2^-k`` with k > 1, such as the leak of tau = 4, 8, ..., a shift and an addition;
    by any other number a multiplication, however near to a power of two it is.

    Example:
        >>> product_by(0.5), product_by(0.75).adds, product_by(0.5001).multiplies
        (Operations(adds=0.0, multiplies=0.0, shifts=1.0), 1.0, 1.0)
    """
    if factor in (0, 1, -1):
        return Operations()
    if is_power_of_two(factor):
        return Operations(shifts=1.0)
    if 0.5 < factor < 1 and is_power_of_two(1 - factor):
        return Operations(adds=1.0, shifts=1.0)
    return Operations(multiplies=1.0)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size of a synapse, for energy models that price memory.

    Attributes:
        inputs: values that enter it, per sample and step.
        outputs: values that leave it, per sample and step: the neurons behind.
        channels: output channels; ``outputs`` for a fully connected layer.
        kernel: height and width of the kernel; None for a fully connected layer.
        stride: distance of neighbouring windows.
        weights: words that its weights take.
        biased: whether a bias is added, a folded batch norm's included.
    """

    inputs: int
    outputs: int
    channels: int
    weights: int
    kernel: tuple[int, int] | None = None
    stride: tuple[int, int] = (1, 1)
    biased: bool = False


@dataclass(frozen=True, slots=True)
class LayerCount:
    """Operations of one layer, summed over the time steps and the samples of the measuring batch.

    Attributes:
        layer: the module's name in the network.
        role: what the layer is.
        sops: synaptic operations: accumulates, one for each event and synapse it reaches (edges and stride respected).
        macs: multiply-accumulates of non-zero analog inputs; a constant input is charged once.
        macs_every_step: the same when a constant input is charged T times, the convention of much of the literature.
        operations: operations besides: encoder, neuron updates, coefficients, attention, read-out.
        events: events into a synapse, or spikes emitted by a neuron; a count of n is n of them.
        sites: values an event could have stood on: inputs of a synapse or neurons, times steps and samples.
        geometry: size of a synapse; None for other layers.
        active: of a neuron, the ``sites`` at which it fired, once or more; None for as many as ``events``.
        biases: of a synapse, additions of biases that do not fold into the threshold and reset of the neurons behind.
        traffic: what it does on a chip of spiking cores; None where that was not counted, and for layers that have no
            place on one.
    """

    layer: str
    role: Role
    sops: int = 0
    macs: int = 0
    macs_every_step: int = 0
    operations: Operations = Operations()
    events: int = 0
    sites: int = 0
    geometry: Geometry | None = None
    active: int | None = None
    biases: int = 0
    traffic: Traffic | None = None

    @property
    def active_sites(self) -> int:
        """The ``sites`` at which a neuron fired."""
        return self.events if self.active is None else self.active

    def __add__(self, other: LayerCount) -> LayerCount:
        """Return the counts of one layer on both of two batches."""
        return replace(
            self,
            sops=self.sops + other.sops,
            macs=self.macs + other.macs,
            macs_every_step=self.macs_every_step + other.macs_every_step,
            operations=self.operations + other.operations,
            events=self.events + other.events,
            sites=self.sites + other.sites,
            biases=self.biases + other.biases,
            active=None if self.active is other.active is None else self.active_sites + other.active_sites,
            traffic=None if self.traffic is None or other.traffic is None else self.traffic + other.traffic,
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Operations of a network on ``samples`` inputs of ``steps`` time steps, layer by layer.

    Attributes:
        delay: steps by which the output lags the input, through the silent periods of the neurons on the way.
        timing: how long a chip of spiking cores takes for them; None where that was not counted.
    """

    samples: int
    steps: int
    layers: tuple[LayerCount, ...]
    delay: int = 0
    timing: Timing | None = None

    @property
    def sops(self) -> float:
        """Synaptic operations (accumulates) per sample."""
        return sum(layer.sops for layer in self.layers) / self.samples

    @property
    def macs(self) -> float:
        """Multiply-accumulates per sample; a constant input charged once."""
        return sum(layer.macs for layer in self.layers) / self.samples

    @property
    def macs_every_step(self) -> float:
        """Multiply-accumulates per sample; a constant input charged at every step."""
        return sum(layer.macs_every_step for layer in self.layers) / self.samples

    @property
    def spike_rate(self) -> float:
        """Spikes per neuron and time step, averaged over all spiking neurons; above 1 only for neurons of counts."""
        return _rate(layer for layer in self.layers if layer.role == "neuron")

    @property
    def layer_rates(self) -> dict[str, float]:
        """Spikes per neuron and time step of each spiking layer."""
        return {layer.layer: _rate([layer]) for layer in self.layers if layer.role == "neuron"}

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both batches, which the same network has seen."""
        layers = zip(self.layers, other.layers, strict=True)
        return replace(
            self,
            samples=self.samples + other.samples,
            layers=tuple(one + more for one, more in layers),
            timing=None if self.timing is None or other.timing is None else self.timing + other.timing,
        )

    def to_dict(self) -> dict[str, object]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Counts:
        """Read what ``to_dict`` returned, by a version that counted less or more: the rest stays at its default."""
        layers = []
        for layer in plain["layers"]:
            geometry = layer.get("geometry")
            if geometry is not None:
                pairs = {name: tuple(pair) for name, pair in geometry.items() if isinstance(pair, list | tuple)}
                geometry = _known(Geometry, {**geometry, **pairs})
            parts = {"operations": _known(Operations, layer.get("operations", {})), "geometry": geometry}
            parts["traffic"] = _known(Traffic, layer.get("traffic"))
            layers.append(_known(LayerCount, {**layer, **parts}))
        found: Counts = _known(cls, {**plain, "layers": tuple(layers), "timing": _known(Timing, plain.get("timing"))})
        return found


def _known(record: Any, plain: Mapping[str, Any] | None) -> Any:
    """Return a record made of those values that it has a field for; None for None."""
    return None if plain is None else record(**{f.name: plain[f.name] for f in fields(record) if f.name in plain})


def _rate(layers: Iterable[LayerCount]) -> float:
    pairs = [(layer.events, layer.sites) for layer in layers]
    sites = sum(site for _, site in pairs)
    return sum(event for event, _ in pairs) / sites if sites else 0.0
