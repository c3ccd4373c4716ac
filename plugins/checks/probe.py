"""Probe of a whole network: two passes on six samples that show what would falsify its numbers.

In the second, samples 0 and 5 are what they were, beside others: what they give may depend neither on other samples nor
on the pass before. Sample 1 has another last step, so nothing that is due before the last step of the input may change:
no part sees the future. What is constant over time is given at every step, so that it can differ at one. A third pass,
the first again, tells state from mixed samples where the two differ. During the first pass, work that nobody counts is
looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikefront.plugins.checks.owners import owned_modules
from spikefront.plugins.checks.stages import (
    Stage,
    refuse_lookahead,
    refuse_mixed_samples,
    refuse_negative_delay,
    refuse_state,
)
from spikefront.plugins.checks.uncounted import UncountedWork
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.contracts.plugin import InputKind
from spikefront.plugins.contracts.site import Site
from spikefront.plugins.network.signal import ContractError, Kind, Signal

SAMPLES: Final = 6
_KEPT: Final = (0, 5)
_LATER: Final = 1
_SEED: Final = 20_234
_Norm = nn.modules.batchnorm._BatchNorm


def probe(network: Network, x: Tensor, inputs: InputKind, seed: Callable[[int], object] = torch.manual_seed) -> None:
    """Check that a network keeps no state, mixes no samples, sees no future, and that all its work is counted.

    Args:
        network: a network in eval mode, whose norms have statistics with which its neurons fire.
        x: six prepared inputs, ``(6, ...)``, frames of events, ``(6, T, ...)``, or sequences, ``(6, L, F)``.
        inputs: which of these.
        seed: seeds all generators from which plugins may draw.

    Raises:
        ContractError: at the first fault, with the plugin that has it.
    """
    probed = _Probed(network, seed)
    buffers = {where: buffer.clone() for where, buffer in _buffers(network).items()}
    with torch.no_grad(), probed.recording():
        with probed.work.watching():
            code, drawn = probed.encode(x)
            first = probed.run(_at_every_step(code))
        refuse_negative_delay(first)
        try:
            _run_beside_others(probed, x, inputs, first, code, drawn)
        except ContractError:
            again, _ = probed.encode(x)
            refuse_state(first, probed.run(_at_every_step(again)))
            raise
        probed.encode(x)
        refuse_state(first[:1], probed.stages)
    _refuse_changed_buffers(network, buffers)


def _run_beside_others(
    probed: _Probed, x: Tensor, inputs: InputKind, first: list[Stage], code: Signal, drawn: Tensor
) -> None:
    """Run the second pass, and compare it with the first.

    Args:
        probed: the network.
        x: the batch of the first pass.
        inputs: its kind.
        first: stages of the first pass.
        code: its coded input.
        drawn: state of the generator after encoding.

    Raises:
        ContractError: when samples are mixed, the future is seen, or, since neither tells, state is kept.
    """
    mixed, drawn_again = probed.encode(_beside_others(x, inputs))
    comparable = torch.equal(drawn, drawn_again)  # else draws depend on the values, and so do all that follow
    if comparable:
        refuse_mixed_samples(first[:1], probed.stages, (*_KEPT, _LATER) if inputs == "static" else _KEPT)
    in_time = comparable and inputs != "static"
    if not in_time:
        mixed = _spliced(_at_every_step(code), _at_every_step(mixed))
    other = probed.run(_at_every_step(mixed))
    start, steps = 0 if in_time else 1, probed.network.coding.steps
    refuse_mixed_samples(first[start:], other[start:], _KEPT)
    refuse_lookahead(first[start:], other[start:], (_LATER,), steps - (steps // x.shape[1] if in_time else 1))


def fit_norms(network: Network, x: Tensor) -> Network:
    """Return a network in eval mode, whose norms have the statistics of one batch: with fresh ones, few neurons fire.

    Args:
        network: an untrained network.
        x: prepared inputs.
    """
    for module in network.modules():
        if isinstance(module, _Norm):
            module.momentum = None  # a mean over all batches, so that the first one is taken as it is
    with torch.no_grad():
        network.train()(x)
    return network.eval()


class _Probed:
    """A network whose passes are written down, stage by stage."""

    def __init__(self, network: Network, seed: Callable[[int], object]) -> None:
        self.network = network
        self._seed = seed
        self.stages: list[Stage] = []
        self._coding = f"coding {network.coding.name!r}"
        self._backbone = f"backbone {network.backbone.name!r}"
        self.work = UncountedWork(network)
        self._delay = 0

    def encode(self, x: Tensor) -> tuple[Signal, Tensor]:
        """Begin a pass; return the coded input, and the state of the generator that tells how much was drawn."""
        self.stages = []
        self._seed(_SEED)
        with self.work.encoding(self._coding, self.network.coding):
            signal = self.network.encode(x)
        self._add(self._coding, signal)
        return signal, torch.get_rng_state()

    def run(self, signal: Signal) -> list[Stage]:
        """Return the stages of the pass that ``encode`` began."""
        self._seed(_SEED + 1)
        output = self.network.propagate(signal)
        self._add(self._backbone, output)
        with self.work.decoding(self._coding, lambda: self.network.coding.decode_operations(output)):
            decoded = self.network.decode(output)
        self.stages.append(Stage(f"{self._coding}, which decodes,", decoded.unsqueeze(0), None))
        return self.stages

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Write down what goes into each site, and what comes out of its neurons and of the module behind them."""
        handles = []
        for site in self.network.sites:
            handles += [
                site.register_forward_pre_hook(self._current),
                site.neuron.register_forward_hook(self._spikes(site)),
                site.register_forward_hook(self._emitted),
            ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _current(self, site: nn.Module, args: tuple[Signal]) -> None:
        assert isinstance(site, Site)
        self._delay = args[0].delay
        self._add(f"{self._backbone}, before spiking layer {site.info.index},", args[0])

    def _spikes(self, site: Site) -> Any:
        part = f"neuron {site.neuron.name!r} of spiking layer {site.info.index}"

        def hook(neuron: nn.Module, args: Any, spikes: Tensor) -> None:
            delay = site.neuron.delay_over(len(spikes))
            refuse_negative_delay((Stage(part, spikes, delay),))
            self.stages.append(Stage(part, spikes.clone(), self._delay + delay))

        return hook

    def _emitted(self, site: nn.Module, args: Any, signal: Signal) -> None:
        assert isinstance(site, Site)
        if site.between is not None:
            self._add(f"{self._coding}, behind spiking layer {site.info.index},", signal)

    def _add(self, part: str, signal: Signal) -> None:
        self.stages.append(Stage(part, signal.decoded().clone(), signal.delay))


def _at_every_step(signal: Signal) -> Signal:
    steps, values = signal.steps, signal.values
    return signal if len(values) == steps else signal.with_values(values.expand(steps, *values.shape[1:]).clone())


def _beside_others(x: Tensor, inputs: InputKind) -> Tensor:
    """Return the batch with others in place of samples 2, 3 and 4; what has time, another last step of sample 1."""
    other, high = x.clone(), x.max()
    other[2], other[3], other[4] = high - x[2], high, x[4] * 0
    if inputs != "static":
        other[_LATER, -1] = high - x[_LATER, -1]
    return other


def _spliced(first: Signal, other: Signal) -> Signal:
    """Return the other code with samples 0, 1 and 5 of the first, and another last step of sample 1."""
    values = other.values.clone()
    for sample in (*_KEPT, _LATER):
        values[:, sample] = first.values[:, sample]
    last = values[-1, _LATER]
    if len(values) > 1:
        values[-1, _LATER] = another(last, first.kind)
    return replace(first, values=values)


def another(values: Tensor, kind: Kind) -> Tensor:
    """Return other values that an edge of this kind may carry, different everywhere."""
    if kind is Kind.BINARY:
        return 1 - values
    if kind is Kind.TERNARY:
        return torch.where(values == 0, torch.ones_like(values), -values)
    if kind is Kind.POWER:
        return torch.where(values == 0, torch.ones_like(values), 2 * values)
    return values + 1


def _buffers(network: Network) -> dict[str, Tensor]:
    return {
        owned.where(f"buffer {name!r}"): buffer
        for owned in owned_modules(network)
        for name, buffer in owned.module.named_buffers(recurse=False)
    }


def _refuse_changed_buffers(network: Network, before: dict[str, Tensor]) -> None:
    for where, buffer in _buffers(network).items():
        old = before.get(where)
        if old is None or old.shape != buffer.shape or not torch.equal(old, buffer):
            raise ContractError(f"{where} keeps state between calls: it changes at inference")


__all__ = ["SAMPLES", "another", "fit_norms", "probe"]
