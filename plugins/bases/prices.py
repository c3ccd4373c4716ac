"""Prices of operations on a technology: data, each set with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Evidence = Literal["measured", "simulated", "proxy"]
"""What stands behind prices: measurements of a chip that they were fitted to or compared with, a simulation or estimate
of circuits, or a stand-in for want of either."""
Storage = Literal["dense", "sparse", "conv"]
"""How a core stores the weights of a layer."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Prices of operations on one technology, in picojoules. Prices of two profiles never go into one number.

    Attributes:
        technology: process, voltage and number format.
        source: paper and year, and how we know the numbers.
        evidence: what stands behind the prices.
        leaves_out: what a real device also pays for.
        add_pj: an addition.
        multiply_pj: a multiplication.
        shift_pj: a multiplication by a power of two.
        access_pj: a read or write of an empty memory; 0 where memory is not priced by itself.
        access_pj_per_bit: what each bit that the memory holds adds to that.
        word_bits: width of a word in memory.
    """

    technology: str
    source: str
    evidence: Evidence
    leaves_out: str
    add_pj: float
    multiply_pj: float
    shift_pj: float = 0.0
    access_pj: float = 0.0
    access_pj_per_bit: float = 0.0
    word_bits: int = 32

    @property
    def mac_pj(self) -> float:
        """Price of a multiply-accumulate made of a multiplication and an addition."""
        return self.multiply_pj + self.add_pj


FLOAT32_45NM: Final = Profile(
    technology="45 nm, 0.9 V, float32",
    source="Horowitz, ISSCC 2014",
    evidence="simulated",
    leaves_out="memory, communication, leakage",
    add_pj=0.9,
    multiply_pj=3.7,
    shift_pj=0.03,  # a float times 2^k is an addition of 8 bits to its exponent; this is that of an 8-bit integer
)

INT32_45NM: Final = Profile(
    technology="45 nm, 0.9 V, int32, on-chip SRAM",
    source="Lemaire et al., ICONIP 2022, after Horowitz, ISSCC 2014",
    evidence="simulated",
    leaves_out="DRAM, communication, leakage, the memory of attention, of sums and of the read-out",
    add_pj=0.1,
    multiply_pj=3.1,
    shift_pj=0.1,  # that of an addition, for want of one of a shifter's own in the source
    access_pj=13.2,
    access_pj_per_bit=1.09e-5,
    word_bits=32,
)


@dataclass(frozen=True, slots=True)
class Price:
    """What one event on a chip costs: picojoules, and nanoseconds of the core that it keeps busy."""

    pj: float
    ns: float


@dataclass(frozen=True, slots=True)
class ChipProfile:
    """Prices and layout of a chip of spiking cores, whose tiles form a mesh.

    Attributes:
        technology: process and voltage.
        source: paper and year, and how we know the numbers.
        evidence: what stands behind the prices.
        leaves_out: what a real device also pays for.
        access: a look at one neuron, at every step.
        update: computation of its next potential, where one is due.
        spike: a spike that leaves it.
        message: a spike on its way to one core; the nanoseconds are the sender's.
        received_ns: what the core that receives a message is busy with it.
        synapse: a synapse that a message reaches, by its ``Storage``.
        hop: a message's way from a tile to the next, in x and y; messages travel beside the cores.
        barrier_ns: the wait for all tiles at the end of a step, by the least number of tiles in use.
        neurons_per_core: neurons that a core holds.
        cores_per_tile: cores of one tile.
        columns: tiles of the mesh in x.
        rows: tiles in y; a column is filled first.
    """

    technology: str
    source: str
    evidence: Evidence
    leaves_out: str
    access: Price
    update: Price
    spike: Price
    message: Price
    received_ns: float
    synapse: Mapping[str, Price]
    hop: tuple[Price, Price]
    barrier_ns: Mapping[int, float]
    neurons_per_core: int
    cores_per_tile: int
    columns: int
    rows: int

    @property
    def cores(self) -> int:
        """Cores of one chip."""
        return self.cores_per_tile * self.columns * self.rows

    def tiles(self, cores: int) -> int:
        """Return how many tiles ``cores`` cores take, filled one after the other."""
        return -(-cores // self.cores_per_tile)

    def barrier(self, tiles: int) -> float:
        """Return the nanoseconds of the wait at the end of a step with ``tiles`` tiles in use."""
        return max((ns for least, ns in self.barrier_ns.items() if tiles >= least), default=0.0)

    def hops(self, source: int, target: int) -> tuple[int, int]:
        """Return a message's hops in x and y between two cores, by number; none between two chips."""
        if source // self.cores != target // self.cores:
            return 0, 0
        ends = [core % self.cores // self.cores_per_tile for core in (source, target)]
        (x, y), (to_x, to_y) = (divmod(tile, self.rows) for tile in ends)
        return abs(x - to_x), abs(y - to_y)


LOIHI_1: Final = ChipProfile(
    technology="Intel Loihi 1, 14 nm",
    source="Davies et al., IEEE Micro 2018 (SPICE), as in SANA-FE (Boyle et al., IEEE TCAD 2025), which they found "
    "within 12 % (energy) and 25 % (time) of the chip",
    evidence="simulated",
    leaves_out="static power, the host (analog input, encoders, decoding), input, output, learning, hops between chips",
    access=Price(51.2, 6.0),
    update=Price(21.6, 3.7),
    spike=Price(69.3, 30.0),
    message=Price(111.0, 5.1),
    received_ns=16.0,
    synapse={"dense": Price(35.5, 3.8), "sparse": Price(33.6, 4.7), "conv": Price(24.0, 3.1)},
    hop=(Price(3.0, 4.1), Price(4.2, 6.5)),
    barrier_ns={1: 600.0, 2: 1000.0, 4: 1400.0, 29: 1800.0},
    neurons_per_core=1024,
    cores_per_tile=4,
    columns=8,
    rows=4,
)
