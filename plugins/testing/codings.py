"""The contract of a coding."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from spikefront.plugins.checks.prefix import refuse_other_prefix
from spikefront.plugins.checks.probe import SAMPLES as SAMPLES_OF_A_PROBE
from spikefront.plugins.checks.probe import another as _another
from spikefront.plugins.checks.probe import fit_norms
from spikefront.plugins.contracts import Between, Coding, InputKind
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.network.signal import Kind, Signal, refuse_time_axis
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.testing.base import (
    SAMPLES,
    SITES,
    NumberedSites,
    assert_honest,
    assert_priced,
    built_in,
    sample_configs,
)
from spikefront.plugins.testing.inputs import InputsContract, some_steps, spans
from spikefront.plugins.testing.properties import assert_network_sound, assert_sound, network_of, normless, six
from spikefront.searchspace import Choice, Float, Int, fields_of
from spikefront.searchspace.domains import contains


class CodingContract(InputsContract):
    """What every coding must do."""

    def example_input(self, plugin: type[Coding], steps: int) -> Tensor:
        """Return a batch in [0, 1], with both ends, of a kind that the coding takes."""
        torch.manual_seed(0)
        if "static" in plugin.inputs:
            x = torch.rand(3, 1, 8, 8)
            x[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
            return x
        return (torch.rand(3, steps, 2, 8, 8) < 0.3).float()

    def test_encodes_with_time_first(self, plugin: type[Coding]) -> None:
        for steps in spans(plugin):
            x = self.example_input(plugin, steps)
            coding = plugin(steps=steps)
            signal = _signal(coding, x)
            assert signal.steps == steps
            assert signal.values.shape[0] in (1, steps)
            assert signal.values.shape[1] == len(x)
            assert signal.values.shape[2:] == coding.encoded_shape(tuple(x.shape[-3:]))
            assert_honest(signal.values, signal.kind)

    def test_keeps_dtype_and_device(self, plugin: type[Coding]) -> None:
        steps = some_steps(plugin)
        for device in ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]:
            for dtype in (torch.float32, torch.float64):
                x = self.example_input(plugin, steps).to(device, dtype)
                values = _signal(plugin(steps=steps).to(device, dtype), x).values
                assert (values.dtype, values.device) == (x.dtype, x.device)

    def test_encoder_says_what_it_costs(self, plugin: type[Coding]) -> None:
        for steps in spans(plugin):
            for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 3):
                x = self.example_input(plugin, steps)
                given = x if "static" in plugin.inputs else x.transpose(0, 1)
                coding = plugin(config, steps=steps)
                code = _signal(coding, x)
                stated = coding.encode_operations(given, code)
                assert_priced(stated)
                paid_by_the_first_synapse = code.kind is Kind.ANALOG and len(code.values) == 1
                as_given = torch.equal(code.values, given)
                assert (
                    paid_by_the_first_synapse
                    or as_given
                    or plugin.free_encoder
                    or stated.adds + stated.multiplies + stated.shifts
                ), (
                    "it encodes for nothing: let encode_operations() say what one encode() costs, or free_encoder why "
                    "it costs nothing"
                )

    def test_same_seed_gives_same_spikes(self, plugin: type[Coding]) -> None:
        steps = some_steps(plugin)
        x = self.example_input(plugin, steps)
        assert torch.equal(_encode(plugin, x, steps, seed=1), _encode(plugin, x, steps, seed=1))

    def test_one_sample_is_coded_as_in_a_batch(self, plugin: type[Coding]) -> None:
        for config in sample_configs(plugin.Config):
            steps = some_steps(plugin)
            x = self.example_input(plugin, steps)
            batch = _encode(plugin, x, steps, seed=1, config=config)
            if torch.equal(batch, _encode(plugin, x, steps, seed=2, config=config)):  # not a random coding
                alone = _encode(plugin, x[1:2], steps, seed=1, config=config)
                torch.testing.assert_close(alone, batch[:, 1:2])

    def test_gradient_reaches_the_input_unless_it_spikes(self, plugin: type[Coding]) -> None:
        steps = some_steps(plugin)
        x = self.example_input(plugin, steps).requires_grad_()
        signal = _signal(plugin(steps=steps), x)
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
            if out.coefficient is not None:
                assert out.coefficient.shape[0] in (1, spikes.steps)
                assert out.decoded().shape == spikes.values.shape
            assert_priced(module.operations(spikes, current))

    def test_modules_behind_sites_are_sound_at_inference(self, plugin: type[Coding]) -> None:
        for module, spikes, current in self._calls(plugin, samples=SAMPLES_OF_A_PROBE):
            part, module = f"coding {plugin.name!r}, behind a site,", module.eval()

            def call(inputs: list[Tensor], module: Between = module, spikes: Signal = spikes) -> tuple[Tensor, int]:
                out = module(spikes.with_values(inputs[0]), Signal(inputs[1], spikes.steps, Kind.ANALOG))
                refuse_time_axis(f"coding {plugin.name!r}, behind a site,", out, spikes.steps)
                assert out.values.shape == spikes.values.shape, "a module behind a site changes the shape at inference"
                return out.decoded(), out.delay

            others = [_another(spikes.values, spikes.kind), current.values + 1]
            assert_sound(part, call, [spikes.values, current.values], others)
            if normless(module):
                torch.manual_seed(0)
                trained = module.train()(spikes, current).decoded()
                torch.manual_seed(1)
                if torch.equal(trained, module(spikes, current).decoded()):
                    inferred = module.eval()(spikes, current).decoded()
                    same = torch.allclose(trained, inferred, rtol=1e-4, atol=1e-6)  # sums step by step round otherwise
                    assert same, f"{part} does something else at inference than in training"

    def test_networks_of_it_are_sound_and_everything_is_counted(self, plugin: type[Coding]) -> None:
        inputs: InputKind = "static" if "static" in plugin.inputs else "events"
        backbones = built_in().entries["backbone"]
        for steps in spans(plugin)[:2]:
            for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=4):
                x = self.example_input(plugin, steps)
                for backbone in (backbones["mlp"].plugin, backbones["convnet"].plugin):
                    shape, neuron = tuple(x.shape[-3:]), self.neuron(plugin)
                    coding = plugin(config, steps=steps)
                    network = network_of(coding, shape, neuron=neuron, backbone=backbone, inputs=inputs)
                    assert_network_sound(network, x, inputs)
                    assert coding.config == (plugin.Config() if config is None else config), "it wrote to its config"

    def test_gradient_reaches_every_parameter_of_its_own(self, plugin: type[Coding]) -> None:
        inputs: InputKind = "static" if "static" in plugin.inputs else "events"
        steps = some_steps(plugin)
        for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 3):
            x = six(self.example_input(plugin, steps))
            coding = plugin(config, steps=steps)
            own = dict(coding.named_parameters())
            network = network_of(coding, tuple(x.shape[-3:]), neuron=self.neuron(plugin), inputs=inputs)
            output = fit_norms(network, x).train()(x)
            ((output * torch.randn_like(output)).sum() + network.penalty()).backward()
            for name, parameter in own.items():
                assert parameter.grad is not None, f"no gradient reaches parameter {name!r} of the coding"
                assert parameter.grad.isfinite().all(), name
                assert parameter.grad.any(), f"the gradient of parameter {name!r} of the coding is zero"

    def test_penalty_after_a_forward_pass_is_a_finite_scalar_with_a_gradient(self, plugin: type[Coding]) -> None:
        inputs: InputKind = "static" if "static" in plugin.inputs else "events"
        steps = some_steps(plugin)
        for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 2):
            x = six(self.example_input(plugin, steps))
            coding = plugin(config, steps=steps)
            network = network_of(coding, tuple(x.shape[-3:]), neuron=self.neuron(plugin), inputs=inputs)
            network.train()(x)
            behind = [site.between.penalty() for site in network.sites if site.between is not None]
            for penalty in (coding.penalty(), *behind):
                if not isinstance(penalty, Tensor):
                    assert penalty == 0, f"penalty {penalty} is a number without a gradient"
                    continue
                assert penalty.shape == (), "a penalty is a scalar"
                assert penalty.isfinite(), f"penalty is {float(penalty.detach())} after a forward pass"
                assert penalty.requires_grad, "penalty has no gradient: nothing in it depends on a parameter"

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
        steps = some_steps(plugin)
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
        for steps in spans(plugin):
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
        coding = plugin(steps=some_steps(plugin))
        _modules(coding)
        for name, value in coding.metrics().items():
            assert name.startswith(f"{plugin.name}."), name
            assert abs(value) < float("inf"), name

    def test_latency_is_at_least_one_step(self, plugin: type[Coding]) -> None:
        for steps in spans(plugin):
            assert plugin(steps=steps).latency_steps(delay=0) >= 1

    def test_cuts_lie_before_the_last_step(self, plugin: type[Coding]) -> None:
        for steps in spans(plugin):
            for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 3):
                cuts = self._bound(plugin, config, steps).cuts()
                assert list(cuts) == sorted(set(cuts)), f"cuts {cuts} are not sorted"
                assert set(cuts) <= set(range(1, steps)), f"cuts {cuts} are not below T = {steps}"

    def test_operations_of_the_first_steps_grow_with_them(self, plugin: type[Coding]) -> None:
        for steps in spans(plugin):
            for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 3):
                coding = self._bound(plugin, config, steps)
                x = self.example_input(plugin, steps)
                given = x if "static" in plugin.inputs else x.transpose(0, 1)
                code, output = _signal(coding, x), Signal(torch.ones(steps, 3, 5), steps, Kind.ANALOG)
                before = 0.0
                for end in (*coding.cuts(), steps):
                    read = given if "static" in plugin.inputs else given[:end]
                    stated = coding.encode_operations(read, code.first(end)) + coding.decode_operations(
                        output.first(end)
                    )
                    assert_priced(stated)
                    total = stated.adds + stated.multiplies + stated.shifts
                    assert total >= before, f"{end} of {steps} steps cost {total:g} operations, fewer ones {before:g}"
                    before = total

    def test_cut_networks_do_what_the_whole_ones_do_until_then(self, plugin: type[Coding]) -> None:
        inputs: InputKind = "static" if "static" in plugin.inputs else "events"
        for steps in spans(plugin)[:2]:
            for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 3):
                x = six(self.example_input(plugin, steps))
                coding, shape = plugin(config, steps=steps), tuple(x.shape[-3:])
                network = fit_norms(network_of(coding, shape, neuron=self.neuron(plugin), inputs=inputs), x)
                for cut in network.cuts:
                    refuse_other_prefix(network, x, cut)
                    with network.cut_at(cut):
                        for module, spikes, current in _calls_behind_sites(network, x):
                            assert_priced(module.operations(spikes, current))

    def _bound(self, plugin: type[Coding], config: object, steps: int) -> Coding:
        """Return a coding that has its neuron."""
        coding = plugin(config, steps=steps)
        coding.bind(self.neuron(plugin)(surrogate=ATan()))
        return coding

    def test_domains_at_a_number_of_steps_only_tighten(self, plugin: type[Coding]) -> None:
        full = {field.name: field.domain for field in fields_of(plugin.Config)}
        for steps in range(plugin.step_range.low, plugin.step_range.high + 1):
            for name, domain in plugin.domains(steps).items():
                assert isinstance(domain, (Choice, Float, Int))
                for value in domain.choices if isinstance(domain, Choice) else (domain.low, domain.high):
                    assert contains(full[name], value), (name, steps, value)

    def test_sampled_configs_run_in_a_network(self, plugin: type[Coding]) -> None:
        mlp = built_in().get("backbone", "mlp")
        for steps in spans(plugin):
            for config in sample_configs(plugin.Config, tighter=plugin.domains(steps), count=SAMPLES // 3):
                coding = plugin(config, steps=steps)
                coding.bind(self.neuron(plugin)(surrogate=ATan()))
                sites = NumberedSites(self.neuron(plugin), coding)
                signal = _signal(coding, self.example_input(plugin, steps))
                backbone = mlp(input_shape=tuple(signal.values.shape[2:]), outputs=5, sites=sites)
                sites.finish()
                decoded = coding.decode(backbone(signal))
                assert decoded.shape == (3, 5)
                assert decoded.isfinite().all()

    def _calls(self, plugin: type[Coding], samples: int = 3) -> Iterator[tuple[Between, Signal, Signal]]:
        """Pair the modules of sampled configs with spikes and a current, changing and constant."""
        steps = some_steps(plugin)
        kind = self.neuron(plugin).kind
        for config in sample_configs(plugin.Config, tighter=plugin.domains(steps)):
            coding = plugin(config, steps=steps)
            for site in SITES:
                module = coding.between(site)
                shape = (site.channels, *site.size) if site.size != (1, 1) else (site.channels,)
                if module is None:
                    continue
                for length in (steps, 1):
                    values = torch.randint(-1 if kind is Kind.TERNARY else 0, 2, (steps, samples, *shape)).float()
                    current = torch.randn(length, samples, *shape)
                    yield module, Signal(values, steps, kind), Signal(current, steps, Kind.ANALOG)


def _calls_behind_sites(network: Network, x: Tensor) -> list[tuple[Between, Signal, Signal]]:
    """Return what the modules behind the sites of a network are called with."""
    calls: list[tuple[Between, Signal, Signal]] = []
    handles = [
        site.between.register_forward_pre_hook(lambda module, args: calls.append((module, *args)))
        for site in network.sites
        if site.between is not None
    ]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    return calls


def _encode(plugin: type[Coding], x: Tensor, steps: int, *, seed: int, config: object = None) -> Tensor:
    coding = plugin(config, steps=steps)
    torch.manual_seed(seed)
    return _signal(coding, x).values


def _signal(coding: Coding, x: Tensor) -> Signal:
    return coding.encode(x) if "static" in coding.inputs else coding.encode_events(x.transpose(0, 1))


def _modules(coding: Coding) -> list[Between]:
    return [module for site in SITES if (module := coding.between(site)) is not None]
