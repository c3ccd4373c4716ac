from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import torch
from torch import Tensor, nn

from spikefront.plugins import (
    Between,
    Coding,
    Counts,
    EnergyModel,
    Kind,
    Neuron,
    Operations,
    Optimizer,
    Sampler,
    Signal,
    Site,
    SiteInfo,
    StoppingRule,
    Surrogate,
    Task,
    Trial,
)
from spikefront.plugins.surrogates.atan import ATan
from spikefront.searchspace import Int, UsageError

CURRENT = Signal(torch.ones(1, 1, 3), 2, Kind.ANALOG)
INFO = SiteInfo(0, stage=0, channels=3, size=(1, 1), last_of_stage=True)


@dataclass(frozen=True, slots=True)
class TapsConfig:
    taps: Annotated[int, Int(1, 3)] = 2


class Plain(Coding):
    name = "plain"
    Config = TapsConfig


class Copy(Neuron):
    name = "copy"

    def forward(self, current: Tensor, steps: int) -> Tensor:
        return (current > 0).to(current.dtype).expand(steps, *current.shape[1:])


class Halve(Between):
    def forward(self, spikes: Signal, current: Signal) -> Signal:
        return Signal(spikes.values * current.values.sign() / 2, spikes.steps, Kind.ANALOG)


def test_config_that_is_not_given_is_the_default() -> None:
    assert Plain(steps=4).config == TapsConfig(taps=2)


def test_config_built_by_hand_is_checked() -> None:
    with pytest.raises(UsageError, match=r"^plain\.taps: 9 is outside 1\.\.3$"):
        Plain(TapsConfig(taps=9), steps=4)


def test_coding_that_overrides_nothing_is_direct() -> None:
    coding = Plain(steps=4)
    x = torch.rand(2, 1, 3, 3)
    signal = coding.encode(x)
    assert (signal.kind, signal.steps) == (Kind.ANALOG, 4)
    assert torch.equal(signal.values, x.unsqueeze(0))
    assert coding.between(INFO) is None
    assert coding.penalty() == 0
    assert coding.latency_steps(delay=3) == 4 + 3


def test_output_is_averaged_over_time_with_its_coefficient() -> None:
    values = torch.tensor([[[1.0]], [[3.0]]])
    assert Plain(steps=2).decode(Signal(values, 2, Kind.ANALOG)).item() == 2
    assert Plain(steps=2).decode(Signal(values, 2, Kind.ANALOG, torch.tensor([2.0, 0.0]))).item() == 1
    assert Plain(steps=2).decode_operations(Signal(torch.ones(2, 3, 5), 2, Kind.ANALOG)) == Operations(adds=30)


def test_site_fires_and_then_codes() -> None:
    current = Signal(torch.tensor([[[1.0, -1.0, 2.0]]]), 2, Kind.ANALOG, torch.tensor([1.0, -1.0]))
    site = Site(INFO, Copy(surrogate=ATan()), None)
    out = site(current)
    assert (out.kind, out.steps) == (Kind.BINARY, 2)
    assert out.values.tolist() == [[[1, 0, 1]], [[0, 1, 0]]]  # the coefficient weights the current
    coded = Site(INFO, Copy(surrogate=ATan()), Halve())(current)
    assert coded.values.tolist() == [[[0.5, 0, 0.5]], [[0, -0.5, 0]]]


class BareTask(Task):
    name = "bare"


class BareModel(EnergyModel):
    name = "bare"


class BareSampler(Sampler):
    name = "bare"


class BareRule(StoppingRule):
    name = "bare"


class BareSurrogate(Surrogate):
    name = "bare"


class BareOptimizer(Optimizer):
    name = "bare"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: Neuron.forward(Copy(surrogate=ATan()), torch.ones(1), 1),
            r"^Copy must define forward\(current, steps\)$",
        ),
        (lambda: Copy(surrogate=ATan()).update_operations(), r"^Copy must define update_operations\(\)$"),
        (lambda: Between()(CURRENT, CURRENT), r"^Between must define forward\(spikes, current\)$"),
        (lambda: Between.operations(Halve(), CURRENT, CURRENT), r"^Halve must define operations\(\)$"),
        (lambda: BareTask().search_data(None, 4), r"^BareTask must define search_data\(data_dir, steps\)$"),
        (lambda: BareTask().test_data(None, 4), r"^BareTask must define test_data\(data_dir, steps\)$"),
        (lambda: BareModel().energy_nj(Counts(1, 1, ())), r"^BareModel must define layer_energy_nj\(counts\)$"),
        (lambda: BareSampler().make(0), r"^BareSampler must define make\(seed\)$"),
        (lambda: BareRule().decide(Trial(0), {}), r"^BareRule must define decide\(trial, history\)$"),
        (lambda: BareSurrogate()(torch.ones(1)), r"^BareSurrogate must define __call__\(x\)$"),
        (lambda: BareOptimizer()([]), r"^BareOptimizer must define __call__\(parameters\)$"),
    ],
)
def test_plugin_without_its_method_is_told_which(call: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_task_is_classification_unless_it_says_otherwise() -> None:
    output = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    targets = torch.tensor([0, 1, 1])
    assert BareTask().score(output, targets) == pytest.approx(2 / 3)
    assert BareTask().loss(output, targets).item() == pytest.approx(nn.CrossEntropyLoss()(output, targets).item())


def test_rule_without_state_stores_nothing() -> None:
    rule = BareRule()
    rule.begin((), chance=0.1, best=1.0)
    rule.restore(3, None)
    assert rule.state(3) is None


def test_former_spelling_of_the_steps_still_works_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="now reads step_range"):

        class Old(Coding):
            name = "old"
            steps = Int(2, 6)  # type: ignore[assignment]

    coding = Old(steps=4)
    assert Old.step_range == Int(2, 6)
    assert coding.steps == 4
    with pytest.warns(DeprecationWarning, match="now steps"):
        assert coding.time_steps == 4
