"""The contract of a coding scheme."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal

from torch import Tensor, nn

from spikefront.plugins.contracts.neuron import Neuron
from spikefront.plugins.contracts.plugin import InputKind, Plugin
from spikefront.plugins.contracts.site import Between, SiteInfo
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Kind, Signal
from spikefront.searchspace import Domain, Int, UsageError, Value

_SHAPES_PREFIXES: Final = (
    "encode",
    "encode_events",
    "encode_sequences",
    "encode_operations",
    "between",
    "decode",
    "decode_operations",
    "latency_steps",
)
"""Methods on which it depends whether the first steps of an output are worth anything."""


class Coding(Plugin, nn.Module):
    """A coding scheme: from an input to spikes over time, their weights, and from spikes to an output.

    Overrides any of ``encode``, ``between``, ``decode``, ``penalty``. The defaults are direct coding: the input is
    constant, spikes are plain, the output is averaged over time.

    Attributes:
        step_range: numbers of time steps T over which it is searched.
        open_steps: further numbers of time steps, for a user who names them one by one (``--set steps=20``), and for
            ``published``; None for no further ones.
        steps: number of time steps T of this instance.
        inputs: task input kinds that it takes.
        longest: the most time steps T of a network on sequences or spikes, where T is a multiple of their length.
        neurons: names of the neurons that it needs; None for any.
        requires: domains that other parts' hyperparameters are held to, by a pattern of their flat name, such as
            ``backbone.*.pool``.
        free_encoder: why encoding costs nothing, for a coding that makes spikes and states no ``encode_operations``.
        published: settings of its publication and of the code released with it, as parts of flat candidates with their
            task, pinned hyperparameters included; ``--priors`` tries them first, exactly as they are.
        starting_points: the same where no publication has them: guesses, and published settings at another size.
        source: what ``published`` and ``starting_points`` are taken from: paper, year, and commit of the code.
        trained_by: ``bptt``: the spiking network is trained by backpropagation through time; ``conversion``: an ANN is
            trained and turned into it (``spikefront.plugins.bases.conversion``).

    Args:
        config: its ``Config``, or None for the defaults.
        steps: number of time steps T.
    """

    step_range: ClassVar[Int] = Int(1, 8)
    open_steps: ClassVar[Int | None] = None
    steps: int
    inputs: ClassVar[frozenset[InputKind]] = frozenset({"static"})
    longest: ClassVar[int] = 1024
    neurons: ClassVar[frozenset[str] | None] = None
    requires: ClassVar[Mapping[str, Domain]] = {}
    free_encoder: ClassVar[str] = ""
    published: ClassVar[Sequence[Mapping[str, Value]]] = ()
    starting_points: ClassVar[Sequence[Mapping[str, Value]]] = ()
    source: ClassVar[str] = ""
    trained_by: ClassVar[Literal["bptt", "conversion"]] = "bptt"

    def __init__(self, config: Any = None, *, steps: int) -> None:
        nn.Module.__init__(self)
        self._configure(config)
        self.steps = steps

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if isinstance(domain := vars(cls).get("steps"), Int):
            warnings.warn(
                f"{cls.__qualname__}.steps = {domain} now reads step_range; steps is the number of a coding",
                DeprecationWarning,
                stacklevel=2,
            )
            cls.step_range = domain
            del cls.steps
        spoke = next(base for base in cls.__mro__ if "cuts" in vars(base))  # for what was known there
        if any(getattr(cls, name) is not getattr(spoke, name) for name in _SHAPES_PREFIXES):
            cls.cuts = _no_cuts  # type: ignore[method-assign]

    @property
    def time_steps(self) -> int:
        """Former name of ``steps``."""
        warnings.warn("Coding.time_steps is now steps", DeprecationWarning, stacklevel=2)
        return self.steps

    @classmethod
    def domains(cls, steps: int) -> Mapping[str, Domain]:
        """Return the hyperparameter domains that are tighter at this T, by field name."""
        return {}

    def bind(self, neuron: Neuron) -> None:
        """Receive a neuron of the kind that the network has; called once, before any site is created."""

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
        return Signal(x.unsqueeze(0), self.steps, Kind.ANALOG)

    def encode_events(self, frames: Tensor) -> Signal:
        """Turn a batch of event frames, or of spikes, into a signal; the default passes them on.

        Args:
            frames: numbers of events ``(T, B, ...)``, of spikes ``(T, B, F)``, whole and not negative.

        Returns:
            Values ``(T, B, ...)``; events that fall on one pixel and step are each an accumulate per synapse.
        """
        return Signal(frames, self.steps, Kind.COUNT)

    def encode_sequences(self, points: Tensor) -> Signal:
        """Turn a batch of sequences into a signal; by default each point is an analog value at each of its steps.

        What is emitted at a step may depend on the points until then, and on no later ones.

        Args:
            points: ``(L, B, F)``, scaled to [0, 1]. Point i lasts from step ``i * T / L`` on for ``T / L`` steps.

        Returns:
            Values ``(T, B, ...)``.
        """
        return Signal(self.held(points), self.steps, Kind.ANALOG)

    def held(self, points: Tensor) -> Tensor:
        """Return points ``(L, B, F)`` as the network sees them in time, each for T / L steps, ``(T, B, F)``."""
        return points.repeat_interleave(self.steps // len(points), 0)

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        """Return the operations of one ``encode``, ``encode_events`` or ``encode_sequences``, over time and batch.

        Those of the cheapest circuit with a clock that makes the same code; a comparison counts as an addition. The
        default is none: a constant analog input pays in the first synapse, by multiply-accumulates, and a sensor that
        emits events encodes by itself.

        Args:
            x: what was encoded, ``(B, ...)``, frames of events or spikes, ``(T, B, ...)``, or points of sequences,
                ``(L, B, F)``.
            code: what came of it.
        """
        return Operations()

    def between(self, site: SiteInfo) -> Between | None:
        """Return the module to put behind a spiking site, or None. Called once for each site, in their order."""
        return None

    def decode(self, output: Signal) -> Tensor:
        """Turn the network's output ``(T, B, K)`` into one value per output, ``(B, K)``."""
        return output.decoded().mean(0)

    @property
    def averages(self) -> bool:
        """Whether ``decode`` returns the mean of the output over time, as losses of single steps need it."""
        return type(self).decode is Coding.decode

    def step_outputs(self, output: Signal) -> Tensor:
        """Turn the network's output into one value per step and output, ``(T, B, K)``, whose mean ``decode`` returns.

        Raises:
            UsageError: for a coding that does not average.
        """
        if not self.averages:
            raise UsageError(f"coding {self.name!r} does not decode by the mean over time, which a loss of steps needs")
        values = output.decoded()
        return values.expand(self.steps, *values.shape[1:])

    def decode_operations(self, output: Signal) -> Operations:
        """Return the operations of one ``decode``; the default sums over time what the coefficient has weighted."""
        outputs = output.values[0, 0].numel()
        return Operations(adds=output.values.numel()) + output.weighting(outputs) + output.accumulation(outputs)

    @property
    def earlier_steps(self) -> tuple[int, ...]:
        """Every number of steps below T, for ``cuts``."""
        return tuple(range(1, self.steps))

    def cuts(self) -> tuple[int, ...]:
        """Return the numbers of steps T' < T after which its network may be stopped, and its output read.

        A network that is stopped is the one that was trained over T steps: it codes an input as ever, and sees the
        first T' steps of the code. ``encode_operations``, the modules behind the sites, ``decode`` and
        ``decode_operations`` then get signals whose ``steps`` are less than ``self.steps``. What they return must be
        right for these: what was emitted in a step may not depend on the code of later ones, ``decode`` must return
        values on the scale of those of T steps, and T' must be a place where the output means something. That of a
        conversion must be the network that is converted over T' steps, which a search does not train again. Sorted; it
        may depend on trained parameters.

        The default, for a coding of the defaults, is every step. **A class that overrides one of** ``encode``,
        ``encode_events``, ``encode_sequences``, ``encode_operations``, ``between``, ``decode``, ``decode_operations``
        **and** ``latency_steps`` **is never cut until it defines this too**: ``return self.earlier_steps`` where all of
        them hold for fewer steps.
        """
        return self.earlier_steps

    def penalty(self) -> Tensor | float:
        """Return the regularisation term of the coding's own parameters."""
        return 0.0

    def metrics(self) -> Mapping[str, float]:
        """Return what to log of the coding after each epoch, by a name that starts with the coding's."""
        return {}

    def latency_steps(self, delay: int) -> int:
        """Return the time steps from the first input to the decoded output, which lags by ``delay`` steps."""
        return self.steps + delay


def _no_cuts(self: Coding) -> tuple[int, ...]:
    """Return no steps: the class has methods that those steps were not stated for."""
    return ()
