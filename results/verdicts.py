"""Statistics of few repeats: how surely one of several means is the largest, or on the front, and by which test.

Everything works on plain arrays: repeats of a quality of which more is better for each arm (a member of a front, a
coding, a twin), and costs of which less is better. Repeats under the same seeds are pairs.

The posterior of the means is Student's t: ``mu_c = mean_c + s / sqrt(n_c) z_c / sqrt(chi2_df / df)``, z standard
normal, with one chi2 per draw and the variance pooled over the arms, ``s^2 = sum_c sum_s (q_cs - mean_c)^2 / df`` and
``df = sum_c (n_c - 1)`` (the non-informative prior of Box and Tiao, "Bayesian inference in statistical analysis",
1973). Where Bartlett's test rejects equal variances (p < 0.01) each arm has its own, with n_c - 1 degrees of freedom.
A bootstrap of five repeats is not a substitute: among equals it names a best one twice as often as it says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Place = Literal["stays", "undecided", "falls"]
"""What repeats say of a member of a front."""

Order = Literal[1, 0, -1] | None
"""How the mean of one arm compares with that of another; None where the seeds can't tell."""

DRAWS: Final = 4000
"""Draws of the posterior: a probability near 0.975 has a standard error of 0.0025 then."""
LEVEL: Final = 0.975
"""Least probability of being on the front with which a member stays; with 1 less this it falls. Of two equal members
the more expensive one so stays or falls in 5 % of confirmations."""
_SEED: Final = 20_234
_UNEQUAL: Final = 0.01
"""p of Bartlett's test below which variances are not pooled."""


def posterior_draws(repeats: Sequence[ArrayLike], draws: int = DRAWS) -> Floats:
    """Return draws of the means of several arms; the same ones in each call.

    An arm with one repeat, or with equal ones such as those of a silent network, is not pooled, and has the pooled
    variance of the others in any case; where no arm varies, the means are certain. A repeat that is not finite counts
    as failed: it is left out. An arm without a repeat has a mean of minus infinity.

    Args:
        repeats: those of each arm, shape ``(n_c,)``.
        draws: number of draws, even.

    Returns:
        Shape ``(draws, arms)``; NaN where no arm has two repeats, so that nothing says how they vary.
    """
    finite = [np.asarray(each, dtype=np.float64) for each in repeats]
    finite = [each[np.isfinite(each)] for each in finite]
    counts = np.array([len(each) for each in finite])
    means = np.array([each.mean() if len(each) else -np.inf for each in finite])
    freedom = counts - 1
    if not (freedom > 0).any():
        return np.full((draws, len(finite)), np.nan)
    varies = np.array([len(each) > 1 and bool((each != each[0]).any()) for each in finite])
    squares = np.array(
        [((each - each.mean()) ** 2).sum() if does else 0.0 for each, does in zip(finite, varies, strict=True)]
    )
    df = int(freedom[varies].sum()) or 1
    z, chi2 = _normal(draws, len(finite)), _chi2(draws, df)
    scale = np.sqrt(squares.sum() / df / counts.clip(min=1)) / np.sqrt(chi2 / df)[:, None]
    if unequal_variances(squares[varies], freedom[varies]):
        for arm in np.flatnonzero(varies):
            own = int(freedom[arm])
            scale[:, arm] = np.sqrt(squares[arm] / own / counts[arm]) / np.sqrt(_chi2(draws, own, int(arm)) / own)
    drawn: Floats = means + scale * z
    return drawn


@lru_cache(maxsize=8)
def _normal(draws: int, arms: int) -> Floats:
    """Return normal draws, shape ``(draws, arms)``: each with its negative, so that equals are exactly equal."""
    half = np.random.default_rng(_SEED).standard_normal((draws // 2, arms))
    return np.concatenate([half, -half])


@lru_cache(maxsize=8)
def _chi2(draws: int, df: int, arm: int = 0) -> Floats:
    """Return chi2 draws, shape ``(draws,)``: those of a draw and its negative are the same."""
    return np.tile(np.random.default_rng((_SEED, 1 + arm)).chisquare(df, draws // 2), 2)


def unequal_variances(squares: ArrayLike, freedom: ArrayLike) -> bool:
    """Return whether Bartlett's test rejects that several arms have one variance, p < 0.01; False of one arm.

    Args:
        squares: sums of squared differences from the mean of each arm, above 0, shape ``(arms,)``.
        freedom: degrees of freedom of each, 1 or more, shape ``(arms,)``.
    """
    sums, df = np.asarray(squares, dtype=np.float64), np.asarray(freedom, dtype=np.float64)
    arms, whole = len(sums), df.sum()
    if arms < 2:
        return False
    statistic = whole * np.log(sums.sum() / whole) - (df * np.log(sums / df)).sum()
    correction = 1 + ((1 / df).sum() - 1 / whole) / (3 * (arms - 1))
    return bool(statistic / correction > _critical(arms - 1))


@lru_cache(maxsize=64)
def _critical(df: int) -> float:
    from scipy.stats import chi2

    return float(chi2.isf(_UNEQUAL, df))


def probability_best(draws: ArrayLike) -> Floats:
    """Return how surely each arm has the largest mean; the sum is 1, and arms that tie in a draw share it.

    Args:
        draws: what ``posterior_draws`` returned.

    Returns:
        Shape ``(arms,)``; NaN where the draws are.
    """
    mu = np.asarray(draws, dtype=np.float64)
    if np.isnan(mu).any():
        return np.full(mu.shape[1], np.nan)
    largest = mu == mu.max(axis=1, keepdims=True)
    shares: Floats = (largest / largest.sum(axis=1, keepdims=True)).mean(axis=0)
    return shares


def probability_on_front(draws: ArrayLike, costs: ArrayLike) -> Floats:
    """Return how surely each arm is on the front: that no rival has a mean at least as large.

    Rivals cost no more on any axis. A draw in which the best rival ties counts half, and as on the front where that
    rival costs the same. An arm without rivals is on the front.

    Args:
        draws: what ``posterior_draws`` returned, shape ``(draws, arms)``.
        costs: on one or more axes, less is better, shape ``(arms, axes)``.

    Returns:
        Shape ``(arms,)``; NaN where the draws are, and there are rivals.
    """
    mu, prices = np.asarray(draws, dtype=np.float64), np.asarray(costs, dtype=np.float64)
    found = np.ones(mu.shape[1])
    for arm, behind in enumerate(rivals(prices)):
        if not behind.any():
            continue
        same = behind & (prices == prices[arm]).all(axis=1)
        ahead = (mu[:, behind] > mu[:, [arm]]).any(axis=1)
        ties = (mu[:, behind & ~same] == mu[:, [arm]]).any(axis=1) & ~ahead
        known = not np.isnan(mu[:, behind]).any() and not np.isnan(mu[:, arm]).any()
        found[arm] = 1 - ahead.mean() - ties.mean() / 2 if known else np.nan
    return found


def rivals(costs: ArrayLike) -> NDArray[np.bool_]:
    """Return which arms (columns) cost no more on any axis than each arm (rows).

    Args:
        costs: less is better, shape ``(arms, axes)``.

    Returns:
        Shape ``(arms, arms)``; no arm is its own rival.
    """
    prices = np.asarray(costs, dtype=np.float64)
    found = np.asarray((prices[None] <= prices[:, None]).all(axis=2), dtype=np.bool_)
    np.fill_diagonal(found, False)
    return found


def place_of(probability: float) -> Place:
    """Return what a probability of being on the front says; where it is not known, nothing."""
    if probability >= LEVEL:
        return "stays"
    return "falls" if probability <= 1 - LEVEL else "undecided"


def paired_p(one: ArrayLike, other: ArrayLike) -> float:
    """Return p of the paired one-sided t test of whether ``one`` has the larger mean.

    Args:
        one: repeats, shape ``(n,)``.
        other: repeats under the same seeds; a pair with a number that is not finite is left out.

    Returns:
        0 or 1 where all pairs differ by the same, 0.5 where none differ; NaN of fewer than two pairs.
    """
    from scipy.stats import t

    differences = paired_differences(one, other)
    n = len(differences)
    if n < 2:
        return math.nan
    mean = float(differences.mean())
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    if error <= 1e-12 * abs(mean) or mean == error == 0:  # the rounding of equal differences
        return 0.5 if mean == 0 else float(mean < 0)
    return float(t.sf(mean / error, n - 1))


def paired_differences(one: ArrayLike, other: ArrayLike) -> Floats:
    """Return the differences of pairs, without those that are not finite."""
    found = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return found[np.isfinite(found)]


def holm(p: ArrayLike) -> Floats:
    """Return p values adjusted for all of their tests (Holm, Scandinavian Journal of Statistics 6, 1979).

    Args:
        p: of each test, shape ``(k,)``; NaN of a test that was not made, which stays NaN and does not count.
    """
    values = np.asarray(p, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.maximum.accumulate(factors * values[order]).clip(max=1.0)
    return adjusted


def orders(pairs: Sequence[tuple[ArrayLike, ArrayLike]], alpha: float = 0.05) -> list[Order]:
    """Return how the means of several pairs of arms compare, by paired one-sided t tests, adjusted (Holm).

    Args:
        pairs: of each pair the repeats of both arms, under the same seeds.
        alpha: the level of each of the two directions.

    Returns:
        1 where the first has the larger mean, -1 where the second has, 0 where they are the same under each of two or
        more seeds, None where the seeds can't tell.
    """
    more, less = (holm([paired_p(*each) for each in side]) for side in (pairs, [pair[::-1] for pair in pairs]))
    same = [len(found := paired_differences(*pair)) > 1 and not found.any() for pair in pairs]
    return [
        0 if same[row] else 1 if more[row] <= alpha else -1 if less[row] <= alpha else None for row in range(len(pairs))
    ]


def power(seeds: int, effect: float, alpha: float = 0.05) -> float:
    """Return the power of a one-sided paired t test, exactly, by the noncentral t distribution.

    Args:
        seeds: number of pairs, 2 or more.
        effect: the true difference over the standard deviation of the differences of pairs.
        alpha: the level of the test.
    """
    from scipy.stats import nct, t

    return float(nct.sf(t.isf(alpha, seeds - 1), seeds - 1, effect * math.sqrt(seeds)))


def seeds_for(effect: float, alpha: float = 0.05, wanted: float = 0.8, most: int = 1000) -> int | None:
    """Return the least number of seeds with which a paired t test has some power; None for more than ``most``.

    Args:
        effect: as for ``power``, above 0.
        alpha: the level of the test.
        wanted: the power.
        most: where to stop looking.
    """
    if not effect > 0 or power(most, effect, alpha) < wanted:
        return None
    low, high = 1, most  # the power rises with the number
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, effect, alpha) >= wanted else (middle, high)
    return high


def discordant_error(only_one: int, only_other: int, samples: int) -> float:
    """Return the standard error of a difference of two accuracies on the same samples, which no seed shows.

    Args:
        only_one: samples that only the first classifies correctly, b.
        only_other: samples that only the second does, c.
        samples: all, N.

    Returns:
        ``sqrt(b + c - (b - c)^2 / N) / N``.
    """
    b, c = only_one, only_other
    return math.sqrt(b + c - (b - c) ** 2 / samples) / samples
