"""Plan of a search: everything that can be checked before anything starts. Imports no Ray."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from spikefront.plugins import ArrayTask, Backbone, Coding, Registry, SearchData, Task, load_registry
from spikefront.runners.engine.memory.claim import Claim
from spikefront.runners.engine.memory.journal import read_attributes
from spikefront.runners.engine.memory.resume import about, as_begun, charged_otherwise, refuse_changed
from spikefront.runners.engine.parts import (
    check_quality_limit,
    make_energy_model,
    make_loggers,
    make_rules,
    make_sampler,
    objectives_of,
    refuse_times,
    refuse_unused,
    rungs_of,
    split_narrowings,
)
from spikefront.runners.engine.proposing.start import check_start
from spikefront.runners.engine.settings import SearchSettings, check_folder, refuse_taken
from spikefront.runners.judging.augmentation import refuse_misfit
from spikefront.runners.judging.precision import refuse_slow
from spikefront.searchspace import SearchInfo, Space, Trial
from spikefront.searchspace.narrowing import members

_ENOUGH: Final = 10
"""Gradient steps; with fewer quality stays near chance, whatever is trained."""
_ENOUGH_OF_ARRAYS: Final = 100
"""The same of own arrays, whose length of training nobody has chosen for them."""


class SearchPlan:
    """A search before it starts. The constructor checks all that can be refused, and leaves nothing behind.

    Args:
        settings: all options of the search.
        registry: plugins, as the workers will find them too; loaded when None.
        space: what to search; that of the settings when None.

    Raises:
        UsageError: when anything in the settings makes no sense, the folder holds another search, or a search that is
            resumed is not what it was.

    Attributes:
        settings: all options of the search.
        registry: the plugins.
        space: what is searched.
        task: the task of the search.
        objectives: the axes of the front.
        energy_model: what prices the operations.
        sampler: the plugin that makes the sampler.
        rules: the stopping rules, in their order.
        loggers: the loggers, in their order.
        about: what the journal stores for a resume.
        charged_otherwise: a warning of a search that is resumed and began under other rules of counting, or nothing.
    """

    def __init__(self, settings: SearchSettings, registry: Registry | None = None, space: Space | None = None) -> None:
        self.settings = settings
        self.registry = registry or load_registry(settings.plugin_folders)
        self.space = space or space_of(settings, self.registry)
        check_folder(settings)
        if not settings.resume:
            refuse_taken(settings)
        self.task: Task = self.registry.task(self.space.default())
        check_quality_limit(settings, self.task)
        self.objectives = objectives_of(type(self.task), settings, self.registry)
        self.energy_model = make_energy_model(settings, self.registry)
        refuse_times(self.objectives, self.energy_model, settings)
        refuse_unused(settings, self.registry)
        self.sampler, self.rules = make_sampler(settings, self.registry), make_rules(settings, self.registry)
        self.loggers = make_loggers(settings, self.registry)
        self.charged_otherwise = ""
        if not settings.resume:
            check_start(settings, self.space)
        else:
            stored = read_attributes(settings.directory)["search"]
            self.objectives = as_begun(self.objectives, stored)
            self.charged_otherwise = charged_otherwise(stored)
            if not settings.force:
                refuse_changed(stored, self.registry, self.space)
        self.about = about(settings, self.registry, self.space, self.objectives)

    def claim(self, taken: Callable[[str], bool] = lambda name: False) -> Claim:
        """Make and lock the search's folder for this driver; a name that nobody chose is made free.

        Args:
            taken: returns whether a name is in use elsewhere, such as in the store.

        Raises:
            UsageError: when the folder can't be made or locked, holds another search, or another driver has it.
        """
        claim = Claim(self.settings, taken)
        self.settings = claim.settings
        self.about["options"]["name"] = self.settings.name
        return claim

    def read_data(self) -> SearchData:
        """Read training and validation split, and check that the augmentation fits them.

        Raises:
            UsageError: when files are missing or damaged, images are too small for the augmentation, the precision
                of training is slow on this machine, some networks can't be trained in parts, or a fixed backbone is
                for other data.
        """
        default = self.space.default()
        if not self.settings.address:
            refuse_slow(default.training.schedule)
        for names in self.space.combinations:
            if 0 < default.training.schedule.truncation < max(members(self.space.steps_domain(names["coding"]))):
                self.registry.refuse_truncated(names["coding"], names["neuron"], names["backbone"])
        data = self.task.search_data(self.settings.data_folder, default.steps)
        shape = tuple(self.task.prepare(data.train.inputs[:1]).shape[1:])
        refuse_misfit(default.training.schedule, self.task, shape)
        self._refuse_backbones(self.task.shape_at_one_step(shape), data.outputs)
        return data

    def _refuse_backbones(self, shape: tuple[int, ...], outputs: int) -> None:
        """Raise ``UsageError`` for a backbone that does not fit the task beside codings that keep its shape."""
        for name in sorted({names["backbone"] for names in self.space.combinations}):
            backbone: type[Backbone] = self.registry.get("backbone", name)
            if backbone.refuse_task.__func__ is Backbone.refuse_task.__func__:  # type: ignore[attr-defined]
                continue  # it fits all
            beside = {names["coding"] for names in self.space.combinations if names["backbone"] == name}
            codings: list[type[Coding]] = [self.registry.get("coding", coding) for coding in sorted(beside)]
            if any(one(steps=one.step_range.low).encoded_shape(shape) == shape for one in codings):
                backbone.refuse_task(shape, outputs)

    def few_steps(self, data: SearchData) -> str:
        """Return a warning where trials make too few gradient steps to learn anything; empty where they don't.

        Where epochs, batch or subset are searched, some trial makes enough.
        """
        schedule = self.space.default().training.schedule
        names = ("training.epochs", "training.batch", "training.subset")
        samples = min(schedule.subset or len(data.train), len(data.train))
        steps = schedule.epochs * math.ceil(samples / schedule.batch)
        enough = _ENOUGH_OF_ARRAYS if isinstance(self.task, ArrayTask) else _ENOUGH
        if steps >= enough or any(row.searched for row in self.space.rows() if row.name in names):
            return ""
        made = f"{schedule.epochs} epochs over {samples} samples in batches of {schedule.batch}"
        return (
            f"a trial makes {steps} gradient steps ({made}), too few for its quality to say much; "
            "take more --epochs, or a smaller --set training.batch"
        )

    @property
    def priors_left_out(self) -> str:
        """One line about the priors that the space has no room for; empty where all fit, or none were asked for."""
        if not self.settings.priors or self.settings.resume or not (found := self.space.priors_left_out()):
            return ""
        return f"--priors leaves out, as this space has not all that they need: {'; '.join(found)}"

    @property
    def description(self) -> str:
        """One line about the data, of a task that was made from arrays; empty for any other."""
        return self.task.describe() if isinstance(self.task, ArrayTask) else ""

    def info(self, earlier: tuple[Trial, ...] | None = None, search_id: str = "") -> SearchInfo:
        """Return what callbacks learn of the search.

        Args:
            earlier: the trials of a search that is resumed, which ended before.
            search_id: its id, as the journal has it.
        """
        settings = self.settings
        space = "; ".join(map(str, settings.narrowings)) or "whole"
        model = self.energy_model
        priced = {f"energy.{model.name}.{field}": value for field, value in model.config_values().items()}
        return SearchInfo(
            name=str(settings.name),
            task=self.space.task,
            quality=self.task.quality,
            objectives=self.objectives,
            folder=settings.directory,
            trials=settings.trials,
            time_s=settings.time_s,
            options={
                **settings.stored(),
                **rungs_of(settings),
                "energy_model": model.name,
                **priced,
                "space": space,
            },
            plugins=self.registry.versions(),
            earlier=earlier,
            energy_model=model.name,
            id=search_id,
            inputs=self.task.inputs,
        )


def space_of(settings: SearchSettings, registry: Registry) -> Space:
    """Return the space that settings describe.

    Raises:
        UnknownName: for a task, a plugin or a hyperparameter that does not exist.
        UsageError: when a plugin of that name is broken, or a narrowing makes no sense.
    """
    assert settings.task is not None
    registry.get("task", settings.task)  # says so when a plugin of that name is broken
    narrowings, _ = split_narrowings(settings.narrowings)
    for narrowing in narrowings:
        if narrowing.pattern in ("coding", "neuron", "backbone"):
            for name in narrowing.values:
                registry.get(narrowing.pattern, name)
    return Space(registry, settings.task, narrowings, settings.seed)
