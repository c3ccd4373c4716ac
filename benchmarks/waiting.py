"""How long workers wait in a search that repeats, and how many results a trial does not know: simulated.

Run: python benchmarks/waiting.py

Trials begin when all results that count for them are there, as ``Order`` decides by predicted costs. Here costs are
drawn at random, predictions are off by a factor of 1.5 in one of three cases (standard deviation of the logarithm 0.41,
as measured on digits), and time is simulated. Waiting is how much longer a search takes than one that never waits;
unknown is how many trials begun before do not count yet, on average, as a multiple of the workers. A fixed lag is what
the rule is compared with: trial n waits for all up to n - lag.
"""

from __future__ import annotations

import heapq
import statistics
from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from spikefront.runners.engine.memory.order import Order

Array = NDArray[np.float64]
Costs = Callable[[int, np.random.Generator], tuple[Array, Array]]

ERROR: Final = 0.41
SEARCHES: Final = {2: 40, 8: 8, 64: 2}
LAGS: Final = (1, 2, 4, 8)


class Lag(Order):
    """Order in which the last so many trials do not count."""

    def __init__(self, workers: int, lag: int) -> None:
        super().__init__(workers)
        self.lag = lag

    def is_ready(self, ordinal: int) -> bool:
        return all(self[other].ended for other in range(ordinal - self.lag + 1))

    def counting(self, ordinal: int) -> list[int]:
        return list(range(max(0, ordinal - self.lag + 1)))


def whole(count: int, chance: np.random.Generator) -> tuple[Array, Array]:
    """Return costs of full trainings that differ by 100, and the shares of them that are trained: all."""
    return 100 ** chance.random(count), np.ones(count)


def stopped(count: int, chance: np.random.Generator) -> tuple[Array, Array]:
    """Return the same, but that 60 % are stopped at 15 %."""
    return 100 ** chance.random(count), np.where(chance.random(count) < 0.6, 0.15, 1.0)


def digits(count: int, chance: np.random.Generator) -> tuple[Array, Array]:
    """Return costs with a standard deviation of a factor of 2.2, of which half are stopped at 15 %."""
    return np.exp(chance.normal(0, 0.8, count)), np.where(chance.random(count) < 0.5, 0.15, 1.0)


def default(count: int, chance: np.random.Generator) -> tuple[Array, Array]:
    """Return those of digits, of which the first ten cost a tenth."""
    costs, shares = digits(count, chance)
    costs[:10] /= 10
    return costs, shares


def play(order: Order, workers: int, costs: Array, shares: Array, predicted: Array) -> tuple[float, float]:
    """Return when the last trial ends, and how many results a trial does not know on average."""
    now, free, unknown, running = 0.0, workers, 0, list[tuple[float, int]]()
    while len(order) < len(costs) or running:
        while len(order) < len(costs) and free and order.is_ready(len(order)):
            ordinal = order.add(len(order))
            order.place(ordinal, float(predicted[ordinal]))
            unknown += ordinal - len(order.counting(ordinal))
            heapq.heappush(running, (now + float(costs[ordinal] * shares[ordinal]), ordinal))
            free -= 1
        now, ended = heapq.heappop(running)
        order.end(ended, again=False, share=float(shares[ended]))
        free += 1
    return now, unknown / len(costs)


def measured(make: Callable[[], Order], workers: int, costs_of: Costs, count: int) -> tuple[float, float]:
    """Return the waiting in % and the unknown results of a search, over several."""
    waiting, unknown = [], []
    for seed in range(SEARCHES[workers]):
        chance = np.random.default_rng(seed)
        costs, shares = costs_of(count, chance)
        predicted = costs * np.exp(chance.normal(0, ERROR, count))
        took, unseen = play(make(), workers, costs, shares, predicted)
        least, _ = play(Order(), workers, costs, shares, predicted)
        waiting.append(100 * (took / least - 1))
        unknown.append(unseen)
    return statistics.mean(waiting), statistics.mean(unknown)


def main() -> None:
    """Measure and print."""
    for costs_of in (whole, stopped, digits, default):
        for workers in SEARCHES:
            count = 24 if costs_of is default else max(100, 20 * workers)
            if costs_of is default and workers > 2:
                continue
            waiting, unknown = measured(partial(Order, workers), workers, costs_of, count)
            texts = [f"{waiting:4.1f} % waiting, {unknown / workers:.1f} unknown results a worker; lags:"]
            for lag in LAGS:
                waiting, _ = measured(partial(Lag, workers, lag * workers), workers, costs_of, count)
                texts.append(f"{lag}: {waiting:.0f} %")
            print(f"{costs_of.__name__:8s} {workers:3d} workers, {count} trials: {'  '.join(texts)}", flush=True)


if __name__ == "__main__":
    main()
