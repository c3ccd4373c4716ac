"""Recommendation: which coding is the best within a budget, how surely, and with which trainings that is found out."""

from typing import Final

PER_CODING: Final = 2
"""Candidates of each coding. The best of many on one seed owes some of its place to that seed: where candidates differ
as much as seeds do, the truly best of ten is the best on one seed in 43 % of cases, and among the best two in 65 %
(``benchmarks/recommend.py --candidates``)."""
