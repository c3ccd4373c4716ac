"""Training, evaluation and their reproducibility."""

from __future__ import annotations

import copy
import math
import threading

import pytest
import torch
from torch import nn

from spikefront.plugins import Data, Registry, Task
from spikefront.runners.judging import training
from spikefront.runners.judging.network import assemble
from spikefront.runners.judging.seeding import fixed_randomness
from spikefront.runners.judging.training import (
    Trainer,
    evaluate,
    evenly,
    one_ahead,
    parameter_groups,
)
from spikefront.searchspace import Candidate, UsageError, from_flat


def candidate(registry: Registry, **flat: object) -> Candidate:
    names = {key.replace("__", "."): value for key, value in flat.items()}
    return from_flat({"task": "digits", "coding": "direct", "backbone": "mlp", "steps": 2, **names}, registry)


def trainer(registry: Registry, chosen: Candidate, samples: int = 20) -> Trainer:
    torch.manual_seed(0)
    data = Data(torch.randint(0, 17, (samples, 1, 8, 8), dtype=torch.uint8), torch.arange(samples) % 10)
    network = assemble(chosen, registry, (1, 8, 8), 10)
    return Trainer(network, registry.get("task", "digits")(), data, chosen.training, seed=0)


def test_cosine_learning_rate_ends_at_zero(registry: Registry) -> None:
    one = trainer(
        registry, candidate(registry, training__epochs=2, training__batch=10, training__optimizer__adam__lr=0.01)
    )
    rates = []
    for _ in range(2):
        one.epoch()
        rates.append(one._optimizer.param_groups[0]["lr"])
    assert rates[0] == pytest.approx(0.01 / 2)  # half way, cos(pi/2) = 0
    assert rates[1] == pytest.approx(0.0, abs=1e-12)


def test_constant_learning_rate_stays(registry: Registry) -> None:
    settings = {"training__decay": "constant", "training__optimizer__adam__lr": 0.01}
    one = trainer(registry, candidate(registry, training__epochs=2, training__batch=10, **settings))
    one.epoch()
    assert one._optimizer.param_groups[0]["lr"] == 0.01


@pytest.mark.parametrize("at_once", [1, 2**10])  # bytes: a batch, and three of 5 samples of 64 bytes
def test_batches_that_are_indexed_at_once_are_those_of_the_order(
    registry: Registry, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_GATHERED_BYTES", at_once)
    chosen = candidate(registry, training__batch=5)
    gathered, indexed = trainer(registry, chosen, samples=41), trainer(registry, chosen, samples=41)
    found, wanted = list(gathered._loaded()), [indexed._load((index, 1.0)) for index in indexed._batches()]
    assert len(found) == len(wanted) == 8
    for one, other in zip(found, wanted, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])
        assert one[2] == other[2] == 1.0


def test_fixed_randomness_draws_what_torch_s_fork_does() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        wanted = torch.rand(3)
    before = torch.get_rng_state()
    with fixed_randomness(5):
        assert torch.equal(torch.rand(3), wanted)
    assert torch.equal(torch.get_rng_state(), before)


def test_subset_limits_the_samples_and_is_the_same_every_time(registry: Registry) -> None:
    chosen = candidate(registry, training__subset=7)
    first, second = trainer(registry, chosen), trainer(registry, chosen)
    assert len(first._samples) == 7
    assert torch.equal(first._samples, second._samples)
    assert len(trainer(registry, candidate(registry, training__subset=99))._samples) == 20


def test_a_last_batch_of_one_is_left_out(registry: Registry) -> None:
    one = trainer(registry, candidate(registry, training__batch=10), samples=21)
    assert [len(index) for index in one._batches()] == [10, 10]


@pytest.mark.parametrize(
    ("samples", "batch", "kept", "full"),
    [(23, 5, [5, 5, 5, 5, 3], [5] * 4), (20, 5, [5] * 4, [5] * 4), (3, 5, [3], [3]), (21, 5, [5] * 4, [5] * 4)],
)
def test_a_last_batch_that_is_not_full_is_left_out_where_asked(
    registry: Registry, samples: int, batch: int, kept: list[int], full: list[int]
) -> None:
    for drop, expected in ((False, kept), (True, full)):
        chosen = candidate(registry, training__batch=batch, training__epochs=2, training__drop_last=drop)
        one = trainer(registry, chosen, samples=samples)
        assert [len(index) for index in one._batches()] == expected
        for _ in range(2):
            one.epoch()
        left = drop or samples != 21  # else the last batch of one counts in the cosine, as it always has
        assert not left or one._optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)


def steps_of(one: Trainer) -> int:
    """Train for an epoch and return how many steps the optimiser made."""
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    one._optimizer.register_step_post_hook(count)
    one.epoch()
    return steps


@pytest.mark.parametrize(("batch", "steps"), [(1, 21), (2, 10), (4, 5), (7, 3), (20, 1), (21, 1), (64, 1)])
def test_every_batch_is_a_step(registry: Registry, batch: int, steps: int) -> None:
    chosen = candidate(registry, backbone="convnet", training__batch=batch)
    assert steps_of(trainer(registry, chosen, samples=21)) == steps


def test_batches_of_one_train_on_every_sample(registry: Registry) -> None:
    one = trainer(registry, candidate(registry, backbone="convnet", training__batch=1), samples=21)
    assert sorted(int(index) for index in one._batches()) == list(range(21))
    one = trainer(registry, candidate(registry, training__batch=1, coding="rate", steps=4), samples=21)
    assert steps_of(one) == 21  # features at several steps have a variance, too


def test_one_value_for_batch_norm_is_refused_in_one_line(registry: Registry) -> None:
    message = (
        r"^training\.batch=1: batch norm has no variance over one value, which is all that a batch of one sample gives "
        r"it here; use 2 or more$"
    )
    with pytest.raises(UsageError, match=message):
        trainer(registry, candidate(registry, training__batch=1)).epoch()


def test_weights_that_are_not_finite_are_no_result(registry: Registry) -> None:
    one = trainer(registry, candidate(registry))
    first = next(one.network.parameters())
    first.register_hook(lambda gradient: gradient * torch.nan)  # spikes of it are 0, and the loss is finite
    with pytest.raises(FloatingPointError, match=r"^weights are not finite after an epoch with loss 2\.\d+$"):
        one.epoch()


def test_coefficients_get_their_own_learning_rate_and_only_matrices_decay() -> None:
    attention = nn.Module()
    attention.lr_multiplier = 5.0  # type: ignore[assignment]
    attention.u = nn.Parameter(torch.zeros(3))
    groups = parameter_groups(nn.Sequential(nn.Linear(2, 2), attention), lr=0.1)
    found = [(group["lr"], group.get("weight_decay"), len(group["params"])) for group in groups]  # type: ignore[arg-type]
    assert found == [(0.1, None, 1), (0.1, 0.0, 1), (0.5, 0.0, 1)]


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_restored_trainer_keeps_momentum_schedule_and_order(registry: Registry, optimizer: str) -> None:
    chosen = candidate(registry, training__optimizer=optimizer, training__epochs=4, training__batch=10)
    whole = trainer(registry, chosen)
    losses = [whole.epoch() for _ in range(2)]
    state = copy.deepcopy(whole.state())
    losses += [whole.epoch() for _ in range(2)]
    second = trainer(registry, chosen)
    second.restore(state)
    assert [second.epoch() for _ in range(2)] == losses[2:]
    assert second._optimizer.param_groups[0]["lr"] == whole._optimizer.param_groups[0]["lr"]


def test_training_lowers_the_loss(registry: Registry) -> None:
    quick = {"training__epochs": 30, "training__batch": 10, "training__optimizer__adam__lr": 0.02}
    one = trainer(registry, candidate(registry, **quick))
    losses = [one.epoch() for _ in range(30)]
    assert losses[0] > 0.8 * math.log(10)  # untrained: near chance
    assert losses[-1] < 0.5 * losses[0]


def test_evaluation_of_a_random_code_repeats_itself_and_leaves_the_generator_alone(registry: Registry) -> None:
    chosen = candidate(registry, coding="rate")
    network = assemble(chosen, registry, (1, 8, 8), 10)
    task: Task = registry.get("task", "digits")()
    data = task.search_data(None, 2).validation
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert evaluate(network, task, data) == evaluate(network, task, data)
    assert torch.equal(before, torch.get_rng_state())


def test_samples_to_measure_on_are_spread_over_a_sorted_split() -> None:
    assert evenly(torch.arange(10), 5).tolist() == [0, 2, 4, 6, 8]
    assert evenly(torch.arange(7), 4).tolist() == [0, 1, 3, 5]
    assert evenly(torch.arange(3), 5).tolist() == [0, 1, 2]


def test_order_of_loaded_items_is_kept_and_nothing_is_left_out() -> None:
    for count in (0, 1, 2, 7):
        assert list(one_ahead(range(count), lambda item: item * item)) == [item * item for item in range(count)]


def test_one_item_is_loaded_ahead() -> None:
    loaded = [threading.Event() for _ in range(4)]

    def load(item: int) -> int:
        loaded[item].set()
        return item

    batches = one_ahead(range(4), load)
    assert next(batches) == 0
    assert loaded[1].wait(10)
    assert not loaded[2].wait(0.2)
    assert list(batches) == [1, 2, 3]


def test_exception_of_loading_is_raised_at_its_item() -> None:
    batches = one_ahead([1, 0, 2], lambda item: 1 // item)
    assert next(batches) == 1
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_loading_thread_computes_with_as_many_threads_as_its_caller() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert list(one_ahead([0], lambda _: torch.get_num_threads())) == [1]
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
