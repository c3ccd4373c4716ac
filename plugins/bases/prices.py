"""Prices of operations on a technology: data, each set with its source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Profile:
    """Prices of operations on one technology, in picojoules. Prices of two profiles never go into one number.

    Attributes:
        technology: process, voltage and number format.
        source: paper and year, and how we know the numbers.
        measured: whether the prices were measured on silicon.
        add_pj: an addition; on a spiking chip, a synaptic operation.
        multiply_pj: a multiplication.
        shift_pj: a multiplication by a power of two.
        access_pj: a read or write of an empty memory; 0 where memory is not priced by itself.
        access_pj_per_bit: what each bit that the memory holds adds to that.
        word_bits: width of a word in memory.
        idle_update_pj: a neuron's update at a step without a spike; 0 where its operations are priced one by one.
        active_update_pj: its update at a step with a spike.
    """

    technology: str
    source: str
    measured: bool
    add_pj: float
    multiply_pj: float
    shift_pj: float = 0.0
    access_pj: float = 0.0
    access_pj_per_bit: float = 0.0
    word_bits: int = 32
    idle_update_pj: float = 0.0
    active_update_pj: float = 0.0

    @property
    def mac_pj(self) -> float:
        """Price of a multiply-accumulate made of a multiplication and an addition."""
        return self.multiply_pj + self.add_pj


FLOAT32_45NM: Final = Profile(
    technology="45 nm, 0.9 V, float32",
    source="Horowitz, ISSCC 2014",
    measured=False,
    add_pj=0.9,
    multiply_pj=3.7,
    shift_pj=0.03,  # a float times 2^k is an addition of 8 bits to its exponent; this is that of an 8-bit integer
)

INT32_45NM: Final = Profile(
    technology="45 nm, 0.9 V, int32, on-chip SRAM",
    source="Lemaire et al., ICONIP 2022, after Horowitz, ISSCC 2014",
    measured=False,
    add_pj=0.1,
    multiply_pj=3.1,
    shift_pj=0.1,  # that of an addition, for want of one of a shifter's own in the source
    access_pj=13.2,
    access_pj_per_bit=1.09e-5,
    word_bits=32,
)

LOIHI_1: Final = Profile(
    technology="Intel Loihi 1, 14 nm, 0.75 V",
    source="Davies et al., IEEE Micro 2018, quoted second-hand; 23.6 pJ is disputed; multiplications reconstructed",
    measured=False,
    add_pj=23.6,
    multiply_pj=8 * 23.6,  # reconstructed: an 8-bit value arrives as eight binary digits, all of them set
    idle_update_pj=52.0,
    active_update_pj=81.0,
)
