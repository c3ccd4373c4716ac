"""Contract tests of plugins: what every plugin of a kind must do, as test classes to inherit.

Give the class a fixture ``plugin``, and pytest runs the contract on it::

    from spikefront.plugins.testing import CodingContract

    class TestMyCoding(CodingContract):
        @pytest.fixture
        def plugin(self):
            return MyCoding

Other fixtures and methods that are no tests (``data_dir``, ``example_input``, ``neuron``) may be overridden to suit it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Final

import optuna
import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins.contracts import (
    Backbone,
    Between,
    Coding,
    Data,
    EnergyModel,
    Neuron,
    Plugin,
    SearchData,
    Site,
    SiteInfo,
    Task,
)
from spikefront.plugins.operations import Counts, LayerCount, Operations
from spikefront.plugins.registry import Entry, Registry, load_registry
from spikefront.plugins.signal import Kind, Signal
from spikefront.plugins.surrogates import ATan
from spikefront.searchspace import Choice, Domain, Float, Int, Part, UsageError, build, fields_of, from_flat
from spikefront.searchspace.domains import contains

SAMPLES: Final = 20
"""Configs drawn from a plugin's space."""

SITES: Final = (
    SiteInfo(0, stage=0, channels=4, size=(8, 8), last_of_stage=False),
    SiteInfo(1, stage=0, channels=6, size=(8, 8), last_of_stage=True),
    SiteInfo(2, stage=1, channels=16, size=(1, 1), last_of_stage=True),
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
        values: dict[str, Any] = {}
        for field in fields:
            values[field.name] = drawn[field.name] if field.active(values) else field.default
        configs.append(build(config, values, config.__qualname__))
    return configs


def assert_honest(values: Tensor, kind: Kind) -> None:
    """Check that values are finite and that a spiking edge carries nothing but spikes."""
    assert values.isfinite().all(), "not finite"
    if kind in _ALLOWED:
        strange = set(values.unique().tolist()) - set(_ALLOWED[kind])
        assert not strange, f"an edge declared {kind} carries {sorted(strange)[:5]}"


def assert_priced(operations: Operations) -> None:
    """Check that operations are counts."""
    for number in (operations.adds, operations.multiplies):
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


class NumberedSites:
    """Makes real sites, numbered, and notes in which order the forward pass reaches them.

    Attributes:
        made: the sites, in the order they were asked for.
        reached: their numbers, in the order they were called.
    """

    def __init__(self, neuron: type[Neuron], coding: Coding | None = None) -> None:
        self._neuron = neuron
        self._coding = coding
        self.made: list[Site] = []
        self.reached: list[int] = []

    def __call__(
        self, channels: int, size: tuple[int, int] = (1, 1), *, stage: int = 0, last_of_stage: bool = False
    ) -> nn.Module:
        info = SiteInfo(len(self.made), stage, channels, size, last_of_stage)
        between = None if self._coding is None else self._coding.between(info)
        site = Site(info, self._neuron(surrogate=ATan()), between)
        site.register_forward_pre_hook(self._note)
        self.made.append(site)
        return site

    def _note(self, site: nn.Module, args: tuple[Signal]) -> None:
        assert isinstance(site, Site)
        (current,) = args
        height, width = site.info.size
        self.reached.append(site.info.index)
        assert current.values[0, 0].numel() == site.info.channels * height * width, site.info


class PluginContract:
    """What every plugin of any kind must do."""

    kind: ClassVar[str]

    @pytest.fixture(autouse=True)
    def seed(self) -> None:
        """Make random inputs the same in every run."""
        torch.manual_seed(0)

    def test_it_registers(self, plugin: type[Plugin]) -> None:
        assert _with(self.kind, plugin).get(self.kind, plugin.name) is plugin

    def test_every_default_lies_in_its_domain(self, plugin: type[Plugin]) -> None:
        fields_of(plugin.Config)

    def test_it_is_documented(self, plugin: type[Plugin]) -> None:
        assert (plugin.__doc__ or "").strip()
        undocumented = [field.name for field in fields_of(plugin.Config) if not field.doc]
        assert not undocumented, "each needs a string below it"

    def test_sampled_configs_survive_json(self, plugin: type[Plugin]) -> None:
        registry = _with(self.kind, plugin)
        base = from_flat({"task": "digits", "coding": "direct"}, registry)
        for config in sample_configs(plugin.Config):
            if self.kind == "energy":  # no part of a candidate
                assert build(plugin.Config, json.loads(json.dumps(asdict(config))), plugin.name) == config
            else:
                part: dict[str, Any] = {self.kind: Part(plugin.name, config)}
                candidate = replace(base, **part)
                assert from_flat(json.loads(candidate.to_json()), registry) == candidate


class CodingContract(PluginContract):
    """What every coding must do."""

    kind = "coding"

    def example_input(self, plugin: type[Coding], steps: int) -> Tensor:
        """Return a batch in [0, 1], with both ends, of a kind that the coding takes."""
        torch.manual_seed(0)
        if "static" in plugin.inputs:
            x = torch.rand(3, 1, 8, 8)
            x[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
            return x
        return (torch.rand(3, steps, 2, 8, 8) < 0.3).float()

    def neuron(self, plugin: type[Coding]) -> type[Neuron]:
        """Return a neuron that the coding goes with."""
        neurons = load_registry(third_parties=False).entries["neuron"]
        name = min(plugin.neurons or {"lif"})
        assert name in neurons, f"override neuron(): {name!r} is not built in"
        plugin_class: type[Neuron] = neurons[name].plugin
        return plugin_class

    def test_encodes_with_time_first(self, plugin: type[Coding]) -> None:
        for steps in _lengths(plugin):
            x = self.example_input(plugin, steps)
            signal = plugin(steps=steps).encode(x)
            assert signal.steps == steps
            assert signal.values.shape[0] in (1, steps)
            assert signal.values.shape[1] == len(x)
            assert_honest(signal.values, signal.kind)

    def test_keeps_dtype_and_device(self, plugin: type[Coding]) -> None:
        steps = _length(plugin)
        for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
            for dtype in (torch.float32, torch.float64):
                x = self.example_input(plugin, steps).to(device, dtype)
                values = plugin(steps=steps).to(device, dtype).encode(x).values
                assert (values.dtype, values.device) == (x.dtype, x.device)

    def test_same_seed_gives_same_spikes(self, plugin: type[Coding]) -> None:
        steps = _length(plugin)
        x = self.example_input(plugin, steps)
        assert torch.equal(_encode(plugin, x, steps, seed=1), _encode(plugin, x, steps, seed=1))

    def test_one_sample_is_coded_as_in_a_batch(self, plugin: type[Coding]) -> None:
        for config in sample_configs(plugin.Config):
            steps = _length(plugin)
            x = self.example_input(plugin, steps)
            batch = _encode(plugin, x, steps, seed=1, config=config)
            if torch.equal(batch, _encode(plugin, x, steps, seed=2, config=config)):  # not a random coding
                alone = _encode(plugin, x[1:2], steps, seed=1, config=config)
                torch.testing.assert_close(alone, batch[:, 1:2])

    def test_gradient_reaches_the_input_unless_it_spikes(self, plugin: type[Coding]) -> None:
        steps = _length(plugin)
        x = self.example_input(plugin, steps).requires_grad_()
        signal = plugin(steps=steps).encode(x)
        if signal.kind is Kind.ANALOG:
            (signal.decoded() * torch.rand_like(signal.decoded())).sum().backward()
            assert x.grad is not None
            assert x.grad.isfinite().all()
            assert x.grad.any()

    def test_modules_behind_sites_keep_the_shape_and_state_their_operations(self, plugin: type[Coding]) -> None:
        for module, spikes, current in self._calls(plugin):
            out = module(spikes, current)
            assert out.values.shape == spikes.values.shape
            assert out.steps == spikes.steps
            assert_honest(out.values, out.kind)
            assert out.coefficient is None or out.coefficient.shape == (spikes.steps,)
            assert_priced(module.operations(spikes, current))

    def test_gradient_reaches_every_parameter_behind_a_site(self, plugin: type[Coding]) -> None:
        for module, spikes, current in self._calls(plugin):
            spikes.values.requires_grad_()
            out = module(spikes, current).decoded()
            (out * torch.rand_like(out)).sum().backward()
            assert spikes.values.grad is not None
            for name, parameter in module.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name

    def test_penalty_is_a_scalar_with_a_gradient(self, plugin: type[Coding]) -> None:
        steps = _length(plugin)
        for config in sample_configs(plugin.Config, tighter=plugin.domains(steps)):
            coding = plugin(config, steps=steps)
            parts: list[Coding | Between] = [coding, *_modules(coding)]
            for module in parts:
                penalty = module.penalty()
                if isinstance(penalty, Tensor):
                    assert penalty.shape == ()
                    assert penalty.isfinite()
                    penalty.backward()
                    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
                    assert gradients
                    assert all(gradient.isfinite().all() for gradient in gradients)

    def test_decodes_to_one_value_per_output(self, plugin: type[Coding]) -> None:
        for steps in _lengths(plugin):
            coding = plugin(steps=steps)
            for kind in (Kind.ANALOG, Kind.BINARY):
                values = torch.randint(0, 2, (steps, 3, 5)).float().requires_grad_()
                output = Signal(values, steps, kind)
                decoded = coding.decode(output)
                assert decoded.shape == (3, 5)
                decoded.square().sum().backward()
                assert values.grad is not None
                assert values.grad.isfinite().all()
                assert_priced(coding.decode_operations(output))

    def test_metrics_are_numbers_under_its_own_name(self, plugin: type[Coding]) -> None:
        coding = plugin(steps=_length(plugin))
        _modules(coding)
        for name, value in coding.metrics().items():
            assert name.startswith(f"{plugin.name}."), name
            assert abs(value) < float("inf"), name

    def test_latency_is_at_least_one_step(self, plugin: type[Coding]) -> None:
        for steps in _lengths(plugin):
            assert plugin(steps=steps).latency_steps(len(SITES)) >= 1

    def test_domains_at_a_number_of_steps_only_tighten(self, plugin: type[Coding]) -> None:
        full = {field.name: field.domain for field in fields_of(plugin.Config)}
        for steps in range(plugin.steps.low, plugin.steps.high + 1):
            for name, domain in plugin.domains(steps).items():
                assert isinstance(domain, (Choice, Float, Int))
                for value in domain.choices if isinstance(domain, Choice) else (domain.low, domain.high):
                    assert contains(full[name], value), (name, steps, value)

    def test_sampled_configs_run_in_a_network(self, plugin: type[Coding]) -> None:
        mlp = load_registry(third_parties=False).get("backbone", "mlp")
        for steps in _lengths(plugin):
            for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 3):
                coding = plugin(config, steps=steps)
                signal = coding.encode(self.example_input(plugin, steps))
                backbone = mlp(
                    input_shape=tuple(signal.values.shape[2:]),
                    outputs=5,
                    sites=NumberedSites(self.neuron(plugin), coding),
                )
                decoded = coding.decode(backbone(signal))
                assert decoded.shape == (3, 5)
                assert decoded.isfinite().all()

    def _calls(self, plugin: type[Coding]) -> Iterator[tuple[Between, Signal, Signal]]:
        """Pair the modules of sampled configs with spikes and a current, changing and constant."""
        steps = _length(plugin)
        kind = self.neuron(plugin).kind
        for config in sample_configs(plugin.Config, tighter=plugin.domains(steps)):
            coding = plugin(config, steps=steps)
            for site in SITES:
                module = coding.between(site)
                shape = (site.channels, *site.size) if site.size != (1, 1) else (site.channels,)
                if module is None:
                    continue
                for length in (steps, 1):
                    values = torch.randint(-1 if kind is Kind.TERNARY else 0, 2, (steps, 3, *shape)).float()
                    current = torch.randn(length, 3, *shape)
                    yield module, Signal(values, steps, kind), Signal(current, steps, Kind.ANALOG)


class NeuronContract(PluginContract):
    """What every neuron must do."""

    kind = "neuron"

    def test_emits_one_value_per_neuron_and_step(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            for shape in ((4, 3, 7), (4, 3, 2, 5, 6), (1, 3, 7)):
                for dtype in (torch.float32, torch.float64):
                    current = 2 * torch.randn(shape, dtype=dtype)
                    spikes = plugin(config, surrogate=ATan())(current, 4)
                    assert spikes.shape == (4, *shape[1:])
                    assert spikes.dtype == dtype
                    assert_honest(spikes, plugin.kind)

    def test_keeps_the_memory_layout(self, plugin: type[Neuron]) -> None:
        for length in (4, 1):
            flat = torch.randn(length * 3, 5, 6, 7).to(memory_format=torch.channels_last)
            spikes = plugin(surrogate=ATan())(flat.unflatten(0, (length, 3)), 4)
            assert spikes.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
            contiguous = flat.contiguous().unflatten(0, (length, 3))
            assert plugin(surrogate=ATan())(contiguous, 4).is_contiguous()

    def test_constant_current_equals_the_current_repeated(self, plugin: type[Neuron]) -> None:
        torch.manual_seed(0)
        constant = (2 * torch.randn(1, 3, 50)).requires_grad_()
        weight = torch.randn(6, 3, 50)
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            spikes, repeated = neuron(constant, 6), neuron(constant.repeat(6, 1, 1), 6)
            assert torch.equal(spikes, repeated)
            leaves = [constant, *neuron.parameters()]
            torch.testing.assert_close(
                torch.autograd.grad((spikes * weight).sum(), leaves),
                torch.autograd.grad((repeated * weight).sum(), leaves),
                rtol=1e-4,
                atol=1e-5,
            )

    def test_silent_without_current(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            assert not plugin(config, surrogate=ATan())(torch.zeros(5, 2, 3), 5).any()

    def test_gradient_reaches_the_current_and_every_parameter(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            current = torch.randn(5, 2, 20, requires_grad=True)
            neuron(current, 5).mul(torch.randn(5, 2, 20)).sum().backward()
            for leaf in (current, *neuron.parameters()):
                assert leaf.grad is not None
                assert leaf.grad.isfinite().all()
                assert leaf.grad.any()

    def test_keeps_no_state_between_calls(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            current = 2 * torch.randn(5, 2, 20)
            torch.manual_seed(0)
            first = neuron(current, 5)
            neuron(current[:, :1], 5)  # another batch size
            torch.manual_seed(0)
            assert torch.equal(neuron(current, 5), first)

    def test_states_its_operations(self, plugin: type[Neuron]) -> None:
        for config in sample_configs(plugin.Config):
            neuron = plugin(config, surrogate=ATan())
            assert_priced(neuron.update_operations())
            assert_priced(neuron.spike_operations())


class BackboneContract(PluginContract):
    """What every backbone must do."""

    kind = "backbone"

    def test_turns_any_signal_into_outputs_over_time(self, plugin: type[Backbone]) -> None:
        for input_shape in ((1, 8, 8), (3, 32, 32)):
            for length, kind in ((3, Kind.BINARY), (1, Kind.ANALOG)):
                backbone, _ = _build(plugin, input_shape)
                out = backbone(Signal(torch.randint(0, 2, (length, 2, *input_shape)).float(), 3, kind))
                assert out.values.shape == (3, 2, 5)
                assert out.steps == 3
                assert_honest(out.values, out.kind)

    def test_reaches_its_sites_in_the_order_it_asked_for_them(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config, count=5):
            backbone, sites = _build(plugin, (3, 32, 32), config)
            backbone(Signal(torch.rand(2, 2, 3, 32, 32), 2, Kind.ANALOG))
            assert sites.made
            assert sites.reached == list(range(len(sites.made)))

    def test_takes_a_small_input_or_says_why_not(self, plugin: type[Backbone]) -> None:
        for input_shape in ((1, 1, 1), (1, 2, 2), (2, 3, 5), (1, 1, 16)):
            for config in sample_configs(plugin.Config, count=5):
                try:
                    backbone, _ = _build(plugin, input_shape, config)
                except UsageError:
                    continue
                assert backbone(Signal(torch.rand(2, 2, *input_shape), 2, Kind.ANALOG)).values.shape == (2, 2, 5)

    def test_gradient_reaches_every_parameter(self, plugin: type[Backbone]) -> None:
        backbone, _ = _build(plugin, (1, 8, 8))
        out = backbone(Signal(torch.rand(1, 4, 1, 8, 8), 4, Kind.ANALOG))
        (out.decoded() * torch.randn_like(out.decoded())).sum().backward()
        for name, parameter in backbone.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    def test_sampled_configs_construct_and_run(self, plugin: type[Backbone]) -> None:
        for config in sample_configs(plugin.Config):
            try:
                backbone, _ = _build(plugin, (1, 8, 8), config)
            except UsageError:  # too deep for an input this small
                continue
            assert backbone(Signal(torch.rand(2, 2, 1, 8, 8), 2, Kind.ANALOG)).values.shape == (2, 2, 5)


class TaskContract(PluginContract):
    """What every task must do. Skipped where its files are missing."""

    kind = "task"
    steps: ClassVar[int] = 4

    @pytest.fixture
    def data_dir(self) -> Path | None:
        """Return the folder that the task reads; None lets it look, and download, where it likes."""
        return None

    @pytest.fixture
    def data(self, plugin: type[Task], data_dir: Path | None) -> SearchData:
        """Return the training and validation splits."""
        try:
            return plugin().search_data(data_dir, self.steps)
        except UsageError as missing:
            pytest.skip(str(missing))

    def test_splits_share_no_sample(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        test = plugin().test_data(data_dir, self.steps)
        train, validation, tested = (_samples(split) for split in (data.train, data.validation, test))
        assert train
        assert validation
        assert tested
        assert not train & validation
        assert not (train | validation) & tested

    def test_same_split_twice(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        again = plugin().search_data(data_dir, self.steps)
        for one, other in ((data.train, again.train), (data.validation, again.validation)):
            assert torch.equal(one.inputs, other.inputs)
            assert torch.equal(one.targets, other.targets)

    def test_prepares_floats_between_0_and_1(self, plugin: type[Task], data: SearchData) -> None:
        batch = plugin().prepare(data.train.inputs[:64])
        assert batch.is_floating_point()
        assert len(batch) == min(64, len(data.train))
        assert batch.min() >= 0
        assert batch.max() <= 1
        assert batch.any()
        assert plugin.inputs == "static" or batch.shape[1] == self.steps

    def test_every_class_has_an_output(self, plugin: type[Task], data: SearchData, data_dir: Path | None) -> None:
        for split in (data.train, data.validation, plugin().test_data(data_dir, self.steps)):
            assert len(split.inputs) == len(split.targets)
            if not split.targets.is_floating_point():
                assert split.targets.min() >= 0
                assert split.targets.max() < data.outputs

    def test_loss_has_a_gradient_and_quality_is_a_number(self, plugin: type[Task], data: SearchData) -> None:
        targets = data.validation.targets[:16]
        output = torch.randn(len(targets), data.outputs, requires_grad=True)
        loss = plugin().loss(output, targets)
        assert loss.shape == ()
        loss.backward()
        assert output.grad is not None
        assert output.grad.isfinite().all()
        assert abs(plugin().score(output.detach(), targets)) < float("inf")


class EnergyModelContract(PluginContract):
    """What every energy model must do."""

    kind = "energy"

    def test_names_its_technology_and_source(self, plugin: type[EnergyModel]) -> None:
        assert plugin.technology
        assert plugin.source

    def test_nothing_done_costs_nothing(self, plugin: type[EnergyModel]) -> None:
        assert plugin().energy_nj(_counts(0)) == 0

    def test_energy_is_linear_in_the_counts(self, plugin: type[EnergyModel]) -> None:
        for config in sample_configs(plugin.Config):
            once = plugin(config).energy_nj(_counts(1))
            assert once > 0
            assert plugin(config).energy_nj(_counts(10)) == pytest.approx(10 * once)

    def test_energy_is_per_sample(self, plugin: type[EnergyModel]) -> None:
        counts = _counts(1)
        twice = replace(counts, samples=2 * counts.samples)
        assert plugin().energy_nj(twice) == pytest.approx(plugin().energy_nj(counts) / 2)

    def test_energy_is_the_sum_of_the_layers(self, plugin: type[EnergyModel]) -> None:
        layers = plugin().layer_energy_nj(_counts(1))
        assert set(layers) == {layer.layer for layer in _counts(1).layers}
        assert min(layers.values()) >= 0
        assert plugin().energy_nj(_counts(1)) == pytest.approx(sum(layers.values()))


def _with(kind: str, plugin: type[Plugin]) -> Registry:
    """Return the built-in plugins and this one."""
    registry = load_registry(third_parties=False)
    registry.entries[kind][plugin.name] = Entry(plugin, plugin.__module__, "test")
    return registry


def _lengths(plugin: type[Coding]) -> list[int]:
    """Fewest, some and most time steps that a coding is searched over."""
    return sorted({plugin.steps.low, _length(plugin), min(plugin.steps.high, 32)})


def _length(plugin: type[Coding]) -> int:
    return min(max(plugin.steps.low, 5), plugin.steps.high)


def _encode(plugin: type[Coding], x: Tensor, steps: int, *, seed: int, config: object = None) -> Tensor:
    coding = plugin(config, steps=steps)
    torch.manual_seed(seed)
    return coding.encode(x).values


def _modules(coding: Coding) -> list[Between]:
    return [module for site in SITES if (module := coding.between(site)) is not None]


def _build(plugin: type[Backbone], shape: tuple[int, ...], config: object = None) -> tuple[Backbone, NumberedSites]:
    torch.manual_seed(0)
    sites = NumberedSites(load_registry(third_parties=False).get("neuron", "lif"))
    return plugin(config, input_shape=shape, outputs=5, sites=sites), sites


def _samples(data: Data) -> set[bytes]:
    return {sample.numpy().tobytes() for sample in data.inputs}


def _counts(times: int) -> Counts:
    """Return the counts of a synapse and a neuron, ``times`` over."""
    synapse = LayerCount(
        layer="layers.0",
        role="synapse",
        sops=1200 * times,
        macs=70 * times,
        macs_every_step=210 * times,
        operations=Operations(adds=5.0, multiplies=3.0) * times,
        events=20 * times,
        sites=64 * times,
    )
    neuron = LayerCount(
        layer="layers.1",
        role="neuron",
        operations=Operations(adds=96.0, multiplies=48.0) * times,
        events=9 * times,
        sites=48 * times,
    )
    return Counts(samples=4, steps=3, layers=(synapse, neuron))
