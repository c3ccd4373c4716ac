from __future__ import annotations

import threading

import pytest
import torch

from spikefront.runners.judging.loading import one_ahead


def test_order_is_kept_and_nothing_is_left_out() -> None:
    for count in (0, 1, 2, 7):
        assert list(one_ahead(range(count), lambda item: item * item)) == [item * item for item in range(count)]


def test_the_next_one_is_loaded_before_it_is_asked_for_and_the_one_after_is_not() -> None:
    loaded = [threading.Event() for _ in range(4)]

    def load(item: int) -> int:
        loaded[item].set()
        return item

    batches = one_ahead(range(4), load)
    assert next(batches) == 0
    assert loaded[1].wait(10)
    assert not loaded[2].wait(0.2)
    assert list(batches) == [1, 2, 3]


def test_what_loading_raises_is_raised_in_its_turn() -> None:
    batches = one_ahead([1, 0, 2], lambda item: 1 // item)
    assert next(batches) == 1
    with pytest.raises(ZeroDivisionError):
        next(batches)


def test_thread_computes_with_as_many_threads_as_its_caller() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        assert list(one_ahead([0], lambda _: torch.get_num_threads())) == [1]
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
