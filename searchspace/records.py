"""Records that runners write and results read: energy by layer, repeats under further seeds, ANN twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["wins", "loses", "trades", "undecided", "none"]
"""How a spiking network compares with its twins; ``none`` where it can't have any."""


@dataclass(frozen=True, slots=True)
class LayerEnergy:
    """One layer, per sample, summed over the time steps.

    Attributes:
        layer: the module's name in the network.
        role: what the layer is: encoder, synapse, neuron, attention, residual or readout.
        sops: accumulates.
        macs: multiply-accumulates; a constant input is charged once.
        adds: additions besides.
        multiplies: multiplications besides.
        events: non-zero inputs of a synapse, or spikes emitted by a neuron.
        sites: values that an event could have stood on: inputs or neurons, times steps.
        energy_nj: energy in nanojoules.
        silent_nj: the same had no neuron of the network spiked.
        shifts: multiplications by powers of two; 0 where an earlier version did not tell them from the others.
        biases: additions of biases that do not fold into neurons; 0 where an earlier version did not count them.
    """

    layer: str
    role: str
    sops: float
    macs: float
    adds: float
    multiplies: float
    events: float
    sites: float
    energy_nj: float
    silent_nj: float
    shifts: float = 0.0
    biases: float = 0.0


@dataclass(frozen=True, slots=True)
class Repeat:
    """One training of a member of a front, or another candidate, under a further seed.

    Attributes:
        trial: name of the member: of its trial, or of the point of one.
        seed: the seed.
        metrics: on the split that it was measured on; empty where it failed.
        reason: why it failed; empty where it did not.
        right: whether each sample of the split was classified correctly; empty where that is not known.
    """

    trial: str
    seed: int
    metrics: Mapping[str, float]
    reason: str = ""
    right: Sequence[bool] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """A metric over seeds.

    Attributes:
        seeds: number of seeds.
        mean: mean.
        sd: sample standard deviation; NaN of one seed.
        low: lower end of the 95 % interval of the mean; NaN of one seed.
        high: its upper end.
    """

    seeds: int
    mean: float
    sd: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class TwinResult:
    """A twin after training.

    Attributes:
        quality: on the split that it was measured on.
        energy_nj: per sample.
        macs: multiply-accumulates of non-zero inputs, per sample.
    """

    quality: float
    energy_nj: float
    macs: float


@dataclass(frozen=True, slots=True)
class TwinPair:
    """Both twins of a candidate.

    Attributes:
        ann: at full precision.
        quantised: with activations of ``bits`` bits.
        bits: width of these activations.
    """

    ann: TwinResult
    quantised: TwinResult
    bits: int
