"""The contract of a sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spikefront.plugins.contracts.plugin import Plugin

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


class Sampler(Plugin):
    """The Optuna sampler that proposes the candidates of a search: Optuna's own, OptunaHub's, or another.

    The study has two or more objectives, and its space is conditional and define-by-run: which hyperparameters a
    candidate has is known only while it is drawn. A sampler that needs a fixed space (``infer_relative_search_space``)
    sees the hyperparameters that all finished trials have in common; the others come from ``sample_independent``.

    The driver alone calls the sampler, from one thread. Queued candidates (priors, and trials that are evaluated again)
    pass it by. Values of logarithmic objectives are logarithms. A limit on energy, say, comes as a constraint of the
    trial, which samplers that know constraints respect.

    A search may draw several candidates for one trial and evaluate one of them, which it has not tried before. It calls
    ``before_trial`` and ``after_trial`` once for each trial, but ``infer_relative_search_space``, ``sample_relative``
    and ``sample_independent`` once for each candidate drawn; in the first trials of a search that is aware of costs,
    which take the codings in turn, not at all.

    Args:
        config: its ``Config``, or None for the defaults.
    """

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    def make(self, seed: int) -> BaseSampler:
        """Return a sampler for one study.

        Args:
            seed: seed of all its random draws. A search that is resumed gets a new sampler with another seed.
        """
        raise TypeError(f"{type(self).__name__} must define make(seed)")
