"""Batches of data that are mapped into memory: the next one is read while a network trains on this one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")


def one_ahead(items: Iterable[Item], load: Callable[[Item], Loaded]) -> Iterator[Loaded]:
    """Yield ``load`` of each item, in their order; a thread loads the next one meanwhile, and no more than that.

    Args:
        items: what to load; asked for in the caller's thread.
        load: called in the other thread. What it raises is raised here, in its turn.
    """
    # the number of torch's own threads is each thread's own: unset, it would be that of all cores
    settings = (torch.get_num_threads(),)
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=settings) as thread:
        coming: Future[Loaded] | None = None
        for item in items:
            following = thread.submit(load, item)
            if coming is not None:
                yield coming.result()
            coming = following
        if coming is not None:
            yield coming.result()
