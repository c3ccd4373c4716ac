"""The contracts of a plugin: subclass one, give it a name and a config, register it. Those of tasks are in ``tasking``.

Time is the leading axis everywhere: activations are ``(T, B, ...)``. No module keeps state between calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from spikefront.plugins.layers import Counted
from spikefront.plugins.operations import Counts, Operations
from spikefront.plugins.signal import Kind, Signal
from spikefront.plugins.surrogates import Surrogate
from spikefront.searchspace import Domain, Int, Value, validate

InputKind = Literal["static", "events"]
OutputKind = Literal["values", "images"]
Layout = Literal["images", "features"]


@dataclass(frozen=True, slots=True)
class NoConfig:
    """The config of a plugin without hyperparameters."""


class Plugin:
    """What all plugins share.

    Attributes:
        name: what users call it; lower case, words joined by ``-``.
        Config: its hyperparameters, a frozen dataclass of ``Annotated[type, domain] = default`` fields.
    """

    name: ClassVar[str]
    Config: ClassVar[type] = NoConfig
    config: Any

    def _configure(self, config: Any) -> None:
        self.config = config if config is not None else self.Config()
        validate(self.config, self.name)


@dataclass(frozen=True, slots=True)
class SiteInfo:
    """Where a spiking layer sits.

    Attributes:
        index: number of the site, from 0 at the input.
        stage: number of the stage (what lies between two poolings), from 0.
        channels: channels, or features, of its neurons.
        size: height and width of its maps; ``(1, 1)`` for a fully connected layer.
        last_of_stage: whether a pooling, a next stage or the read-out follows.
        stages: stages of the whole network.
    """

    index: int
    stage: int
    channels: int
    size: tuple[int, int]
    last_of_stage: bool
    stages: int = 1


class Sites(Protocol):
    """Makes spiking sites. A backbone calls it wherever a neuron belongs, in the order of the forward pass."""

    def __call__(
        self, channels: int, size: tuple[int, int] = (1, 1), *, stage: int = 0, last_of_stage: bool = False
    ) -> nn.Module: ...


class Between(Counted):
    """A coding's module behind one spiking layer. It may own parameters."""

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        """Transform what the layer emits.

        Args:
            spikes: what the neurons emitted, ``(T, B, ...)``.
            current: the current that drove them, ``(T, B, ...)``; time axis 1 when constant.
        """
        raise TypeError(f"{type(self).__name__} must define forward(spikes, current)")

    def penalty(self) -> Tensor | float:
        """Return the regularisation term that this module adds to the loss."""
        return 0.0


class Coding(Plugin, nn.Module):
    """How an input becomes spikes over time, what spikes are worth, and how they become an output.

    Overrides any of ``encode``, ``between``, ``decode``, ``penalty``. The defaults are direct coding: the input is
    constant, spikes are plain, the output is averaged over time.

    Attributes:
        steps: numbers of time steps T over which it is searched.
        inputs: task input kinds that it takes.
        neurons: names of the neurons that it needs; None for any.
        requires: domains that other parts' hyperparameters are held to, by a pattern of their flat name, such as
            ``backbone.*.pool``.
        published: settings that publications used with it, as parts of flat candidates; a search tries them early.
        trained_by: ``bptt``: the spiking network is trained by backpropagation through time; ``conversion``: an ANN is
            trained and turned into it (``spikefront.plugins.conversion``).

    Args:
        config: its ``Config``, or None for the defaults.
        steps: number of time steps T.
    """

    steps: ClassVar[Int] = Int(1, 8)
    inputs: ClassVar[frozenset[InputKind]] = frozenset({"static"})
    neurons: ClassVar[frozenset[str] | None] = None
    requires: ClassVar[Mapping[str, Domain]] = {}
    published: ClassVar[Sequence[Mapping[str, Value]]] = ()
    trained_by: ClassVar[Literal["bptt", "conversion"]] = "bptt"

    def __init__(self, config: Any = None, *, steps: int) -> None:
        nn.Module.__init__(self)
        self._configure(config)
        self.time_steps = steps

    @classmethod
    def domains(cls, steps: int) -> Mapping[str, Domain]:
        """Return the hyperparameter domains that are tighter at this T, by field name."""
        return {}

    def bind(self, neuron: Neuron) -> None:
        """Meet the kind of neuron that the network is made of; called once, before any site exists."""

    def encoded_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one encoded input at one step, for inputs of ``shape``."""
        return shape

    def encode(self, x: Tensor) -> Signal:
        """Turn a batch of inputs into a signal.

        Args:
            x: ``(B, ...)``, scaled to [0, 1].

        Returns:
            Values ``(T, B, ...)`` or, if constant over time, ``(1, B, ...)``.
        """
        return Signal(x.unsqueeze(0), self.time_steps, Kind.ANALOG)

    def encode_events(self, frames: Tensor) -> Signal:
        """Turn a batch of event frames into a signal; the default passes them on.

        Args:
            frames: numbers of events ``(T, B, ...)``, whole and not negative.

        Returns:
            Values ``(T, B, ...)``; events that fall on one pixel and step are each an accumulate per synapse.
        """
        return Signal(frames, self.time_steps, Kind.COUNT)

    def between(self, site: SiteInfo) -> Between | None:
        """Return the module to put behind a spiking site, or None. Called once for each site, in their order."""
        return None

    def decode(self, output: Signal) -> Tensor:
        """Turn the network's output ``(T, B, K)`` into one value per output, ``(B, K)``."""
        return output.decoded().mean(0)

    def decode_operations(self, output: Signal) -> Operations:
        """Return the operations of one ``decode``; the default sums over time what the coefficient has weighted."""
        return Operations(output.values.numel(), output.weighted_steps() * output.values[0].numel())

    def penalty(self) -> Tensor | float:
        """Return the regularisation term of the coding's own parameters."""
        return 0.0

    def metrics(self) -> Mapping[str, float]:
        """Return what to log of the coding after each epoch, by a name that starts with the coding's."""
        return {}

    def latency_steps(self, delay: int) -> int:
        """Return the time steps from the first input to the decoded output, which lags by ``delay`` steps."""
        return self.time_steps + delay


class Neuron(Plugin, nn.Module):
    """A spiking neuron: currents ``(T, B, ...)`` to spikes ``(T, B, ...)``, all steps in one call.

    Attributes:
        kind: what it emits.

    Args:
        config: its ``Config``, or None for the defaults.
        surrogate: derivative that stands in for the step function's.
    """

    kind: ClassVar[Kind] = Kind.BINARY

    def __init__(self, config: Any = None, *, surrogate: Surrogate) -> None:
        nn.Module.__init__(self)
        self._configure(config)
        self.surrogate = surrogate

    def forward(self, current: Tensor, steps: int) -> Tensor:
        """Return the spikes.

        Args:
            current: ``(T, B, ...)``, or ``(1, B, ...)`` for a current that is the same at every step.
            steps: number of time steps T.

        Returns:
            Spikes ``(T, B, ...)``, with the memory layout of ``current``.
        """
        raise TypeError(f"{type(self).__name__} must define forward(current, steps)")

    @property
    def delay(self) -> int:
        """Steps by which a spike lags the current that it answers to; spikes are returned aligned all the same."""
        return 0

    def step_weights(self, steps: int, like: Tensor) -> Tensor | None:
        """Return what a spike of each step is worth, ``(T,)`` in the dtype of ``like``; None for 1 at every step."""
        return None

    def update_operations(self) -> Operations:
        """Return the operations of one neuron in one time step, whether it fires or not.

        A neuron with a delay is charged for its further steps too.
        """
        raise TypeError(f"{type(self).__name__} must define update_operations()")

    def spike_operations(self) -> Operations:
        """Return the operations of one spike, such as the subtraction of a soft reset."""
        return Operations()


class Backbone(Plugin, nn.Module):
    """A network of synapses and sites, from a ``Signal`` to a ``Signal`` ``(T, B, outputs)``.

    It never names a neuron or a coding. ``__init__`` assigns ``self.layers``.

    Attributes:
        convertible: whether, with rectifiers for neurons, it is an ANN that can be converted: its sites and synapses
            are all that is not linear in it.
        output: ``values``: any number of outputs; ``images``: it generates, and has ``sample`` too.
        layouts: the layouts of inputs that it takes, see ``Task``; many need images.

    Args:
        config: its ``Config``, or None for the defaults.
        input_shape: shape of one input at one step, for example ``(1, 8, 8)``, or ``(10,)`` of features.
        outputs: number of outputs.
        sites: call it wherever a spiking layer belongs.

    Raises:
        UsageError: when the input is too small for the network.
    """

    convertible: ClassVar[bool] = True
    output: ClassVar[OutputKind] = "values"
    layouts: ClassVar[frozenset[Layout]] = frozenset({"images"})
    layers: nn.Module

    def __init__(self, config: Any = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites) -> None:
        nn.Module.__init__(self)
        self._configure(config)

    def forward(self, signal: Signal) -> Signal:
        """Return the output signal, ``(T, B, outputs)``."""
        out: Signal = self.layers(signal)
        return out

    def penalty(self) -> Tensor | float:
        """Return the term that the last forward pass adds to the loss, such as that of a latent distribution."""
        return 0.0

    def sample(self, count: int, steps: int, device: torch.device) -> Signal:
        """Return the output signal of ``count`` random latents, ``(T, count, outputs)``; only of one that generates."""
        raise TypeError(f"{type(self).__name__} makes {self.output}; one that makes images must define sample()")


class EnergyModel(Plugin):
    """Prices operation counts.

    Attributes:
        technology: process and voltage that the prices hold for.
        source: where the prices come from.
    """

    technology: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    def layer_energy_nj(self, counts: Counts) -> dict[str, float]:
        """Return the energy of each layer in nanojoules per sample, by layer name."""
        raise TypeError(f"{type(self).__name__} must define layer_energy_nj(counts)")

    def energy_nj(self, counts: Counts) -> float:
        """Return the energy of the whole network in nanojoules per sample."""
        return sum(self.layer_energy_nj(counts).values())
