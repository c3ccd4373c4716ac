"""The contract of a sampler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

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

    A finished trial has the attribute ``points`` (``trial.user_attrs``) for what its network does when it is stopped
    after fewer steps, shape ``(n, m + 1)``: objective vectors like ``trial.values``, and by how much each oversteps the
    limits, 0 where it keeps to them.

    A search may draw several candidates for one trial and evaluate one of them, which it has not tried before. It calls
    ``before_trial`` and ``after_trial`` once for each trial, but ``infer_relative_search_space``, ``sample_relative``
    and ``sample_independent`` once for each candidate drawn; in the first trials of a search that is aware of costs,
    which take the codings in turn, not at all.

    So that a search can be repeated, and resumed as if it had never ended, there is a new sampler with a seed of its
    own for each trial. What the study has are the trials whose results count by then, in the order of their beginning;
    the others run. A sampler that keeps something from one trial to the next stores it in system attributes of the
    study or the trial, as Optuna's do, where the next one finds it.

    Attributes:
        keeps_state: whether one sampler, with the seed of the search, is to serve all of it, such as one that takes the
            points of a sequence in turn. What it keeps in memory alone is lost when the search is resumed.

    Args:
        config: its ``Config``, or None for the defaults.
    """

    keeps_state: ClassVar[bool] = False

    def __init__(self, config: Any = None) -> None:
        self._configure(config)

    def make(self, seed: int) -> BaseSampler:
        """Return a sampler for one study.

        Args:
            seed: seed of all its random draws.
        """
        raise TypeError(f"{type(self).__name__} must define make(seed)")
