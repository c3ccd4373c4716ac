"""Direct coding: the analog input drives the first layer at every step, and that layer's neurons make the spikes.

The input is constant, so the first synapse is computed once instead of T times; the op counter charges it once and
reports the T-times convention beside it. Frames of an event camera are passed on as they are: the events of a pixel and
step arrive together, an accumulate each. A sequence drives the first layer with each of its points in turn, which its
synapses multiply at every step.

Reference: Rueckauer et al., "Conversion of continuous-valued deep networks to efficient event-driven networks for image
classification", Frontiers in Neuroscience 11 (2017).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from spikefront.plugins import Coding, hookimpl
from spikefront.plugins.bases.decoding import Decoding, DecodingConfig
from spikefront.searchspace import Int


@dataclass(frozen=True, slots=True)
class DirectConfig(DecodingConfig):
    """Hyperparameters of direct coding: those of its read-out."""


class Direct(Decoding):
    """Constant analog input; the first spiking layer encodes it."""

    name = "direct"
    Config = DirectConfig
    config: DirectConfig
    step_range = Int(1, 8)
    inputs = frozenset({"static", "events", "sequences", "spikes"})


@hookimpl
def register_codings(register: Callable[[type[Coding]], None]) -> None:
    register(Direct)
