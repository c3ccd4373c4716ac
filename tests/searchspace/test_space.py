from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.plugins import load_registry
from spikefront.searchspace import (
    Candidate,
    Choice,
    Domain,
    Float,
    Int,
    Space,
    UnknownName,
    UsageError,
    Value,
    parse_set,
)
from spikefront.searchspace.domains import contains
from spikefront.searchspace.space import SearchCatalogue


def space(shelf: SearchCatalogue, *texts: str, task: str = "images") -> Space:
    return Space(shelf, task, [parse_set(text) for text in texts])


def draws(data: st.DataObject, asked: dict[str, Domain] | None = None) -> Callable[[str, Domain, Value], Value]:
    """Choose values with hypothesis, and note what was asked for."""

    def ask(name: str, domain: Domain, default: Value) -> Value:
        if asked is not None:
            assert name not in asked
            asked[name] = domain
        if isinstance(domain, Choice):
            strategy: st.SearchStrategy[Any] = st.sampled_from(domain.choices)
        elif isinstance(domain, Int):
            strategy = st.sampled_from(range(domain.low, domain.high + 1, domain.step))
        else:
            assert isinstance(domain, Float)
            strategy = st.floats(domain.low, domain.high)
        value: Value = data.draw(strategy, label=name)
        return value

    return ask


def candidates(space: Space, count: int) -> list[Candidate]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [space.suggest(study.ask()) for _ in range(count)]


def search(space: Space, trials: int) -> list[Candidate]:
    """Search with TPE, which needs the choices behind one name to stay the same."""
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0, n_startup_trials=5, n_ei_candidates=4))
    found = []
    for number in range(trials):
        trial = study.ask()
        found.append(space.suggest(trial))
        study.tell(trial, float(number % 7))
    return found


def test_tpe_searches_codings_with_their_own_neurons_steps_and_choices(shelf: SearchCatalogue) -> None:
    found = search(space(shelf), 200)
    assert {candidate.coding.name for candidate in found} == {"css", "direct", "tcja"}
    homes = {"if": {"convnet", "mlp"}, "lif": {"convnet", "mlp", "vgg"}, "tsa": {"convnet", "vgg"}}
    for neuron, backbones in homes.items():
        assert {candidate.backbone.name for candidate in found if candidate.neuron.name == neuron} == backbones


def test_tpe_searches_a_list_of_steps(shelf: SearchCatalogue) -> None:
    found = search(space(shelf, "steps=2,4,6,16"), 60)
    kept = {"css": {4, 6}, "direct": {2, 4, 6}, "tcja": {2, 4, 6, 16}}
    for coding, steps in kept.items():
        assert {candidate.steps for candidate in found if candidate.coding.name == coding} == steps


def test_tpe_searches_the_built_in_plugins() -> None:
    found = search(Space(load_registry(third_parties=False), "digits"), 100)
    assert len({candidate.coding.name for candidate in found}) > 1


@given(data=st.data(), bounds=st.tuples(st.floats(0.3, 2.0), st.floats(0.3, 2.0)).map(sorted))
def test_narrowed_space_yields_nothing_else(shelf: SearchCatalogue, data: st.DataObject, bounds: list[float]) -> None:
    low, high = bounds
    narrowed = space(
        shelf, f"neuron.*.threshold={low!r}..{high!r}", "steps=3..5", "coding=tcja,direct", "coding.tcja.kernel=1,3"
    )
    candidate = narrowed.walk(draws(data))
    assert 3 <= candidate.steps <= 5
    assert candidate.coding.name in ("tcja", "direct")
    assert candidate.coding.name == "direct" or candidate.coding.config.kernel in (1, 3)
    assert candidate.neuron.name == "tsa" or low <= candidate.neuron.config.threshold <= high


@given(data=st.data())
def test_asked_is_what_is_active_and_not_pinned(shelf: SearchCatalogue, data: st.DataObject) -> None:
    asked: dict[str, Domain] = {}
    candidate = space(shelf).walk(draws(data, asked))
    names = {name.partition("|")[0] for name in asked}
    assert names <= candidate.flat().keys()
    assert not names & {"task", "seed", "training.optimizer", "training.batch", "neuron.lif.detach"}
    neuron = candidate.neuron
    soft = neuron.name != "tsa" and neuron.config.reset == "soft"
    assert (f"neuron.{neuron.name}.overshoot" in names) == soft


@given(data=st.data())
def test_domain_at_a_number_of_steps_is_respected(shelf: SearchCatalogue, data: st.DataObject) -> None:
    candidate = space(shelf, "coding=tcja", "coding.tcja.reach=1..9").walk(draws(data))
    assert candidate.coding.config.kernel <= candidate.steps
    assert candidate.coding.config.reach <= min(candidate.steps, 9)


@given(data=st.data())
def test_step_of_the_steps_is_respected(shelf: SearchCatalogue, data: st.DataObject) -> None:
    assert space(shelf, task="gestures").walk(draws(data)).steps in (10, 15, 20)
    assert space(shelf, "steps=11..20", task="gestures").walk(draws(data)).steps in (15, 20)


def test_later_narrowing_narrows_further(shelf: SearchCatalogue) -> None:
    assert {candidate.steps for candidate in candidates(space(shelf, "steps=2..6", "steps=4,5"), 40)} == {4, 5}
    with pytest.raises(UsageError) as caught:
        space(shelf, "neuron.lif.threshold=0.5", "neuron.lif.threshold=1.0")
    assert caught.value.on_command_line().endswith("threshold=1.0: neuron.lif.threshold: '1.0'. Known: 0.5.")


def test_name_that_goes_with_nothing_left_is_excluded(shelf: SearchCatalogue) -> None:
    assert {candidate.coding.name for candidate in candidates(space(shelf), 60)} == {"css", "direct", "tcja"}
    assert {candidate.coding.name for candidate in candidates(space(shelf, "neuron=lif"), 40)} == {"direct", "tcja"}
    assert {candidate.coding.name for candidate in candidates(space(shelf, "steps=1"), 10)} == {"direct"}
    assert {candidate.coding.name for candidate in candidates(space(shelf, "steps=9..12"), 10)} == {"tcja"}


def test_neuron_follows_from_the_coding_that_needs_it(shelf: SearchCatalogue) -> None:
    found = candidates(space(shelf, "coding=css"), 20)
    assert {candidate.neuron.name for candidate in found} == {"tsa"}
    assert {candidate.backbone.name for candidate in found} == {"convnet", "vgg"}


def test_coding_holds_other_parts_to_what_it_can_live_with(shelf: SearchCatalogue) -> None:
    found = candidates(space(shelf, "neuron=if", task="gestures"), 40)
    configs = [candidate.neuron.config for candidate in found]
    assert {config.reset for config in configs} == {"soft"}
    assert all(0.3 <= config.threshold <= 1.0 for config in configs)
    assert {config.detach for config in configs} == {False}  # pinned, but its default can't be had
    assert space(shelf, task="gestures").default(neuron="if").neuron.config.reset == "soft"
    assert {c.neuron.config.reset for c in candidates(space(shelf, "neuron=if"), 40)} == {"soft", "hard"}


def test_coding_is_left_out_where_what_it_needs_was_narrowed_away(shelf: SearchCatalogue) -> None:
    kept = candidates(space(shelf, "neuron.if.reset=hard", task="gestures"), 20)
    assert {candidate.neuron.name for candidate in kept} == {"lif", "tsa"}
    with pytest.raises(UsageError, match=r"^coding 'frames' needs neuron\.if\.threshold 0\.3\.\.1, not 1\.5\.\.2$"):
        space(shelf, "neuron=if", "neuron.if.threshold=1.5..2.0", task="gestures")


def test_family_that_makes_no_difference_is_not_asked_for(shelf: SearchCatalogue) -> None:
    opened = space(shelf, "training.surrogate=sigmoid")
    for candidate in candidates(opened, 40):
        expected = "atan" if candidate.coding.name == "css" else "sigmoid"
        assert candidate.training.surrogate.name == expected


def test_pinned_parameter_stays_until_it_is_opened(shelf: SearchCatalogue) -> None:
    schedules = [candidate.training.schedule for candidate in candidates(space(shelf), 20)]
    assert {(schedule.batch, schedule.epochs) for schedule in schedules} == {(64, 15)}
    opened = candidates(space(shelf, "training.batch=32,128", "training.optimizer=adam,sgd"), 20)
    assert {candidate.training.schedule.batch for candidate in opened} == {32, 128}
    assert {candidate.training.optimizer.name for candidate in opened} == {"adam", "sgd"}
    assert {candidate.training.optimizer.name for candidate in candidates(space(shelf), 20)} == {"adam"}


def test_every_candidate_has_the_seed_of_the_space(shelf: SearchCatalogue) -> None:
    assert Space(shelf, "images", seed=3).default().seed == 3


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["coding=css", "neuron=lif"], r"^coding 'css' needs neuron tsa, not 'lif'$"),
        (["coding=css,direct", "neuron=lif,if"], r"^coding 'css' needs neuron tsa, not 'lif'$"),
        (["coding=frames"], r"^coding 'frames' takes gestures, not images$"),
        (["neuron=tsa", "backbone=mlp"], r"^neuron 'tsa' can't live in backbone 'mlp'$"),
        (["coding=css", "steps=8"], r"^coding 'css' is searched over steps 4\.\.6; none are kept$"),
        (["coding=css,tcja", "steps=8..16"], r"^coding 'css' is searched over steps 4\.\.6; none are kept$"),
        (["steps=32"], r"^--set steps=32: steps: 32 is outside 1\.\.20; a space can be narrowed, never widened$"),
        (["steps=2..64"], r"steps: 64 is outside 1\.\.20"),
        (["steps=few"], r"steps: 'few' is not a number in 1\.\.20$"),
        (
            ["neuron.lif.threshold=3.0"],
            r"^--set .*: neuron\.lif\.threshold: 3\.0 is outside 0\.3\.\.2; .* never widened$",
        ),
        (["training.epochs=0"], r"training\.epochs: 0 is outside 1\.\.10000"),
        (["neuron.lif.reset=hard..soft"], r"neuron\.lif\.reset: hard\.\.soft is a range, but this is a choice"),
        (
            ["coding.tcja.kernel=7"],
            r"^coding\.tcja\.kernel: 7 is outside 1, its range at 2 steps; narrow steps too$",
        ),
        (
            ["coding.tcja.reach=9..12", "steps=8..16"],
            r"^coding\.tcja\.reach: 9\.\.12 is outside 1\.\.8, its range at 8 steps; narrow steps too$",
        ),
    ],
)
def test_space_that_can_not_be_is_refused_in_one_line(shelf: SearchCatalogue, texts: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        space(shelf, *texts)
    assert re.search(message, caught.value.on_command_line())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stpes=4", r"^unknown hyperparameter in --set stpes=4: 'stpes'\. Did you mean 'steps'\? Known: steps"),
        ("neuron.*.tau=2", r"^unknown hyperparameter in --set neuron\.\*\.tau=2: 'neuron\.\*\.tau'"),
        ("task=images", r"^unknown hyperparameter in --set task=images: 'task'"),
        ("coding=sac", r"^unknown value of --set coding=sac: coding: 'sac'\. .*Known: css, direct, frames, tcja\.$"),
    ],
)
def test_narrowing_of_nothing_offers_the_nearest_name(shelf: SearchCatalogue, text: str, message: str) -> None:
    with pytest.raises(UnknownName) as caught:
        space(shelf, text)
    assert re.search(message, caught.value.on_command_line())


def test_task_is_known(shelf: SearchCatalogue) -> None:
    with pytest.raises(UnknownName, match=r"^unknown task 'image'\. Did you mean 'images'\?"):
        space(shelf, task="image")


def test_task_that_no_coding_takes_is_refused(shelf: SearchCatalogue) -> None:
    with pytest.raises(UsageError, match=r"^coding 'css' takes images, not smells$"):
        space(shelf, task="smells")


def test_default_is_made_of_defaults(shelf: SearchCatalogue) -> None:
    candidate = space(shelf, "coding=direct,tcja").default()
    assert str(candidate) == "images direct lif convnet T=4"
    assert candidate.neuron.config.threshold == 1.0
    assert candidate.backbone.config.width == 16


def test_default_moves_to_the_nearest_end_when_it_was_narrowed_away(shelf: SearchCatalogue) -> None:
    candidate = space(shelf, "coding=direct", "steps=6..8", "neuron=if", "neuron.if.threshold=0.5").default()
    assert (candidate.steps, candidate.neuron.name, candidate.neuron.config.threshold) == (6, "if", 0.5)


def test_default_takes_fixed_choices(shelf: SearchCatalogue) -> None:
    assert str(space(shelf).default(coding="tcja", backbone="vgg")) == "images tcja lif vgg T=4"
    assert str(space(shelf).default(coding="css")) == "images css tsa convnet T=4"


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"coding": "frames"}, r"^coding 'frames' is not in this space: css, direct$"),
        ({"coding": "tcja"}, r"^coding 'tcja' is not in this space: css, direct$"),
        ({"neuron": "if"}, r"^neuron 'if' is not in this space: lif, tsa$"),
        ({"coding": "css", "neuron": "lif"}, r"^coding 'css' needs neuron tsa, not 'lif'$"),
        ({"codign": "css"}, r"^unknown choice 'codign'\. Did you mean 'coding'\?"),
    ],
)
def test_default_refuses_a_choice_outside_the_space(
    shelf: SearchCatalogue, choices: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        space(shelf, "coding=css,direct", "neuron=lif,tsa").default(**choices)


def test_default_of_one_coding_is_not_taken_for_another(shelf: SearchCatalogue) -> None:
    with pytest.raises(UsageError, match=r"^coding 'tcja' is not in this space: direct$"):
        space(shelf, "coding=direct").default(coding="tcja")


def test_rows_say_what_exists_when(shelf: SearchCatalogue) -> None:
    rows = {(row.name, row.active): row for row in space(shelf, "coding=direct,tcja", "steps=2,4", "neuron=lif").rows()}
    coding = rows["coding", "always"]
    assert (coding.domain, coding.default, coding.searched) == ("direct, tcja", "direct", True)
    assert rows["steps", "coding=tcja"].domain == "2, 4"
    assert not rows["neuron", "always"].searched
    overshoot = rows["neuron.lif.overshoot", "neuron=lif, reset=soft"]
    assert (overshoot.domain, overshoot.doc) == ("0.001..1 (log)", "Only known to a soft reset.")
    detach = rows["neuron.lif.detach", "neuron=lif"]
    assert (detach.domain, detach.searched) == ("True", False)
    assert ("training.epochs", "always") in rows
    assert not any(row.name.startswith(("coding.css", "neuron.if")) for row in rows.values())


def test_rows_default_is_the_defaults(shelf: SearchCatalogue) -> None:
    rows = {row.name: row.default for row in space(shelf, "coding=direct").rows()}
    flat = space(shelf, "coding=direct").default().flat()
    for name in ("coding", "neuron", "backbone", "training.optimizer", "training.surrogate"):
        assert rows[name] == flat[name]


def test_rows_default_lies_in_the_range_that_is_searched(shelf: SearchCatalogue) -> None:
    rows = {row.name: row.default for row in space(shelf, "coding=frames", task="gestures").rows()}
    assert rows["steps"] == 10  # of 10..20
    narrowed = space(shelf, "coding=direct", "steps=6..8", "neuron=lif", "neuron.lif.reset=soft")
    rows = {row.name: row.default for row in narrowed.rows()}
    assert (rows["steps"], rows["neuron.lif.reset"]) == (6, "soft")


def test_every_asked_domain_holds_the_value_given(shelf: SearchCatalogue) -> None:
    def first(name: str, domain: Domain, default: Value) -> Value:
        assert not domain.single()
        value = default if contains(domain, default) else getattr(domain, "low", None)
        assert value is not None
        return value

    assert space(shelf).walk(first).steps >= 1
