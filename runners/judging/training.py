"""Training by backpropagation through time, and evaluation.

The data sit in one tensor on the device; a batch is indexed, scaled, varied and encoded inside the step. Nothing is
loaded or transformed per sample. Data that are mapped into memory stay there, and are copied to the device batch by
batch, the next one while the network trains on this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from spikefront.plugins import Data, Loss, Signal, Task
from spikefront.plugins.losses.task import TaskLoss
from spikefront.runners.judging.allocation import keep_freed_memory
from spikefront.runners.judging.augmentation import Batch, augmented, mixed_epoch, refuse_misfit
from spikefront.runners.judging.distributed import ALONE, Processes
from spikefront.runners.judging.learning_rate import Decay, learning_rate, steps_of
from spikefront.runners.judging.network import Network
from spikefront.runners.judging.passes import affordable, propagated
from spikefront.runners.judging.precision import precision_of, refuse_slow
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.truncation import truncated_backward
from spikefront.searchspace import Schedule, Training, UsageError

_GATHERED_BYTES = 2**20
_EVALUATION_SEED = 20_231
_SUBSET_SEED = 20_232

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


class Trainer:
    """Training of a network, epoch by epoch.

    Args:
        network: the network, on the device.
        task: the task, with loss and input scaling.
        data: the training split, on the same device or, if it is mapped into memory, on the CPU.
        training: optimiser and schedule.
        seed: seed of the order of the samples.
        processes: the processes that train the network together; each has the whole split.

    Raises:
        UsageError: when the schedule has an augmentation that does not fit the task's samples, or a precision that is
            slow here.
    """

    def __init__(
        self, network: Network, task: Task, data: Data, training: Training, seed: int, processes: Processes = ALONE
    ) -> None:
        refuse_misfit(training.schedule, task, tuple(task.prepare(data.inputs[:1]).shape[1:]))
        refuse_slow(training.schedule)
        keep_freed_memory()
        self.network = network
        self._task = task
        self._data = data
        self._processes = processes
        self._schedule = training.schedule
        self._samples = _subset(len(data), training.schedule)
        self._order = torch.Generator().manual_seed(seed)
        self._optimizer = training.optimizer.config(parameter_groups(network, training.optimizer.config.lr))
        loss: Loss = TaskLoss() if training.loss is None else training.loss.config
        self._loss, self._per_step = loss.of(task), loss.per_step
        self._decay = Decay(self._optimizer, learning_rate(training.schedule, len(self._samples)))

    def epoch(self) -> float:
        """Train once on every sample and return the mean loss.

        Raises:
            UsageError: for a batch of one sample whose values have no variance for batch norm.
            FloatingPointError: when weights are not finite after it although the loss is: a spiking network is silent
                then, and would pass for one that has learnt nothing.
        """
        self.network.train()
        device = self.network.device
        total = torch.zeros((), device=device)
        steps, mixed = 0, mixed_epoch(self._schedule)
        for inputs, targets, weight in self._loaded():
            x = self._task.prepare(inputs.to(device))
            batch = augmented(self._schedule, x, targets.to(device), mixed)
            self._optimizer.zero_grad(set_to_none=True)
            loss = (self._backward_in_parts if self._in_parts else self._backward)(batch)
            total += self._processes.combine(self.network, loss, weight)
            self._optimizer.step()
            self._decay.step()
            steps += 1
        self._processes.agree(self.network)
        mean = float(total / steps)
        if math.isfinite(mean) and not all(bool(weight.isfinite().all()) for weight in self.network.parameters()):
            raise FloatingPointError(f"weights are not finite after an epoch with loss {mean:.4g}")
        return mean

    def _backward(self, batch: Batch) -> Tensor:
        """Add the gradient of a batch to the parameters, and return its loss."""
        with precision_of(self._schedule):
            output = self._output(batch.inputs)
        loss, penalty = batch.loss(self._loss, output), self.network.penalty()
        if isinstance(penalty, Tensor) or penalty:
            loss = loss + penalty
        loss.backward()
        return loss.detach()

    def _backward_in_parts(self, batch: Batch) -> Tensor:
        """Do what ``_backward`` does, with a gradient that does not leave the parts of the run."""

        def loss_of(output: Signal) -> Tensor:
            loss = batch.loss(self._loss, self._decoded(output))
            penalty = self.network.penalty()
            return loss + penalty if isinstance(penalty, Tensor) or penalty else loss

        apart = partial(precision_of, self._schedule)
        return truncated_backward(self.network, laid_out(batch.inputs), self._schedule.truncation, loss_of, apart)

    @property
    def _in_parts(self) -> bool:
        return 0 < self._schedule.truncation < self.network.coding.steps

    def _decoded(self, output: Signal) -> Tensor:
        coding = self.network.coding
        return coding.step_outputs(output) if self._per_step else self.network.decode(output)

    def _output(self, inputs: Tensor) -> Tensor:
        try:
            if self._per_step:
                return self._decoded(self.network.propagate(self.network.encode(laid_out(inputs))))
            output: Tensor = self.network(laid_out(inputs))
        except ValueError as error:
            if len(inputs) > 1 or "more than 1 value per channel" not in str(error):
                raise
            raise UsageError(
                f"training.batch={self._schedule.batch}: batch norm has no variance over one value, which is all that "
                "a batch of one sample gives it here; use 2 or more"
            ) from error
        return output

    def state(self) -> dict[str, Any]:
        """Return the state of the training, for ``restore``; it shares memory with the network."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "decay": self._decay.state_dict(),
            "order": self._order.get_state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the state of a trainer of the same candidate, whose tensors are taken over."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._decay.load_state_dict(state["decay"])
        self._order.set_state(state["order"])

    def _loaded(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield raw inputs and targets of each batch, and the weight of this process's share in it."""
        if self._processes.size == 1 and not self._task.mapped:
            return self._gathered()
        shares = (self._processes.share(batch) for batch in self._batches())
        return one_ahead(shares, self._load) if self._task.mapped else map(self._load, shares)

    def _load(self, share: tuple[Tensor, float]) -> tuple[Tensor, Tensor, float]:
        index, weight = share
        return self._data.inputs[index], self._data.targets[index], weight

    def _gathered(self) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield what ``_loaded`` does from data in memory, several small batches of which are indexed at once."""
        size, sample = self._schedule.batch, self._data.inputs[0]
        at_once = max(1, _GATHERED_BYTES // (size * max(1, sample.numel() * sample.element_size())))
        for index in self._shuffled().split(size * at_once):
            inputs, targets, _ = self._load((index, 1.0))
            for batch in zip(inputs.split(size), targets.split(size), strict=True):
                yield *batch, 1.0

    def _batches(self) -> Iterator[Tensor]:
        yield from self._shuffled().split(self._schedule.batch)

    def _shuffled(self) -> Tensor:
        """Return the samples of an epoch in a new order, without those of a last batch that is left out."""
        order = self._samples[torch.randperm(len(self._samples), generator=self._order)]
        used = steps_of(self._schedule, len(order)) * self._schedule.batch
        return order[:used].to(self._data.inputs.device)


def one_ahead(items: Iterable[Item], load: Callable[[Item], Loaded]) -> Iterator[Loaded]:
    """Yield ``load`` of each item, in their order; a thread loads the next item meanwhile, and no more than that.

    Args:
        items: what to load; iterated in the caller's thread.
        load: called in the other thread. Its exceptions are raised here, at their item.
    """
    # torch's number of threads is a setting of each thread; unset, it is the number of all cores
    settings = (torch.get_num_threads(),)
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=settings) as thread:
        current: Future[Loaded] | None = None
        for item in items:
            following = thread.submit(load, item)
            if current is not None:
                yield current.result()
            current = following
        if current is not None:
            yield current.result()


def device() -> str:
    """Return the device of this process's training: its GPU if it has one, else the CPU."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _subset(available: int, schedule: Schedule) -> Tensor:
    if not 0 < schedule.subset < available:
        return torch.arange(available)
    return torch.randperm(available, generator=torch.Generator().manual_seed(_SUBSET_SEED))[: schedule.subset]


def prepared(task: Task, batch: Tensor) -> Tensor:
    """Return a batch of raw inputs prepared for the network, in its fastest memory layout."""
    return laid_out(task.prepare(batch))


def laid_out(x: Tensor) -> Tensor:
    """Return a prepared batch in the network's fastest memory layout."""
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def parameter_groups(network: nn.Module, lr: float) -> list[dict[str, object]]:
    """Group a network's parameters for an optimiser.

    The parameters of a module with an attribute ``lr_multiplier`` are trained at that multiple of ``lr``. Weight decay
    acts on weight matrices and kernels only, not on biases, norms and coefficients.
    """
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for module in network.modules():
        multiplier = float(getattr(module, "lr_multiplier", 1.0))
        for parameter in module.parameters(recurse=False):
            groups.setdefault((multiplier, parameter.dim() > 1), []).append(parameter)
    return [
        {"params": parameters, "lr": lr * multiplier} | ({} if decays else {"weight_decay": 0.0})
        for (multiplier, decays), parameters in groups.items()
    ]


def evenly(samples: Tensor, count: int) -> Tensor:
    """Return ``count`` evenly spaced samples, or all if there are fewer; a split may be sorted by class."""
    count = min(count, len(samples))
    return samples[torch.arange(count, device=samples.device) * len(samples) // count]


def _numbers(inputs: Tensor) -> int:
    """Return how many numbers one raw input has at one step; frames of events are ``(N, T, C, H, W)``."""
    return math.prod(inputs.shape[2:] if inputs.dim() == 5 else inputs.shape[1:])


@torch.no_grad()
def decoded_outputs(network: Network, prepare: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Return the decoded outputs of raw inputs in eval mode; a random code is drawn from a fixed seed.

    Args:
        network: the network, which stays in eval mode.
        prepare: prepares a batch of raw inputs for the network.
        inputs: raw inputs ``(N, ...)``.

    Returns:
        Outputs ``(N, K)``.
    """
    return outputs_at(network, prepare, inputs, (0,))[0]


@torch.no_grad()
def outputs_at(
    network: Network, prepare: Callable[[Tensor], Tensor], inputs: Tensor, cuts: Sequence[int]
) -> dict[int, Tensor]:
    """Return the decoded outputs of raw inputs after each of several steps, as ``decoded_outputs`` does, in one pass.

    Args:
        network: the network, which stays in eval mode.
        prepare: prepares a batch of raw inputs for the network.
        inputs: raw inputs ``(N, ...)``.
        cuts: steps of ``network.cuts``, and 0 for the network as it is, which T is too.

    Returns:
        Outputs ``(N, K)`` by step.
    """
    network.eval()
    found: dict[int, Tensor] = {}
    with fixed_randomness(_EVALUATION_SEED):
        done = 0
        for batch in inputs.split(affordable(network.coding.steps, _numbers(inputs))):
            for output in propagated(network, network.encode(prepare(batch.to(network.device)))):
                for cut in cuts:
                    part = network.coding.decode(output.first(cut)) if cut else network.decode(output)
                    if cut not in found:  # all of it now: what is kept between large tensors would scatter them
                        found[cut] = part.new_empty(len(inputs), *part.shape[1:])
                    found[cut][done : done + len(part)] = part
                done += len(part)
    return found


def split_outputs_at(network: Network, task: Task, data: Data, cuts: Sequence[int]) -> dict[int, Tensor]:
    """Return the decoded outputs of a whole split, and those after fewer steps, in one pass.

    Args:
        network: the network, which stays in eval mode.
        task: its task.
        data: the split.
        cuts: steps of ``network.cuts``.

    Returns:
        Outputs ``(N, K)`` by the step after which the network is stopped; under 0 those of the network as it is.
    """
    return outputs_at(network, partial(prepared, task), data.inputs, (0, *cuts))


@torch.no_grad()
def evaluate(network: Network, task: Task, data: Data, outputs: Tensor | None = None) -> dict[str, float]:
    """Return the task's metrics on a split, among them ``quality``.

    Args:
        network: the network.
        task: its task.
        data: the split.
        outputs: what ``split_outputs`` returned; computed when None.
    """
    outputs = split_outputs(network, task, data) if outputs is None else outputs
    with fixed_randomness(_EVALUATION_SEED):
        return task.measure_on(network, outputs.to(data.targets.device), data)


def split_outputs(network: Network, task: Task, data: Data) -> Tensor:
    """Return the decoded outputs of a whole split, ``(N, K)``."""
    return decoded_outputs(network, partial(prepared, task), data.inputs)
