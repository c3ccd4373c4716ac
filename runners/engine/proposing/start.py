"""First candidates of a search: the front of another search, defaults, published settings and starting points."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import optuna
from optuna.study import StudyDirection

from spikefront.runners.engine.memory.journal import read_attributes, read_journal
from spikefront.runners.engine.proposing.cost import CostModel
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import Prior, Space, UsageError, Value
from spikefront.searchspace.front import nondominated

_SHARE: Final = 2 / 3  # of the trials; the rest is the sampler's, however few there are

_log = logging.getLogger(__name__)


def check_start(settings: SearchSettings, space: Space) -> None:
    """Raise ``UsageError`` when there is no search of the name in ``--from``, or it has found nothing in this space."""
    _from_front(settings, space)


def _from_front(settings: SearchSettings, space: Space) -> list[Prior]:
    if settings.from_ is None:
        return []
    found = space.fitted(front_of(Path(settings.folder) / settings.from_))
    if not found:
        raise settings.error("from_", ": no coding on its front is in this space; leave it out")
    return found


def first_candidates(settings: SearchSettings, space: Space, cost: CostModel | None) -> list[Prior]:
    """Return what the first trials evaluate: the front of another search, then the priors.

    A prior that is predicted to outlast the time of the search is left out, with a line.

    Args:
        settings: options of the search; one of few trials takes the first of them only.
        space: what is searched.
        cost: by which the priors are sorted, the cheapest first; None leaves them in the order of the codings.

    Raises:
        UsageError: when there is no other search of that name, or it has found nothing in this space.
    """
    found = _from_front(settings, space)
    if settings.priors:
        priors = [(0.0 if cost is None else cost.predict(prior.candidate), prior) for prior in space.priors()]
        priors.sort(key=lambda costly: costly[0])
        known = {prior.candidate for prior in found}
        for seconds, prior in priors:
            if settings.time_s is not None and settings.time_s < seconds < math.inf:
                _log.warning("a prior is left out, predicted to take %.0f s: %s", seconds, prior.candidate)
            elif prior.candidate not in known:
                found.append(prior)
    return found if settings.trials is None else found[: math.ceil(_SHARE * settings.trials)]


def front_of(folder: Path) -> list[Mapping[str, Value]]:
    """Return the flat candidates on the front of the search in a folder, which may still run.

    Raises:
        UnknownName: when there is no such search beside the others.
        UsageError: when none of its trials has been evaluated at full budget.
    """
    read_attributes(folder)
    storage = read_journal(folder)
    (stored,) = storage.get_all_studies()  # its folder may have been renamed
    study = optuna.load_study(study_name=stored.study_name, storage=storage)
    trials = study.get_trials(deepcopy=False)
    judged = [trial for trial in trials if trial.user_attrs.get("outcome", {}).get("state") == "COMPLETE"]
    judged = [trial for trial in judged if trial.values is not None]
    if not judged:
        raise UsageError(f"--from {folder.name}: none of its trials has been judged yet; wait, or leave it out")
    signs = [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in study.directions]
    front = nondominated(np.array([trial.values for trial in judged]) * signs)
    return [trial.user_attrs["candidate"] for trial, on_it in zip(judged, front, strict=True) if on_it]
