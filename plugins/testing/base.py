"""Base of all contracts of plugins."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from operator import attrgetter
from typing import Any, ClassVar, Final

import optuna
import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins.contracts import (
    Coding,
    Neuron,
    Plugin,
    SiteInfo,
)
from spikefront.plugins.contracts.site import Site, SiteFactory
from spikefront.plugins.kinds import KINDS
from spikefront.plugins.network.operations import Operations
from spikefront.plugins.network.signal import Kind, Signal
from spikefront.plugins.registration import checked, refuse_relations
from spikefront.plugins.registry import Entry, Registry, load_registry
from spikefront.plugins.surrogates.atan import ATan
from spikefront.searchspace import Domain, build, fields_of, from_flat
from spikefront.searchspace.fields import existing

SAMPLES: Final = 20
"""Configs drawn from a plugin's space."""

SITES: Final = (
    SiteInfo(0, stage=0, channels=4, size=(8, 8), last_of_stage=False, stages=2),
    SiteInfo(1, stage=0, channels=6, size=(8, 8), last_of_stage=True, stages=2),
    SiteInfo(2, stage=1, channels=16, size=(1, 1), last_of_stage=True, stages=2),
)
"""Sites that a coding is asked about."""

_ALLOWED: Final = {Kind.BINARY: (0.0, 1.0), Kind.TERNARY: (-1.0, 0.0, 1.0)}


def sample_configs(config: type, *, tighter: Mapping[str, Domain] | None = None, count: int = SAMPLES) -> list[Any]:
    """Draw configs as a random search does, pinned hyperparameters included.

    Args:
        config: the config dataclass.
        tighter: domains that replace those of some fields, as ``Coding.domains`` returns them.
        count: how many; a config without hyperparameters is drawn once.
    """
    fields = fields_of(config)
    domains = {field.name: field.domain for field in fields} | dict(tighter or {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    configs = []
    for _ in range(count if fields else 1):
        drawn = study.ask(domains).params
        configs.append(build(config, existing(fields, drawn), config.__qualname__))
    return configs


def assert_honest(values: Tensor, kind: Kind) -> None:
    """Check that values are finite and that a spiking edge carries nothing but spikes."""
    assert values.isfinite().all(), "not finite"
    if kind in _ALLOWED:
        strange = set(values.unique().tolist()) - set(_ALLOWED[kind])
        assert not strange, f"an edge declared {kind} carries {sorted(strange)[:5]}"


def assert_priced(operations: Operations) -> None:
    """Check that operations are counts."""
    for number in (operations.adds, operations.multiplies, operations.shifts):
        assert 0 <= number < float("inf"), operations


def assert_survive_fresh_process(plugins: Sequence[type[Plugin]]) -> None:
    """Send classes and sampled configs to a new Python process as Ray does, and compare what comes back.

    One process for all of them, since each start imports torch.
    """
    from ray import cloudpickle  # only this check needs it

    sent = [(plugin, config) for plugin in plugins for config in sample_configs(plugin.Config, count=3)]
    script = (
        "import sys; from ray import cloudpickle; items = cloudpickle.load(sys.stdin.buffer);"
        "assert all(isinstance(config, plugin.Config) for plugin, config in items);"
        "sys.stdout.buffer.write(cloudpickle.dumps(items))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], input=cloudpickle.dumps(sent), env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert cloudpickle.loads(done.stdout) == sent


class NumberedSites(SiteFactory):
    """Real sites, with the order in which the forward pass reaches them.

    Attributes:
        reached: their numbers, in the order they were called.
    """

    def __init__(self, neuron: type[Neuron], coding: Coding | None = None) -> None:
        super().__init__(lambda: neuron(surrogate=ATan()), coding)
        self.reached: list[int] = []

    def __call__(
        self,
        channels: int,
        size: tuple[int, int] = (1, 1),
        *,
        stage: int = 0,
        last_of_stage: bool = False,
        recurrent: bool = False,
    ) -> nn.Module:
        site = super().__call__(channels, size, stage=stage, last_of_stage=last_of_stage, recurrent=recurrent)
        site.register_forward_pre_hook(self._note)
        return site

    def _note(self, site: nn.Module, args: tuple[Signal]) -> None:
        assert isinstance(site, Site)
        (current,) = args
        height, width = site.info.size
        self.reached.append(site.info.index)
        assert current.values[0, 0].numel() == site.info.channels * height * width, site.info


class PluginContract:
    """What every plugin of every kind must do."""

    kind: ClassVar[str]

    @pytest.fixture(autouse=True)
    def seed(self) -> None:
        """Make random inputs the same in every run."""
        torch.manual_seed(0)

    def test_it_registers(self, plugin: type[Plugin]) -> None:
        assert registry_with(self.kind, plugin).get(self.kind, plugin.name) is plugin

    def test_every_default_lies_in_its_domain(self, plugin: type[Plugin]) -> None:
        fields_of(plugin.Config)

    def test_it_is_documented(self, plugin: type[Plugin]) -> None:
        assert (plugin.__doc__ or "").strip()
        undocumented = [field.name for field in fields_of(plugin.Config) if not field.doc]
        assert not undocumented, "each needs a string below it"

    def test_sampled_configs_survive_json(self, plugin: type[Plugin]) -> None:
        registry = registry_with(self.kind, plugin)
        family = KINDS[self.kind].family
        for config in sample_configs(plugin.Config):
            values = json.loads(json.dumps(asdict(config)))
            assert build(plugin.Config, values, plugin.name) == config
            if family:
                flat = {f"{family}.{plugin.name}.{name}": value for name, value in values.items()}
                candidate = from_flat({"task": "digits", "coding": "direct", family: plugin.name, **flat}, registry)
                assert attrgetter(family)(candidate).config == config
                assert from_flat(json.loads(candidate.to_json()), registry) == candidate


@cache
def built_in() -> Registry:
    """Return the built-in plugins; not to be changed."""
    return load_registry(third_parties=False)


def registry_with(kind: str, plugin: type[Plugin]) -> Registry:
    """Return the built-in plugins and this one, checked as at registration.

    Raises:
        UsageError: for a declaration that makes no sense: a config that can be written to, an unknown kind of input, a
            hyperparameter in ``requires`` that no plugin has, settings in ``published`` that are none.
    """
    registry = load_registry(third_parties=False)
    registry.entries[kind][plugin.name] = Entry(checked(plugin, KINDS[kind]), plugin.__module__, "test")
    if issubclass(plugin, Coding):
        refuse_relations(registry, plugin)
    return registry
