"""From which training on a result counts."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from spikefront.runners.engine.memory.order import Order, trained_share


def begin(order: Order, counted_s: float) -> int:
    """Begin one more training, and return its ordinal."""
    ordinal = order.add(len(order))
    order.place(ordinal, counted_s)
    return ordinal


def test_one_worker_waits_for_each_training() -> None:
    order = Order(1)
    begin(order, 5.0)
    assert not order.is_ready(1)
    order.end(0, again=False)
    assert order.is_ready(1)
    assert order.counting(1) == [0]


def test_results_count_after_the_whole_predicted_cost_and_a_slack() -> None:
    """Two workers: the clock stands at 6, 12, ...: half of each training is expected, of which it takes 80 %."""
    order = Order(2)
    for _ in range(8):
        begin(order, 15.0)
        order.end(len(order) - 1, again=False, share=0.4)
    begins = [order[ordinal].begin_s for ordinal in range(8)]
    assert begins[:4] == pytest.approx([0.0, 0.0, 6.0, 6.0])
    slack = 1 + 1 / 6
    for ordinal in range(8):
        expected = [other for other in range(ordinal - 1) if begins[other] + slack * 15.0 <= begins[ordinal]]
        assert order.counting(ordinal) == expected
    assert order.counting(6) == [0, 1]  # begun at 18, after 17.5


def test_which_results_count_does_not_depend_on_what_has_ended() -> None:
    eager, late = Order(3), Order(3)
    costs = np.random.default_rng(0).uniform(1, 100, 40)
    for ordinal, cost in enumerate(costs):
        begin(eager, cost)
        eager.end(ordinal, again=False)
        while not late.is_ready(ordinal):  # the last ones first, as far as they are not waited for
            late.end(max(other for other in late.counting(ordinal) if not late[other].ended), again=False)
        begin(late, cost)
        assert late.counting(ordinal) == eager.counting(ordinal)
    assert sum(not late[other].ended for other in range(40)) > 2


def test_a_training_of_unknown_cost_is_waited_for_later() -> None:
    known, unknown = Order(2), Order(2)
    for order, first in ((known, 1.0), (unknown, float("inf"))):
        begin(order, first)
        while 0 not in order.counting(len(order)) and len(order) < 50:
            begin(order, 1.0)
            order.end(len(order) - 1, again=False)
            order.end(0, again=False)
    assert len(known) < len(unknown) < 50


@pytest.mark.parametrize(("workers", "searches"), [(2, 20), (8, 5)])
def test_waiting_leaves_workers_idle_for_less_than_a_twentieth_of_the_time(workers: int, searches: int) -> None:
    """Costs differ by 100, predictions are off by 1.5 in a third of cases, and 60 % of trainings are stopped early."""
    chance, idle = np.random.default_rng(1), []
    for _ in range(searches):
        whole = 100 ** chance.random(15 * workers + 40)
        shares = np.where(chance.random(len(whole)) < 0.6, 0.15, 1.0)
        predicted = whole * np.exp(chance.normal(0, 0.41, len(whole)))
        durations = whole * shares
        waiting = played(Order(workers), durations, predicted, shares)
        idle.append(1 - played(Order(), durations, predicted, shares, workers) / waiting)
    assert np.mean(idle) < 0.05


def played(order: Order, durations: np.ndarray, predicted: np.ndarray, shares: np.ndarray, free: int = 0) -> float:
    """Return when the last training ends."""
    now, running, free = 0.0, list[tuple[float, int]](), order.workers or free
    while len(order) < len(durations) or running:
        while len(order) < len(durations) and free and order.is_ready(len(order)):
            ordinal = begin(order, float(predicted[len(order)]))
            heapq.heappush(running, (now + float(durations[ordinal]), ordinal))
            free -= 1
        now, ended = heapq.heappop(running)
        order.end(ended, again=False, share=float(shares[ended]))
        free += 1
    return now


def test_share_of_a_conversion_is_all_of_it() -> None:
    flat = {"training.epochs": 10}
    assert trained_share(flat, {"epoch": 4, "metrics": {}}) == 0.4
    assert trained_share(flat, {"epoch": 1, "metrics": {"ann_trained": 0.0}}) == 1.0


def test_results_count_in_the_order_of_their_trainings_also_after_some_were_waited_for() -> None:
    order, costs = Order(2), np.random.default_rng(1).uniform(1, 100, 40)
    for ordinal, cost in enumerate(costs):
        begin(order, cost)
        order.end(ordinal, again=False)
    before = order.counting(20)
    order.wait_for_all(20)
    due = sorted((order[other].due, other) for other in range(40))
    for ordinal in range(40):
        assert order.counting(ordinal) == [other for first, other in due if first <= ordinal]
    assert set(order.counting(20)) == set(range(20)) > set(before)
