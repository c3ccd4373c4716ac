"""Training that is watched: gradients, membranes and firing of each layer, epoch by epoch.

What is watched changes no number: hooks read gradients after they are complete, a wrapper passes on what a surrogate
gradient returns, and the pass that measures firing draws from a seed of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import torch
from torch import Tensor, nn

from spikefront.plugins import Backbone, EnergyModel, Kind, Neuron, Registry, SearchData, Signal, Site
from spikefront.plugins.bases.conversion import Conversion
from spikefront.plugins.places import place_of, traceback_of
from spikefront.runners.failures import one_line
from spikefront.runners.judging.events import event_numbers
from spikefront.runners.judging.hooks import listening
from spikefront.runners.judging.judge import Judging, refuse_infinite
from spikefront.runners.judging.learning_rate import steps_of
from spikefront.runners.judging.measuring import measuring_batch
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.passes import divided
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import laid_out
from spikefront.searchspace import Candidate
from spikefront.searchspace.retraining import INPUT, READOUT, ConvertedLayer, LayerEpoch, Retraining

_PASSING: Final = 0.01
_SEED: Final = 20_237

OnEpoch = Callable[[int, Mapping[str, float]], None]


def retrain(
    candidate: Candidate,
    *,
    registry: Registry,
    data: SearchData,
    energy_model: EnergyModel,
    device: torch.device | str = "cpu",
    epochs: int | None = None,
    on_epoch: OnEpoch = lambda epoch, metrics: None,
) -> Retraining:
    """Train a candidate as a search does, under its own seed, and watch its layers.

    Args:
        candidate: the candidate.
        registry: contains its plugins.
        data: the task's training and validation splits.
        energy_model: what prices its operations.
        device: where to train.
        epochs: most epochs; None for all of its schedule. A conversion coding trains its ANN for all of them.
        on_epoch: called with the epoch, from 1, and its metrics.

    Returns:
        What was seen. An exception of a plugin, and numbers that are not finite, end it, and are its reason.
    """
    samples = min(candidate.training.schedule.subset or len(data.train), len(data.train))
    steps = steps_of(candidate.training.schedule, samples)
    history: list[Mapping[str, float]] = []
    try:
        given: dict[str, Any] = {"registry": registry, "data": data, "energy_model": energy_model, "device": device}
        judging = Judging(candidate, **given)
    except Exception as error:  # a plugin may raise anything
        return _ended(Retraining((), (), steps), error)
    network, trained = judging.network, judging.ann or judging.network
    batch = measuring_batch(registry.task(candidate), data.validation, device)
    found: list[LayerEpoch] = []
    with watching(trained, steps) as watch:
        ended: Exception | None = None
        while not judging.finished and (epochs is None or len(history) < epochs):
            try:
                history.append(judging.epoch())
                refuse_infinite(history[-1], judging.epochs_done)
            except Exception as error:
                ended = error
            if (
                ended is not None
            ):  # its plugin may raise in another pass, too, and weights that are no numbers are silent
                found += watch.take()
                break
            found += _joined(watch.take(), _firing(network, batch), judging.counts.layer_rates)
            on_epoch(judging.epochs_done, history[-1])
    seen = Retraining(tuple(found), tuple(history), steps)
    if ended is not None:
        return _ended(seen, ended)
    return replace(seen, converted=_converted(network, judging.ann, batch)) if judging.ann else seen


def _ended(seen: Retraining, error: Exception) -> Retraining:
    bad_number = isinstance(error, FloatingPointError)
    reason = str(error) if bad_number else one_line(error)
    place = "" if bad_number else place_of(error)
    return replace(seen, reason=reason, traceback=traceback_of(error), place=place)


class Watch:
    """Gradients and membranes of the layers of a network in training.

    A parameter belongs to the spiking layer that it drives: the first to be computed after the module that owns it.

    Args:
        network: the network, before its training.
        steps: training steps of an epoch.
    """

    def __init__(self, network: Network, steps: int) -> None:
        self._steps = steps
        self._names = {module: name for name, module in network.named_modules()}
        self._start = {parameter: parameter.detach().clone() for parameter in network.parameters()}
        self._owner: dict[nn.Parameter, str] = {}
        self._waiting: dict[nn.Parameter, None] = {}  # of modules that were computed since the last spiking layer
        self._layers: dict[str, None] = {}  # spiking layers, in the order in which they are computed
        self._squares: defaultdict[str, float] = defaultdict(float)  # of gradients, in this training step
        self._made = 0  # training steps of this epoch
        self._begun = 0  # training steps in all
        self._epoch = 0
        self._gradients: defaultdict[str, float] = defaultdict(float)  # norms, summed over these steps
        self._margins: dict[str, float] = {}
        self._passing: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        self._rows: list[LayerEpoch] = []

    def take(self) -> list[LayerEpoch]:
        """Return the layers of the epochs that ended since the last call; the one that goes on ends with it."""
        self._end_epoch()
        rows, self._rows = self._rows, []
        return rows

    def begin_step(self) -> None:
        """Begin a training step, and with the first one after an epoch's last the next epoch."""
        self._end_step()
        if self._made == self._steps:
            self._end_epoch()
        self._made += 1
        self._begun += 1

    def computed(self, module: nn.Module) -> None:
        """Note, in the first training step, which parameters are used before which spiking layer."""
        if self._begun > 1:
            return
        fresh = [one for one in module.parameters() if one not in self._owner and one not in self._waiting]
        if isinstance(module, Neuron):
            self._layers[self._names[module]] = None
            self._owner |= dict.fromkeys([*self._waiting, *fresh], self._names[module])
            self._waiting.clear()
        elif isinstance(module, Site):
            self._owner |= dict.fromkeys(fresh, self._names[module.neuron])
        elif isinstance(module, Backbone):
            self._owner |= dict.fromkeys([*self._waiting, *fresh], READOUT)
            self._waiting.clear()
        else:
            self._waiting |= dict.fromkeys(fresh)

    def differentiated(self, parameter: nn.Parameter) -> None:
        """Note the gradient of a parameter."""
        assert parameter.grad is not None
        square = float(parameter.grad.detach().double().square().sum())
        self._squares[self._owner.get(parameter, READOUT)] += square

    def crossed(self, layer: str, x: Tensor, slope: Tensor, peak: float) -> None:
        """Note potentials minus threshold, and the surrogate gradient there."""
        self._margins[layer] = max(self._margins.get(layer, -math.inf), float(x.max()))
        counts = self._passing[layer]
        counts[0] += int((slope >= _PASSING * peak).sum())
        counts[1] += slope.numel()

    def _end_step(self) -> None:
        for layer, square in self._squares.items():
            self._gradients[layer] += math.sqrt(square) if math.isfinite(square) else math.inf
        self._squares.clear()

    def _end_epoch(self) -> None:
        self._end_step()
        if not self._made:
            return
        self._epoch += 1
        by_layer: dict[str, list[nn.Parameter]] = {}
        for parameter in self._start:
            by_layer.setdefault(self._owner.get(parameter, READOUT), []).append(parameter)
        for layer in [*self._layers, *({READOUT} & by_layer.keys())]:
            passing, of = self._passing[layer]
            self._rows.append(
                LayerEpoch(
                    layer,
                    self._epoch,
                    margin=self._margins.get(layer, math.nan),
                    passing=passing / of if of else math.nan,
                    gradient=self._gradients[layer] / self._made if layer in by_layer else math.nan,
                    moved=self._moved(by_layer.get(layer, [])),
                )
            )
        self._made = 0
        for each in (self._gradients, self._margins, self._passing):
            each.clear()

    @torch.no_grad()
    def _moved(self, parameters: list[nn.Parameter]) -> float:
        way = math.sqrt(sum(float((one - self._start[one]).double().square().sum()) for one in parameters))
        length = math.sqrt(sum(float(self._start[one].double().square().sum()) for one in parameters))
        return way / length if length else math.nan


class _Watched:
    """A surrogate gradient whose calls are noted; it returns what the surrogate does."""

    def __init__(self, surrogate: Any, note: Callable[[Tensor, Tensor, float], None]) -> None:
        self._surrogate = surrogate
        self._note = note
        self._peak: float | None = None

    def __call__(self, x: Tensor) -> Tensor:
        slope: Tensor = self._surrogate(x)
        if self._peak is None:
            self._peak = float(self._surrogate(x.new_zeros(1)))
        self._note(x, slope, self._peak)
        return slope

    def __getattr__(self, name: str) -> Any:
        return getattr(self._surrogate, name)


@contextmanager
def watching(network: Network, steps: int) -> Iterator[Watch]:
    """Context in which the training of a network is watched.

    Args:
        network: the network, before its training.
        steps: training steps of an epoch.
    """
    watch = Watch(network, steps)

    def training() -> bool:
        return network.training and torch.is_grad_enabled()

    handles = [network.backbone.register_forward_pre_hook(lambda *_: watch.begin_step() if training() else None)]
    for module in network.modules():
        handles.append(module.register_forward_hook(lambda module, *_: watch.computed(module) if training() else None))
    for parameter in network.parameters():
        handles.append(parameter.register_post_accumulate_grad_hook(watch.differentiated))
    neurons = {name: module for name, module in network.named_modules() if isinstance(module, Neuron)}
    before = {name: neuron.surrogate for name, neuron in neurons.items()}
    for name, neuron in neurons.items():
        neuron.surrogate = _Watched(neuron.surrogate, _noting(watch, name))  # type: ignore[assignment]
    try:
        yield watch
    finally:
        for handle in handles:
            handle.remove()
        for name, neuron in neurons.items():
            neuron.surrogate = before[name]


def _noting(watch: Watch, layer: str) -> Callable[[Tensor, Tensor, float], None]:
    return lambda x, slope, peak: watch.crossed(layer, x, slope, peak)


@torch.no_grad()
def _firing(network: Network, batch: Tensor) -> list[LayerEpoch]:
    """Return how often the neurons of each layer fire, and the largest current into one; of epoch 0.

    Args:
        network: the network, which is left in the mode that it is in.
        batch: prepared inputs.
    """
    seen: dict[str, list[tuple[Tensor, Tensor, int, float]]] = {}

    def fired(name: str, module: Neuron, current: Tensor, spikes: Tensor) -> None:
        calls = sum(known.partition("#")[0] == name for known in part)
        part[f"{name}#{calls + 1}" if calls else name] = _spikes(Signal(spikes, len(spikes), module.kind), current)

    training = network.training
    network.eval()
    try:
        with fixed_randomness(_SEED), listening(network, {Neuron: fired}):
            for inputs, coded in divided(network, laid_out(batch)):
                part: dict[str, tuple[Tensor, Tensor, int, float]] = {}
                code = network.encode(inputs) if coded is None else coded
                if code.kind is not Kind.ANALOG:
                    part[INPUT] = _spikes(code, None)
                network.decode(network.propagate(code))
                for name, found in part.items():
                    seen.setdefault(name, []).append(found)
    finally:
        network.train(training)
    return [_fired(name, parts) for name, parts in seen.items()]


def _spikes(signal: Signal, current: Tensor | None) -> tuple[Tensor, Tensor, int, float]:
    """Return events and steps with one, of each neuron; values of each neuron; and the largest current."""
    numbers = event_numbers(signal)
    largest = math.nan if current is None else float(current.max())
    return numbers.sum((0, 1)), (numbers > 0).sum((0, 1)), numbers.shape[0] * numbers.shape[1], largest


def _fired(layer: str, parts: list[tuple[Tensor, Tensor, int, float]]) -> LayerEpoch:
    events = torch.stack([part[0] for part in parts]).sum(0)
    active = torch.stack([part[1] for part in parts]).sum(0)
    sites = sum(part[2] for part in parts)
    return LayerEpoch(
        layer,
        0,
        rate=float(events.sum()) / (sites * events.numel()),
        silent=float((active == 0).double().mean()),
        saturated=float((active == sites).double().mean()),
        current=max(part[3] for part in parts),
    )


def _joined(trained: list[LayerEpoch], fired: list[LayerEpoch], rates: Mapping[str, float]) -> list[LayerEpoch]:
    """Return the layers of some epochs, the last of them with what its neurons do after it.

    Args:
        trained: what was seen of the training.
        fired: what was seen after it.
        rates: rates as the candidate's operations were counted, which take the place of those in ``fired``.
    """
    last = max((one.epoch for one in trained), default=1)
    known = {one.layer: one for one in trained if one.epoch == last}
    joined = [
        replace(
            known.pop(one.layer, LayerEpoch(one.layer, last)),
            rate=rates.get(one.layer, one.rate),
            silent=one.silent,
            saturated=one.saturated,
            current=one.current,
        )
        for one in fired
    ]
    return [one for one in trained if one.epoch < last] + joined + list(known.values())


@torch.no_grad()
def _converted(network: Network, ann: Network, batch: Tensor) -> tuple[ConvertedLayer, ...]:
    """Return what each spiking layer keeps of the activations of its ANN.

    Args:
        network: the converted network.
        ann: the ANN, with the same sites.
        batch: prepared inputs.
    """
    coding = network.coding
    assert isinstance(coding, Conversion)
    names = {module: name for name, module in network.named_modules()}
    rates = {one.layer: one.rate for one in _firing(network, batch)}
    made: dict[int, Tensor] = {}

    def keep(network: Network, read: Callable[[Signal], Tensor]) -> dict[int, Tensor]:
        made.clear()
        handles = [
            site.register_forward_hook(lambda _, args, out, at=at: made.__setitem__(at, read(out)))
            for at, site in enumerate(network.sites)
        ]
        network.eval()
        with fixed_randomness(_SEED):
            network(laid_out(batch))
        for handle in handles:
            handle.remove()
        return dict(made)

    wanted, carried = keep(ann, lambda out: out.values[0]), keep(network, coding.decode)
    found = []
    for at, site in enumerate(network.sites):
        true, kept = wanted[at].double(), carried[at].double()
        assert site.scale is not None
        full = site.scale[0].view(-1, *[1] * (true.dim() - 2)) * coding.full_scale()
        size = float(true.norm())
        found.append(
            ConvertedLayer(
                names[site.neuron],
                activation=float(true.mean()),
                carried=float(kept.mean()),
                rate=rates[names[site.neuron]],
                error=float((kept - true).norm()) / size if size else math.nan,
                clipped=float((true > full).double().mean()),
            )
        )
    return tuple(found)
