"""Three small networks whose weights and inputs are given by formulas, for us and for NeuroBench's harness to measure.

Weights and inputs are multiples of 1/8 and 1/4, and no potential can be at the threshold, so that both compute the same
spikes whatever the order of their sums.
"""

from __future__ import annotations

from typing import Any, Final

from tests.plugins.energy.peer_nets import Layer, sequence, set_weights
from tests.runners.judging.test_counting import Chain, Given
from torch import Tensor, nn

from spikefront.plugins import AvgPool, Flatten, Kind, Site, SiteInfo, Synapse
from spikefront.plugins.contracts.recurrent import Recurrent
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.runners.judging.network import Network

STEPS: Final = 4
SAMPLES: Final = 3
THRESHOLD: Final = 1 + 2**-10
KEEP: Final = 0.5

NETS: Final[dict[str, tuple[Layer, ...]]] = {
    "mlp": (("linear", 12, 16), ("lif",), ("linear", 16, 4)),
    "convnet": (
        ("conv", 1, 4, 1, 1),
        ("lif",),
        ("pool",),
        ("conv", 4, 8, 1, 1),
        ("lif",),
        ("flatten",),
        ("linear", 72, 4),
    ),
    "recurrent": (("linear", 3, 16), ("recurrent", 16, 16), ("linear", 16, 4)),
}
"""As ``peer_nets`` has them; pooling is average pooling, and a recurrent layer is of LIF neurons."""


def inputs(name: str) -> Tensor:
    """Return what a network gets: spikes, a constant image, or an analog sequence, ``(T or 1, B, ...)``."""
    match name:
        case "mlp":
            return (sequence((STEPS, SAMPLES, 12), 10, 0) < 4).float()
        case "convnet":
            return sequence((1, SAMPLES, 1, 6, 6), 7, 0) / 4
    return sequence((STEPS, SAMPLES, 3), 9, 2) / 4


def feedback(channels: int) -> Tensor:
    """Return the weights of a recurrent layer."""
    return sequence((channels, channels), 7, 3) / 8


def lif() -> LIF:
    config = LIFConfig(tau=1 / (1 - KEEP), threshold=THRESHOLD, reset="hard", decay_input=False)
    return LIF(config, surrogate=ATan())


def site(neuron: Any) -> Site:
    """Return a spiking layer."""
    return Site(SiteInfo(0, 0, 1, (1, 1), True), neuron, None)


def recurrent(channels: int) -> Site:
    layer = Recurrent(lif(), channels)
    layer.feedback.weight.weight.data = feedback(channels)
    return site(layer)


def built(one: tuple[Any, ...]) -> Any:
    """Return one of our layers."""
    match one:
        case ("conv", inside, outside, stride, bias):
            conv = nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=bool(bias))
            set_weights(conv)
            return Synapse(conv)
        case ("linear", inside, outside):
            linear = nn.Linear(inside, outside)
            set_weights(linear)
            return Synapse(linear)
        case ("recurrent", channels, _):
            return recurrent(channels)
        case ("pool",):
            return AvgPool(2)
        case ("flatten",):
            return Flatten()
    return site(lif())


def network(name: str) -> Network:
    """Return one of the nets, as we have them."""
    kind = Kind.BINARY if name == "mlp" else Kind.ANALOG
    return Network(Given(inputs(name), kind, steps=STEPS), Chain(*map(built, NETS[name]))).eval()
