from __future__ import annotations

import pytest
import torch
from scipy.signal import lfilter
from torch import Tensor, nn

from spikefront.plugins import Kind, Operations, Signal, SiteFactory
from spikefront.plugins.bases.latent import Autoregressive, Pick, SpikingLatent, filtered
from spikefront.plugins.codings.sac import SAC, SACConfig
from spikefront.plugins.neurons.lif import LIF, LIFConfig
from spikefront.plugins.neurons.tsa import TSA, TSAConfig
from spikefront.plugins.surrogates.atan import ATan

LATENTS, CHOICES, FEATURES = 6, 4, 5


def factory(neuron: str = "lif", coding: SAC | None = None) -> SiteFactory:
    if neuron == "tsa":
        return SiteFactory(lambda: TSA(TSAConfig(silent_period=1, relu=False), surrogate=ATan()), coding)
    return SiteFactory(lambda: LIF(LIFConfig(threshold=0.5), surrogate=ATan()), coding)


def autoregressive(features: int, neuron: str = "lif") -> Autoregressive:
    torch.manual_seed(0)
    network = Autoregressive(LATENTS, CHOICES, features, factory(neuron), stage=0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d):
            assert module.running_mean is not None
            module.running_mean.normal_()
            module.bias.data.normal_()
    return network.eval()


def draws(steps: int, batch: int = 3) -> Tensor:
    return torch.randint(CHOICES, (steps, batch, LATENTS))


def given(steps: int, batch: int = 3) -> Signal:
    return Signal(torch.randint(0, 2, (steps, batch, FEATURES)).float(), steps, Kind.BINARY)


def test_pick_takes_the_spike_of_the_neuron_that_was_drawn() -> None:
    spikes = torch.tensor([[[1.0, 0, 0, 0, 1, 0]]])  # two latents of three neurons
    for picked, expected in (((0, 1), (1, 1)), ((2, 1), (0, 1)), ((0, 2), (1, 0))):
        out = Pick(3)(Signal(spikes, 1, Kind.BINARY), torch.tensor([[picked]]))
        assert out.values.flatten().tolist() == list(expected)
        assert out.kind is Kind.BINARY


def test_picked_spike_is_worth_the_mean_of_what_the_neurons_are_worth() -> None:
    coefficient = torch.tensor([[1.0, 2, 3, 4, 5, 9]])
    out = Pick(3)(Signal(torch.ones(1, 1, 6), 1, Kind.BINARY, coefficient), torch.zeros(1, 1, 2, dtype=torch.int64))
    assert out.coefficient is not None
    assert out.coefficient.tolist() == [[2, 6]]


def test_pick_costs_a_random_number_per_latent_and_step() -> None:
    signal = Signal(torch.zeros(2, 3, LATENTS * CHOICES), 2, Kind.BINARY)
    assert Pick(CHOICES).operations(signal, draws(2)) == Operations(adds=36, multiplies=36)


@pytest.mark.parametrize("tau", [1.5, 2.0, 4.0])
def test_filter_is_that_of_scipy(tau: float) -> None:
    x = torch.rand(7, 2, 3, dtype=torch.float64)
    expected = lfilter([1 / tau], [1, 1 / tau - 1], x.numpy(), axis=0)
    torch.testing.assert_close(filtered(x, tau), torch.from_numpy(expected))


def stepwise(network: Autoregressive, picked: Tensor, features: Tensor | None) -> Tensor:
    """Run the network as hardware does: step by step, with membranes that last, feeding back what was picked.

    The neuron: V decays towards the current by half, fires at 0.5, is set to 0.
    """
    weights = [network.layers[1].folded(), network.layers[3].folded()]  # type: ignore[operator]
    membranes = [torch.zeros(1) for _ in range(3)]
    z, out = torch.zeros(picked.shape[1:]), []
    for t, index in enumerate(picked):
        weight, bias = network.past.folded()
        current = nn.functional.linear(z, weight, bias)
        if features is not None:
            assert network.given is not None
            current = current + nn.functional.linear(features[t], *network.given.folded())
        for layer in range(3):
            if layer:
                current = nn.functional.linear(current, *weights[layer - 1])
            charged = membranes[layer] + (current - membranes[layer]) / 2
            fired = (charged >= 0.5).float()
            membranes[layer], current = charged * (1 - fired), fired
        z = current.view(*z.shape, CHOICES).gather(2, index.unsqueeze(2)).squeeze(2)
        out.append(z)
    return torch.stack(out)


@pytest.mark.parametrize("features", [0, FEATURES], ids=["prior", "posterior"])
def test_unrolling_is_what_stepping_with_feedback_does(features: int) -> None:
    network, picked = autoregressive(features), draws(6)
    known = given(6) if features else None
    with torch.no_grad():
        expected = stepwise(network, picked, None if known is None else known.values)
        _, z = network.unroll(picked, torch.zeros(1), known)
    assert 0.1 < expected.mean() < 0.9
    assert torch.equal(z.values, expected)


@pytest.mark.parametrize("neuron", ["lif", "tsa"])
@pytest.mark.parametrize("features", [0, FEATURES], ids=["prior", "posterior"])
def test_latents_do_not_depend_on_what_is_picked_later(features: int, neuron: str) -> None:
    network, picked, known = autoregressive(features, neuron), draws(8), given(8) if features else None
    later = picked.clone()
    later[5:] = (later[5:] + 1) % CHOICES
    _, one = network.unroll(picked, torch.zeros(1), known)
    _, other = network.unroll(later, torch.zeros(1), known)
    assert torch.equal(one.values[:5], other.values[:5])
    assert not torch.equal(one.values[5:], other.values[5:])


@pytest.mark.parametrize("neuron", ["lif", "tsa"])
def test_latents_depend_on_those_before(neuron: str) -> None:
    network, picked = autoregressive(0, neuron), draws(8)
    earlier = picked.clone()
    earlier[0] = (earlier[0] + 1) % CHOICES
    _, one = network.unroll(picked, torch.zeros(1))
    _, other = network.unroll(earlier, torch.zeros(1))
    assert not torch.equal(one.values[1:], other.values[1:])


def latent(coding: SAC | None = None) -> SpikingLatent:
    torch.manual_seed(0)
    sites = factory(coding=coding)
    made = SpikingLatent(FEATURES, LATENTS, CHOICES, own_past=0.2, weight=0.5, sites=sites, stage=0)
    sites.finish()
    return made


def test_unrolling_leaves_no_trace_in_the_norms() -> None:
    module = latent()
    module(given(4))
    norms = [norm for norm in module.modules() if isinstance(norm, nn.BatchNorm1d)]
    assert {int(norm.state_dict()["num_batches_tracked"]) for norm in norms} == {
        1
    }  # of five passes of the posterior and two of the prior
    assert module.training


def test_distance_is_the_mean_square_of_the_filtered_difference_of_means() -> None:
    # one latent of four neurons, of which 2 and 1 fire in the first step, 4 and 4 in the second
    ours = torch.tensor([[[1.0, 1, 0, 0] * LATENTS], [[1.0, 1, 1, 1] * LATENTS]])
    theirs = torch.tensor([[[0.0, 1, 0, 0] * LATENTS], [[1.0, 1, 1, 1] * LATENTS]])
    distance = latent()._between(Signal(ours, 2, Kind.BINARY), Signal(theirs, 2, Kind.BINARY))
    # difference 0.25, then 0; behind the filter 0.125, then 0.0625
    assert float(distance) == pytest.approx((0.125**2 + 0.0625**2) / 2)


def test_penalty_trains_the_prior_and_the_posterior_and_nothing_twice() -> None:
    module = latent()
    for _ in range(30):  # until the running statistics, with which the past is unrolled, are those of the data
        module(given(4))
    penalty = module.penalty()
    assert isinstance(penalty, Tensor)
    penalty.backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.any(), name
    assert module.penalty() == 0.0


@pytest.mark.parametrize("scope", ["layer", "channel"])
def test_coefficients_of_both_networks_are_trained(scope: str) -> None:
    coding = SAC(SACConfig(scope=scope), steps=4)
    module = latent(coding)
    z = module(given(4))
    assert z.decoded().shape == (4, 3, LATENTS)
    (z.decoded().sum() + module.penalty()).backward()
    gradients = [layer.coefficients.u.grad for layer in coding.layers]
    assert len(gradients) == 6
    assert all(gradient is not None and gradient.any() for gradient in gradients)


@pytest.mark.slow
def test_prior_learns_to_sample_what_the_posterior_is_given() -> None:
    # features that fire in every second step: latents must come to alternate, without being told in sampling
    torch.manual_seed(0)
    module = latent()
    alternating = torch.zeros(6, 32, FEATURES)
    alternating[::2] = 1
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    for _ in range(240):
        z = module(Signal(alternating, 6, Kind.BINARY))
        loss = (z.values - alternating[..., :1]).square().mean() + module.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    module.eval()
    with torch.no_grad():
        rates = module.sample(200, 6, torch.device("cpu")).values.mean((1, 2))
    assert rates[::2].min() > 0.65
    assert rates[1::2].max() < 0.35
