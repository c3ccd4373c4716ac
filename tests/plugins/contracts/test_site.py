from __future__ import annotations

import torch
from torch import Tensor, nn

from spikefront.plugins import (
    Between,
    Chain,
    Coding,
    Kind,
    MaxPool,
    Neuron,
    Operations,
    Signal,
    Site,
    SiteFactory,
    SiteInfo,
)
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.surrogates.atan import ATan

INFO = SiteInfo(0, stage=0, channels=3, size=(2, 2), last_of_stage=True)


class Weighted(Neuron):
    """Fires where the current is at least 1, two steps late, with digits for spikes."""

    name = "weighted"

    @property
    def delay(self) -> int:
        return 2

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return (current.expand(steps, *current.shape[1:]) >= 1).to(current.dtype)

    def step_weights(self, steps: int, like: Tensor) -> Tensor | None:
        return 2.0 ** -torch.arange(1.0, steps + 1).to(like)

    def update_operations(self) -> Operations:
        return Operations(adds=1)


def site(scale: Tensor | None = None, between: Between | None = None) -> Site:
    return Site(INFO, Weighted(surrogate=ATan()), between, scale)


def test_spikes_carry_the_neurons_weights_and_lag_by_its_delay() -> None:
    out = site()(Signal(torch.ones(1, 5, 3, 2, 2), 4, Kind.ANALOG, delay=3))
    assert (out.kind, out.steps, out.delay) == (Kind.BINARY, 4, 5)
    assert out.decoded()[:, 0, 0, 0, 0].tolist() == [0.5, 0.25, 0.125, 0.0625]


def test_scale_moves_the_threshold_and_what_a_spike_is_worth() -> None:
    current = torch.tensor([0.9, 1.1, 2.1]).view(1, 1, 3, 1, 1).expand(2, 1, 3, 2, 2)
    by_layer = site(torch.full((1, 1), 2.0))(Signal(current, 2, Kind.ANALOG)).decoded()
    by_channel = site(torch.tensor([[0.5, 2.0, 2.0]]))(Signal(current, 2, Kind.ANALOG)).decoded()
    assert by_layer[0, 0, :, 0, 0].tolist() == [0, 0, 1]  # 2, at weight 1/2
    assert by_channel[0, 0, :, 0, 0].tolist() == [0.25, 0, 1]


def test_module_behind_sees_spikes_and_the_current_that_drove_them() -> None:
    seen: list[tuple[Signal, Signal]] = []

    class Note(Between):
        def forward(self, spikes: Signal, current: Signal) -> Signal:
            seen.append((spikes, current))
            return spikes

    current = Signal(torch.randn(4, 5, 3, 2, 2), 4, Kind.ANALOG)
    out = site(between=Note())(current)
    assert seen == [(out, current)]


def test_factory_numbers_sites_and_tells_each_how_many_stages_there_are() -> None:
    asked: list[SiteInfo] = []

    class Curious(Coding):
        name = "curious"

        def between(self, site: SiteInfo) -> Between | None:
            asked.append(site)
            return Between() if site.index == 1 else None

    sites = SiteFactory(lambda: Weighted(surrogate=ATan()), Curious(steps=2), lambda info: torch.ones(1, info.channels))
    sites(3, (4, 4), stage=0, last_of_stage=True)
    sites(5, (2, 2), stage=1, last_of_stage=True)
    sites(7, stage=2)  # the read-out ends no stage
    assert asked == []
    sites.finish()
    assert [(info.index, info.stage, info.stages, info.channels) for info in asked] == [
        (0, 0, 2, 3),
        (1, 1, 2, 5),
        (2, 2, 2, 7),
    ]
    assert [made.between is None for made in sites.made] == [True, False, True]
    assert [tuple(made.scale.shape) for made in sites.made if made.scale is not None] == [(1, 3), (1, 5), (1, 7)]


def test_scale_is_saved_with_the_weights() -> None:
    assert "scale" in site(torch.ones(1, 3)).state_dict()
    assert "scale" not in site().state_dict()


class Halved(LIF):
    """A neuron of a third party, which takes half of the current."""

    name = "halved"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current / 2, steps)


class Silenced(Between):
    """A coding's module that silences the first step."""

    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return spikes.with_values(torch.cat([spikes.values[:1] * 0, spikes.values[1:]]))


def pooled_maps(site: Site, pool: nn.Module) -> tuple[bool, Signal, Signal]:
    """Return whether a chain was one pass, and what it and its layers one by one make of the same maps."""
    values = 2 * torch.randn(6, 3, 4, 4).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 3))
    signal = Signal(values.requires_grad_(), 2, Kind.ANALOG, delay=1)
    out = Chain(site, pool).train(site.training)(signal)
    return _is_one_pass(out.values), out, pool(site(signal))


def _is_one_pass(x: Tensor) -> bool:
    left, names = [x.grad_fn], set()
    while left:
        if (node := left.pop()) is not None:
            names.add(type(node).__name__)
            left += [behind for behind, _ in node.next_functions]
    return "_PooledRecurBackward" in names


def same(ours: Signal, theirs: Signal) -> bool:
    details = [(one.kind, one.steps, one.delay, one.coefficient) for one in (ours, theirs)]
    return torch.equal(ours.values, theirs.values) and details[0] == details[1]


def test_spiking_layer_and_pooling_are_one_pass_in_training() -> None:
    lif = Site(INFO, LIF(surrogate=ATan()), None)
    once, out, apart = pooled_maps(lif, MaxPool(2))
    assert once
    assert same(out, apart)
    assert 0 < out.values.mean() < 1
    once, out, apart = pooled_maps(lif.eval(), MaxPool(2))
    assert not once
    assert same(out, apart)


def test_two_passes_where_another_gets_the_spikes() -> None:
    seen: list[Tensor] = []
    hooked, read = Site(INFO, LIF(surrogate=ATan()), None), Site(INFO, LIF(surrogate=ATan()), None)
    hooked.register_forward_hook(lambda module, args, out: seen.append(out.values))
    read.neuron.register_forward_hook(lambda module, args, out: seen.append(out))
    cases = [
        Site(INFO, LIF(surrogate=ATan()), Silenced()),
        Site(INFO, LIF(surrogate=ATan()), None, torch.tensor([[2.0]])),
        Site(INFO, Halved(surrogate=ATan()), None),
        site(),
        hooked,
        read,
    ]
    for case in cases:
        once, out, apart = pooled_maps(case, MaxPool(2))
        assert not once
        assert torch.equal(out.decoded(), apart.decoded())
        assert out.values.any()
    assert {tuple(one.shape) for one in seen} == {(2, 3, 3, 4, 4)}


def test_only_max_pooling_of_that_class_is_made_in_the_same_pass() -> None:
    class Least(MaxPool):
        def forward(self, signal: Signal) -> Signal:
            return signal.with_values(-super().forward(signal.with_values(-signal.values)).values)

    once, out, apart = pooled_maps(Site(INFO, LIF(surrogate=ATan()), None), Least(2))
    assert not once
    assert same(out, apart)


def test_a_global_hook_sees_every_layer() -> None:
    seen: list[str] = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module).__name__))
    try:
        once, _, _ = pooled_maps(Site(INFO, LIF(surrogate=ATan()), None), MaxPool(2))
    finally:
        handle.remove()
    assert not once
    assert seen[:3] == ["LIF", "Site", "MaxPool"]
