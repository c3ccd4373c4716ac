"""Tally of the operations of a network until one end, which a counter fills while the network runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikefront.plugins import Coding, Counts, LayerCount, Signal


class Tally:
    """What a network does until one end.

    Args:
        end: step of the output after which it is stopped; T for the whole.
        until: steps for which it then has run; infinite for the whole.
    """

    def __init__(self, end: int, until: float) -> None:
        self.end = end
        self._until = until
        self._layers: dict[str, LayerCount] = {}
        self._delay = 0
        self._biased: dict[str, int] = {}  # synapses since the last neurons, which may take over their biases

    def steps(self, steps: int, delay: int) -> int:
        """Return how many of an edge's steps lie before the end, when it lags by ``delay``."""
        return int(max(1, min(steps, self._until - delay)))

    def of(self, signal: Signal, delay: int | None = None) -> Signal:
        """Return the steps of a signal that lie before the end."""
        return signal.first(self.steps(signal.steps, signal.delay if delay is None else delay))

    def add(self, count: LayerCount) -> str:
        """Add a layer, and return the name that it has among the counts."""
        name, calls = count.layer, 1
        while name in self._layers:  # a module that is called several times
            calls += 1
            name = f"{count.layer}#{calls}"
        self._layers[name] = count if calls == 1 else replace(count, layer=name)
        return name

    def add_synapse(self, count: LayerCount, biased: int) -> None:
        """Add a synapse that adds a bias to so many values in a step."""
        self._biased[self.add(count)] = biased

    def fold_biases(self) -> None:
        """Fold the biases of the synapses since the last neurons into the neurons behind: they cost nothing then."""
        self._charge_biases(dict.fromkeys(self._biased, 0))

    def close_biases(self) -> None:
        """Charge the biases of the synapses since the last neurons as they are."""
        self._biased.clear()

    def read_out(self, coding: Coding, output: Signal) -> None:
        """Add the read-out."""
        self._delay = output.delay
        self._charge_biases(self._biased)  # those of the last layer are a constant of the output, added once
        operations = coding.decode_operations(output.first(self.end))
        self.add(LayerCount("coding.decode", "readout", operations=operations))

    def counts(self, samples: int) -> Counts:
        return Counts(samples, self.end, tuple(self._layers.values()), self._delay)

    def _charge_biases(self, most: Mapping[str, int]) -> None:
        for name, additions in most.items():
            self._layers[name] = replace(self._layers[name], biases=min(additions, self._layers[name].biases))
