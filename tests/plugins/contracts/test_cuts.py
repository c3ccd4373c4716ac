"""Steps after which a network may be stopped, by coding and read-out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from spikefront.plugins import Coding, ContractError, Kind, Operations, Signal
from spikefront.plugins.bases.decoding import Decoding
from spikefront.plugins.codings.css import CSS, CSSConfig
from spikefront.plugins.codings.direct import Direct, DirectConfig
from spikefront.plugins.codings.gac import GAC
from spikefront.plugins.codings.phase import PhaseCoding, PhaseCodingConfig
from spikefront.plugins.codings.phase_conversion import PhaseConversion
from spikefront.plugins.codings.rate import Rate
from spikefront.plugins.codings.sac import SAC, SACConfig
from spikefront.plugins.codings.tcja import TCJA
from spikefront.plugins.contracts.network import Network
from spikefront.plugins.neurons.lif import LIF
from spikefront.plugins.neurons.phase import Phase, PhaseConfig
from spikefront.plugins.surrogates.atan import ATan
from spikefront.plugins.testing.base import built_in
from spikefront.plugins.testing.properties import network_of
from spikefront.runners.judging.measuring import cuts_that_hold
from spikefront.runners.judging.network import assemble
from spikefront.searchspace import UsageError, from_flat


class Plain(Coding):
    """The defaults, with hyperparameters of its own perhaps."""

    name = "plain"


class Silent(Rate):
    """A coding that inherits what it says of its steps, and then overrides what that was said of."""

    name = "silent"

    def encode(self, x: Tensor) -> Signal:
        return Signal(x.new_zeros(self.steps, *x.shape), self.steps, Kind.BINARY)


class Spoken(Silent):
    """One that says it anew."""

    name = "spoken"

    def cuts(self) -> tuple[int, ...]:
        return self.earlier_steps[1:]


class Mixed:
    """Overrides a method without being a coding."""

    def encode_operations(self, x: Tensor, code: Signal) -> Operations:
        return Operations()


class OfAMixture(Mixed, Plain):
    name = "of-a-mixture"


class DecodesItself(Decoding):
    name = "decodes-itself"
    Config = DirectConfig

    def decode(self, output: Signal) -> Tensor:
        return output.decoded().amax(0)


@pytest.mark.parametrize(
    ("coding", "cuts"), [(Plain, (1, 2, 3)), (Silent, ()), (Spoken, (2, 3)), (OfAMixture, ()), (DecodesItself, ())]
)
def test_a_coding_that_overrides_what_decides_is_not_cut_until_it_says_so(
    coding: type[Coding], cuts: tuple[int, ...]
) -> None:
    assert coding(steps=4).cuts() == cuts


def test_phase_is_cut_at_whole_periods() -> None:
    assert PhaseCoding(PhaseCodingConfig(period=3), steps=8).cuts() == (3, 6)
    assert PhaseCoding(PhaseCodingConfig(period=8), steps=8).cuts() == ()
    converted = PhaseConversion(steps=8)
    converted.bind(Phase(PhaseConfig(period=3), surrogate=ATan()))
    assert converted.cuts() == (3, 6)


def test_css_is_cut_where_the_input_comes_once() -> None:
    assert CSS(steps=4).cuts() == (1, 2, 3)
    assert CSS(CSSConfig(input="repeat"), steps=4).cuts() == ()


def test_what_mixes_all_steps_is_not_cut() -> None:
    assert TCJA(steps=5).cuts() == ()


def test_a_weighted_read_out_is_cut_where_its_coefficients_add_up_to_something() -> None:
    def cuts(**config: Any) -> tuple[int, ...]:
        return SAC(SACConfig(scope="readout", **config), steps=4).cuts()

    assert cuts() == cuts(preset="first") == (1, 2, 3)
    assert cuts(preset="last") == cuts(normaliser="l2") == cuts(normaliser="tanh") == cuts(normaliser="none") == ()
    sparse = SAC(SACConfig(scope="readout", normaliser="sparsemax"), steps=4)
    assert sparse.readout is not None
    sparse.readout.u.data = torch.tensor([0.0, 0.0, 5.0, 5.0])  # of sum 1: 0, 0, 1/2, 1/2
    assert sparse.cuts() == (3,)
    with pytest.raises(UsageError, match="add up to nothing"):
        sparse.decode(Signal(torch.ones(2, 1, 1), 2, Kind.ANALOG))


def test_the_first_steps_are_decoded_on_the_scale_of_all() -> None:
    currents = torch.tensor([[[4.0]], [[2.0]], [[0.0]]])
    two = Signal(currents, 3, Kind.ANALOG).first(2)
    assert float(Direct(steps=3).decode(two)) == 3.0
    membrane = Direct(DirectConfig(decoding="membrane", decay=0.5), steps=3)
    assert float(membrane.decode(two)) == pytest.approx((0.5 * 4 + 2) / 1.5)
    weighted = SAC(SACConfig(scope="readout", preset="ttfs-linear"), steps=3)  # 1, 2/3, 1/3: 2 in all, 5/3 of two
    assert float(weighted.decode(two)) == pytest.approx((4 + 2 / 3 * 2) * 2 / (5 / 3))
    constant = Signal(torch.full((3, 1, 1), 7.0), 3, Kind.ANALOG)
    for coding in (membrane, weighted):
        assert float(coding.decode(constant.first(1))) == pytest.approx(float(coding.decode(constant)))


@pytest.mark.parametrize("flat", [{"coding": "rate-conversion"}, {"coding": "css", "neuron.tsa.silent_period": 0}])
def test_a_conversion_that_is_cut_is_the_one_of_so_many_steps_bit_by_bit(flat: dict[str, Any]) -> None:
    registry = built_in()

    def outputs(**more: int) -> Tensor:
        torch.manual_seed(1)
        network = assemble(
            from_flat({"task": "digits", "backbone": "mlp", **flat, **more}, registry), registry, (1, 8, 8), 10
        )
        with torch.no_grad():
            result: Tensor = network.eval()(torch.rand(50, 1, 8, 8))
        return result

    for cut in range(1, 8):
        assert torch.equal(outputs(steps=8, cut=cut), outputs(steps=cut))


def test_a_network_is_cut_in_eval_mode_only_and_where_its_coding_allows() -> None:
    registry = built_in()
    flat = {"task": "digits", "coding": "rate", "backbone": "mlp", "steps": 6, "cut": 4}
    network = assemble(from_flat(flat, registry), registry, (1, 8, 8), 10)
    x = torch.rand(5, 1, 8, 8)
    assert len(network.train().encode(x).values) == 6
    assert len(network.eval().encode(x).values) == 4
    assert network.latency_steps(2) == 6
    with network.cut_at(0):
        assert len(network.encode(x).values) == 6
    phase = flat | {"coding": "phase", "coding.phase.period": 3}
    with pytest.raises(UsageError, match="can't be cut at 4 of its 6 steps; as it is set up, it can be at 3"):
        assemble(from_flat(phase, registry), registry, (1, 8, 8), 10)
    with pytest.raises(UsageError, match="it can't be cut at all"):
        assemble(from_flat(flat | {"coding": "tcja"}, registry), registry, (1, 8, 8), 10)


def test_a_changing_current_leaves_no_gate_that_is_known_before_the_end() -> None:
    network = network_of(GAC(steps=4), (1, 8, 8), neuron=LIF).eval()
    changing = Signal(torch.rand(2, 3, 1, 8, 8), 2, Kind.ANALOG)
    with pytest.raises(ContractError, match="only where the current of the first spiking layer is constant"):
        network.backbone(changing)


class CountsDown(LIF):
    """A neuron whose threshold is set by the number of steps."""

    name = "counts-down"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return super().forward(current * steps, steps)


def test_a_network_whose_neurons_depend_on_t_has_no_points() -> None:
    network = network_of(Direct(steps=4), (1, 8, 8), neuron=CountsDown)
    x = torch.rand(20, 1, 8, 8) * 9
    with pytest.warns(UserWarning, match="not measured at fewer steps, such as 1: its first 1 steps depend on"):
        assert cuts_that_hold(network, x) == ()
    good = network_of(Direct(steps=4), (1, 8, 8), neuron=LIF)
    assert cuts_that_hold(good, x) == (1, 2, 3)
    assert isinstance(good, Network)
