"""Conversion: the spiking network does what its ANN does, and the ANN is trained once."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.runners.judging import conversions
from tests.runners.judging.conversions import QUICK
from torch import Tensor

from spikefront.plugins import Data, Registry, SearchData
from spikefront.runners.judging.conversion import CALIBRATION_SAMPLES, ann_key
from spikefront.runners.judging.judge import Judgement, Judging, judge
from spikefront.runners.judging.training import evenly
from spikefront.searchspace import Space, UsageError, from_flat, parse_set


def converted(registry: Registry, data: SearchData, **more: object) -> Judging:
    return conversions.converted(registry, data, **{f"coding.{more['coding']}.percentile": 100.0, **more})


def outputs(judging: Judging) -> tuple[Tensor, Tensor]:
    """Return the outputs of the spiking network and of its ANN on the images that it was calibrated on."""
    from spikefront.runners.judging.conversion import Converter

    learner = judging._learner
    assert isinstance(learner, Converter)
    images = judging._task.prepare(evenly(learner._train.inputs, CALIBRATION_SAMPLES)[:50]).double()
    with torch.no_grad():
        spiking, ann = judging.network.double().eval(), learner.ann.double().eval()
        return spiking(images), ann(images)


@pytest.mark.parametrize("granularity", ["layer", "channel"])
@pytest.mark.parametrize("presented", ["once", "repeat"])
@pytest.mark.parametrize("backbone", ["mlp", "convnet", pytest.param("ms-resnet", marks=pytest.mark.slow)])
def test_long_codes_give_the_outputs_of_the_ann(
    registry: Registry, data: SearchData, backbone: str, presented: str, granularity: str
) -> None:
    """Batch norm, biases, average pooling and residual sums all included; with d = 2 no digit comes too early."""
    more = {"coding.css.input": presented, "coding.css.granularity": granularity, "neuron.tsa.silent_period": 2}
    # where a channel's scale is small, single digits can ask for more than a neuron can pass on, whatever T
    floor = 1e-2 if (backbone, granularity) == ("ms-resnet", "channel") else 1e-4
    for steps, tolerance in ((6, 0.1), (20, floor)):
        spiking, ann = outputs(converted(registry, data, coding="css", backbone=backbone, steps=steps, **more))
        error = (spiking - ann).abs().amax() / ann.std()
        assert error < tolerance, (steps, float(error))


@pytest.mark.slow
def test_rates_come_closer_with_time(registry: Registry, data: SearchData) -> None:
    errors = []
    for steps in (8, 32, 128):
        spiking, ann = outputs(converted(registry, data, coding="rate-conversion", backbone="convnet", steps=steps))
        errors.append(float((spiking - ann).abs().mean() / ann.std()))
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_css_at_eight_steps_beats_rates_at_eight(registry: Registry, data: SearchData) -> None:
    error: dict[str, float] = {}
    for coding in ("css", "rate-conversion", "phase-conversion"):
        spiking, ann = outputs(converted(registry, data, coding=coding, backbone="convnet", steps=8))
        error[coding] = float((spiking - ann).abs().mean())
    assert error["css"] < 0.2 * min(error["rate-conversion"], error["phase-conversion"])


def test_slow_loops_give_the_same_network(registry: Registry, data: SearchData) -> None:
    """A two-layer net, one neuron and one digit at a time, from the trained weights alone."""
    more = {"coding.css.granularity": "layer", "backbone.mlp.depth": 1, "backbone.mlp.width": 16}
    judging = converted(registry, data, coding="css", steps=5, **more)
    network = judging.network.double().eval()
    x = judging._task.prepare(data.validation.inputs[:3]).double()
    with torch.no_grad():
        ours = network(x)
    synapses = [module for module in network.modules() if type(module).__name__ == "Synapse"]
    (w1, b1), (w2, b2) = ([part.detach() for part in module.folded()] for module in synapses)  # type: ignore[operator]
    scale = float(network.sites[0].scale)  # type: ignore[arg-type]
    for sample in range(3):
        hidden = []
        pixels = x[sample].flatten()
        for row in range(len(w1)):
            current = [2 * float(w1[row] @ pixels + b1[row]) / scale] + [0.0] * 5  # all at once, d = 1
            v, emitted, digits = 0.0, 0.0, []
            for n in range(6):
                v = 2 * v + current[n]
                if n >= 1:
                    s = 1 if v >= 1.0 else -1 if v <= -1.0 and emitted > 0 else 0  # theta' / 2 = 1
                    v -= 2 * s
                    emitted = 2 * emitted + s
                    digits.append(s)
            hidden.append(sum(s * 2.0**-k for k, s in enumerate(digits, 1)) * scale)
        expected = w2 @ torch.tensor(hidden, dtype=torch.float64) + b2
        torch.testing.assert_close(ours[sample], expected, rtol=1e-6, atol=1e-6)


def test_latency_is_the_length_of_the_code_and_a_silent_period_per_layer(registry: Registry) -> None:
    for silent in (0, 1, 2):
        flat = {**QUICK, "coding": "css", "steps": 5, "backbone.mlp.depth": 3, "neuron.tsa.silent_period": silent}
        assert judge(flat, registry=registry).metrics["latency_steps"] == 5 + 3 * silent


def test_converted_synapses_only_accumulate(registry: Registry) -> None:
    found = judge({**QUICK, "coding": "css", "backbone": "convnet", "steps": 6}, registry=registry)
    first, *rest = (layer for layer in found.counts.layers if layer.role == "synapse")
    assert (first.sops, first.macs_every_step) == (0, first.macs)  # presented once
    assert rest
    assert all(layer.macs == 0 and layer.operations.multiplies == 0 for layer in rest)


def test_ann_is_trained_once_for_all_that_convert_it(registry: Registry, data: SearchData, tmp_path: Path) -> None:
    def run(coding: str, **more: object) -> Judgement:
        flat = {**QUICK, "coding": coding, "steps": 4, **more}
        return judge(flat, registry=registry, data=data, ann_cache=tmp_path)

    first = run("css")
    further = [
        run("css", steps=8),
        run("css", **{"neuron.tsa.base": 1.5, "coding.css.granularity": "layer"}),
        run("rate-conversion", steps=16),
        run("phase-conversion", **{"training.surrogate": "triangle"}),
    ]
    assert first.metrics["ann_trained"] == 1
    assert [found.metrics["ann_trained"] for found in further] == [0, 0, 0, 0]
    assert {found.metrics["ann_quality"] for found in further} == {first.metrics["ann_quality"]}
    assert run("css").metrics["quality"] == first.metrics["quality"]
    assert run("css", seed=1).metrics["ann_trained"] == 1
    files = {path: path.read_bytes() for path in tmp_path.glob("*.pt")}
    for damage in (b"", b"damaged", b"half"):
        for path, whole in files.items():
            path.write_bytes(whole[: len(whole) // 2] if damage == b"half" else damage)
        again = run("css")
        assert (again.metrics["ann_trained"], again.metrics["quality"]) == (1, first.metrics["quality"])


@pytest.mark.slow
def test_of_two_processes_one_trains_and_the_other_waits(tmp_path: Path) -> None:
    script = (
        "import json, sys; from pathlib import Path; from spikefront.runners.judging.judge import judge\n"
        "flat = json.loads(sys.argv[1])\n"
        "print(judge(flat, ann_cache=Path(sys.argv[2])).metrics['ann_trained'])"
    )
    flats = [{**QUICK, "coding": "css", "steps": steps, "training.epochs": 6} for steps in (4, 5)]
    commands = [[sys.executable, "-c", script, json.dumps(flat), str(tmp_path)] for flat in flats]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    assert sorted(float(process.communicate(timeout=120)[0]) for process in running) == [0, 1]


def test_key_names_what_the_training_depends_on(registry: Registry, data: SearchData) -> None:
    def key(split: Data = data.train, plugins: Registry = registry, **more: Any) -> str:
        return ann_key(from_flat({**QUICK, "coding": "css", **more}, registry), split, plugins)

    same: list[dict[str, Any]] = [
        {"steps": 7},
        {"neuron.tsa.base": 1.5},
        {"coding": "rate-conversion"},
        {"training.surrogate": "sigmoid"},
    ]
    other: list[dict[str, Any]] = [
        {"seed": 3},
        {"training.epochs": 3},
        {"backbone.mlp.width": 16},
        {"training.optimizer.adam.lr": 0.01},
    ]
    assert {key(**more) for more in same} == {key()}
    assert len({key(), *(key(**more) for more in other)}) == 1 + len(other)
    assert key(data.validation) != key()
    for place in (5, 1000, len(data.train) - 1):  # whichever it is
        inputs, targets = data.train.inputs.clone(), data.train.targets.clone()
        inputs[place, 0, 3, 4] += 1
        targets[place] = (targets[place] + 1) % 10
        assert len({key(), key(Data(inputs, data.train.targets)), key(Data(data.train.inputs, targets))}) == 3
    assert key(Data(data.train.inputs.clone(), data.train.targets.clone())) == key()
    trained_by = [("backbone", "mlp"), ("task", "digits"), ("optimizer", "adam")]
    for kind, name in [*trained_by, ("coding", "css"), ("neuron", "tsa"), ("surrogate", "atan")]:
        entries = {each: dict(names) for each, names in registry.entries.items()}
        entries[kind][name] = replace(entries[kind][name], version="another")
        assert (key(plugins=Registry(entries)) != key()) == ((kind, name) in trained_by)


def test_network_is_loaded_from_its_weights_alone(registry: Registry, data: SearchData) -> None:
    from spikefront.runners.judging.network import assemble

    judging = converted(registry, data, coding="css", steps=5, backbone="convnet")
    again = assemble(judging.candidate, registry, (1, 8, 8), 10)
    again.load_state_dict(judging.network.state_dict())
    images = judging._task.prepare(data.validation.inputs[:20])
    assert torch.equal(again.eval()(images), judging.network.eval()(images))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["coding=css", "neuron=lif"], "coding 'css' needs neuron tsa, not 'lif'"),
        (
            ["coding=css", "backbone=spiking-transformer"],
            "coding 'css' converts an ANN, which backbone 'spiking-transformer' can't be; "
            "backbones that can: convnet, mlp, ms-resnet, vgg",
        ),
        (
            ["coding=rate-conversion", "neuron.if.reset=hard"],
            "coding 'rate-conversion' needs neuron.if.reset soft, not hard",
        ),
        (
            ["coding=css", "backbone=convnet", "backbone.convnet.pool=max"],
            "coding 'css' needs backbone.convnet.pool avg, not max",
        ),
        (["coding=css", "neuron.tsa.threshold=0.5..0.8"], "coding 'css' needs neuron.tsa.threshold 1.0, not 0.5..0.8"),
    ],
)
def test_bad_combinations_are_refused_in_one_line(registry: Registry, choices: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Space(registry, "digits", [parse_set(choice) for choice in choices])
    assert str(caught.value) == message


def test_max_pooling_leaves_css_out_where_other_codings_are_searched(registry: Registry) -> None:
    narrowed = ["backbone=convnet", "backbone.convnet.pool=max"]
    codings = next(row for row in Space(registry, "digits", map(parse_set, narrowed)).rows() if row.name == "coding")
    names = codings.domain.split(", ")
    assert "direct" in names
    assert not {"css", "rate-conversion", "phase-conversion"} & set(names)


def test_candidate_by_hand_takes_what_its_coding_needs_and_is_refused_otherwise(registry: Registry) -> None:
    candidate = from_flat({"task": "digits", "coding": "rate-conversion"}, registry)
    flat = candidate.flat()
    assert (flat["neuron"], flat["neuron.if.reset"], flat["backbone.convnet.pool"]) == ("if", "soft", "avg")
    with pytest.raises(UsageError, match=r"^neuron\.if\.reset \(coding 'rate-conversion' at 4 steps\): 'hard' is out"):
        registry.refuse(from_flat({"task": "digits", "coding": "rate-conversion", "neuron.if.reset": "hard"}, registry))
