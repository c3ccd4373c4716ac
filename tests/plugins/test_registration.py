from __future__ import annotations

from pathlib import Path

import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.searchspace import fields_of

CODING = """
import enum
import numpy as np
from dataclasses import dataclass
from typing import Annotated, Literal, Optional
from spikefront.plugins import PINNED, Choice, Coding, Float, Int, When, hookimpl

class Words(str, enum.Enum):
    A = "a"

@dataclass(frozen=True, slots=True)
class Config:
    kind: Annotated[str, Choice(("a", "b"))] = "a"
    size: FIELD

class Mine(Coding):
    "A coding of my own."
    name = "mine"
    Config = Config
    ATTRIBUTE

@hookimpl
def register_codings(register):
    register(Mine)
"""
GOOD_FIELD = "Annotated[int, Int(1, 3)] = 1"

TASK = """
from spikefront.plugins import Task, hookimpl

class Mine(Task):
    "A task of my own."
    name = "mine"
    ATTRIBUTE

@hookimpl
def register_tasks(register):
    register(Mine)
"""


def load(folder: Path, content: str) -> Registry:
    (folder / "mine.py").write_text(content, encoding="utf-8")
    return load_registry([folder], third_parties=False)


def problem(folder: Path, content: str) -> str:
    registry = load(folder, content)
    assert "mine" not in registry.entries["coding"] | registry.entries["task"]
    assert "direct" in registry.entries["coding"]
    (text,) = registry.problems.values()
    assert "\n" not in text
    return text


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_good_declaration_is_let_in(tmp_path: Path, future: str) -> None:
    field = 'Annotated[float, Float(0, 1, step=0.25), PINNED, When("kind", ("b",))] = 0.75'
    requires = 'requires = {"neuron.*.threshold": Choice((1.0,))}; published = ({"steps": 2, "coding.mine.kind": "b"},)'
    registry = load(tmp_path, future + CODING.replace("FIELD", field).replace("ATTRIBUTE", requires))
    assert registry.problems == {}
    assert "mine" in registry.entries["coding"]


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("Annotated[int, Choice((None, 1, 2))] = 1", "Config.size: None is not a bool, int, float or str"),
        ("Annotated[tuple, Choice(((1, 2), (3,)))] = (3,)", "Config.size: (1, 2) is not a bool, int, float or str"),
        ('Annotated[str, Choice((1, "1"))] = 1', "Config.size: 1 and '1' can't be told apart"),
        ("Annotated[int, Choice((1, True))] = 1", "Config.size: 1 and True can't be told apart"),
        ('Annotated[str, Choice(("True", True))] = True', "Config.size: 'True' and True can't be told apart"),
        ("Annotated[float, Choice((1, 1.0))] = 1", "Config.size: 1 and 1.0 can't be told apart"),
        ('Annotated[str, Choice(("x", "x"))] = "x"', "Config.size: 'x' and 'x' can't be told apart"),
        (
            'Annotated[str, Choice(("a,b", "c"))] = "c"',
            "Config.size: 'a,b': a value must be a word that",
        ),
        ('Annotated[str, Choice(("1..2", "c"))] = "c"', "Config.size: '1..2': a value must be a word"),
        ('Annotated[str, Choice(("", "c"))] = "c"', "Config.size: '': a value must be a word"),
        ('Annotated[str, Choice((" a", "c"))] = "c"', "Config.size: ' a': a value must be a word"),
        ("Annotated[float, Choice((float('nan'), 1.0))] = 1.0", "Config.size: nan is not a finite number"),
        ("Annotated[float, Float(0, float('inf'))] = 1.0", "Config.size: 0.0..inf is not a range of finite numbers"),
        ("Annotated[float, Float(float('nan'), 1)] = 1.0", "Config.size: nan..1.0 is not a range"),
        ("Annotated[float, Float(0, 1, step=0.25)] = 0.3", "Config.size, default: 0.3 is outside 0..1 (step 0.25)"),
        ("Annotated[int, Int(1, 9, step=2)] = 2", "Config.size, default: 2 is outside 1..9 (step 2)"),
        (
            'Annotated[int, Int(1, 3), When("kind", ("zzz",))] = 1',
            "When('kind', ('zzz',)): kind is never 'zzz'",
        ),
        ('Annotated[int, Int(1, 3), When("kid", ("a",))] = 1', "Config.size: When('kid') must name an earlier field"),
        ('Annotated[int, Int(1, 3), When("size", (1,))] = 1', "Config.size: When('size') must name an earlier field"),
        ('Annotated[int, Int(1, 3), When("kind", "ab")] = 1', "Config.size: When('kind', 'ab') needs a tuple"),
        ('Annotated[int, Int(1, 3), When("kind", ())] = 1', "Config.size: When('kind', ()) needs a tuple"),
        ('Annotated[int, Int(1, 3), When("kind", ("a",)), When("kind", ("b",))] = 1', "Config.size has several"),
        ('Annotated[int, Choice(("x", "y"))] = "x"', "Config.size: 'x' is of type str, not int; annotate it as str"),
        (
            "Annotated[int, Choice((True, False))] = True",
            "Config.size: True is of type bool, not int; annotate it as bool",
        ),
        ("Annotated[bool, Choice((0, 1))] = 0", "Config.size: 0 is of type int, not bool; annotate it as int"),
        ("Annotated[bool, Int(0, 1)] = 0", "Config.size: what lies in 0..1 is of type int, not bool"),
        ("Annotated[int, Float(1, 4)] = 2", "Config.size: what lies in 1.0..4.0 is of type float, not int"),
        ("Annotated[int, Int(0, 1)] = True", "Config.size, default: True is outside 0..1"),
        ("Annotated[int, Int(0, 3)] = np.int64(2)", "Config.size, default: np.int64(2) is a int64; write 2"),
        ("Annotated[float, Float(0, 3)] = np.float64(2)", "default: np.float64(2.0) is a float64; write 2.0"),
        ("Annotated[int, Choice((np.int64(1), 2))] = 2", "Config.size: np.int64(1) is not a bool, int, float or str"),
        (
            "Annotated[str, Choice((Words.A,))] = Words.A",
            "Config.size: <Words.A: 'a'> is not a bool, int, float or str",
        ),
        (
            'Annotated[Literal["a"], Choice(("a", "b"))] = "a"',
            "Config.size: 'b' is of type str, not typing.Literal['a']",
        ),
        ("Annotated[int, Int(1, 2**80)] = 2", "Config.size: 1..1208925819614629174706176 reaches beyond"),
        ('Annotated[int, Int(1, 3), When("kind", 1)] = 1', "Config.size: When('kind', 1) needs a tuple"),
        ("int = 1", "Config.size must read 'Annotated[type, Float|Int|Choice(...)] = default'"),
    ],
)
def test_declaration_that_makes_no_sense_is_refused_naming_the_field(tmp_path: Path, field: str, message: str) -> None:
    text = problem(tmp_path, CODING.replace("FIELD", field).replace("ATTRIBUTE", "pass"))
    assert message in text
    assert str(tmp_path / "mine.py") in text


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("Annotated[int, Int(3, 1)] = 1", "Config.size: ValueError: `low <= high` must hold"),
        ("Annotated[float, Float(0, 1, log=True)] = 1.0", "Config.size: ValueError: `low > 0` must hold"),
        (
            "Annotated[int, Int(1, 10, step=2)] = 1",
            "Config.size: UserWarning: The distribution is",
        ),
        ("Annotated[float, Float(0, 1, step=0.3)] = 0.0", "Config.size: UserWarning: The distribution is"),
        (
            "Annotated[str, Choice(())] = 'x'",
            "Config.size: ValueError: The `choices`",
        ),
        ("Annotated[int, Imt(1, 2)] = 1", "Config.size: NameError: name 'Imt' is not defined"),
    ],
)
def test_domain_that_optuna_refuses_is_refused_naming_the_field(tmp_path: Path, field: str, message: str) -> None:
    content = "from __future__ import annotations\n" + CODING.replace("FIELD", field).replace("ATTRIBUTE", "pass")
    assert message in problem(tmp_path, content)


@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_a_domain_that_can_not_be_made_is_named_with_its_cure(tmp_path: Path, future: str) -> None:
    cures = {
        "Annotated[int, Int(3, 1)] = 2": "it is reversed: write 1, 3",
        "Annotated[float, Float(2, -1)] = 0": "it is reversed: write -1, 2",
        "Annotated[float, Float(0, 1, log=True)] = 0.5": "begin above 0, or leave log=True out",
        "Annotated[int, Int(0, 8, log=True)] = 4": "begin at 1 or above, or leave log=True out",
        "Annotated[float, Float(0, 1, step=0.3)] = 0.0": "end it at 0.9, or give another step",
        "Annotated[int, Int(1, 8, step=3)] = 1": "end it at 7, or give another step",
        "Annotated[int, Int(1, 8, step=0)] = 1": "give a step above 0, or none",
        "Annotated[int, Int(1, 8, step=2, log=True)] = 1": "leave step or log=True out",
        "Annotated[float, Float(1, 2, step=0.5, log=True)] = 1.0": "leave step or log=True out",
        "Annotated[int, Int('1', 8)] = 2": "give numbers, not text",
        "Annotated[str, Choice(())] = 'a'": "name its values",
    }
    for number, field in enumerate(cures):
        content = future + CODING.replace("FIELD", field).replace("ATTRIBUTE", "pass")
        (tmp_path / f"mine{number}.py").write_text(content)
    problems = load_registry([tmp_path], third_parties=False).problems
    for number, (field, cure) in enumerate(cures.items()):
        text = problems[str(tmp_path / f"mine{number}.py")]
        assert f"mine{number}.py was not loaded: Config.size: " in text, field
        assert cure in text, field


def test_choices_that_are_equal_but_not_the_same_stay_apart(tmp_path: Path) -> None:
    kinds = {"int": "(1, 0)", "bool": "(True, False)", "float": "(1.0, 0.0)"}
    for kind, values in kinds.items():
        field = f"Annotated[Optional[{kind}], Choice({values})] = {values}[0]"
        content = CODING.replace("FIELD", field).replace("ATTRIBUTE", "pass").replace('"mine"', f'"{kind}"')
        (tmp_path / f"{kind}.py").write_text(content)
    registry = load_registry([tmp_path], third_parties=False)
    assert registry.problems == {}
    for kind in kinds:
        _, size = fields_of(registry.get("coding", kind).Config)
        assert [type(value).__name__ for value in size.domain.choices] == [kind, kind]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (
            'inputs = {"event"}',
            "Mine.inputs must be a set of 'static' or 'events' or 'sequences' or 'spikes', not {'event'}",
        ),
        (
            'inputs = "events"',
            "Mine.inputs must be a set of 'static' or 'events' or 'sequences' or 'spikes', not 'events'",
        ),
        (
            "inputs = frozenset()",
            "Mine.inputs must be a set of 'static' or 'events' or 'sequences' or 'spikes', not frozenset()",
        ),
        ('trained_by = "backprop"', "Mine.trained_by must be 'bptt' or 'conversion', not 'backprop'"),
        ("step_range = (1, 8)", "Mine.step_range must be an Int, not (1, 8)"),
        ("step_range = Int(0, 8)", "Mine.step_range must begin at 1 or more, not 0..8"),
        ('neurons = frozenset({"lift"})', "unknown neuron in Mine.neurons: 'lift'. Did you mean 'lif'?"),
        ('neurons = "lif"', "Mine.neurons must be a set of names, not 'lif'"),
        ('requires = {"neuron.lif.treshold": Choice((1.0,))}', "in Mine.requires: 'neuron.lif.treshold'. Did you mean"),
        ('requires = {"coding.mine.size": Int(1, 2)}', "unknown hyperparameter in Mine.requires: 'coding.mine.size'"),
        ('requires = {"neuron.*.threshold": 1.0}', "Mine.requires: neuron.*.threshold: 1.0 is not a domain"),
        (
            'requires = {"neuron.lif.threshold": Float(5, 9)}',
            "Mine.requires: neuron.lif.threshold: 5..9 leaves nothing",
        ),
        ("requires = ('neuron.*.threshold',)", "Mine.requires must map patterns of names to domains"),
        ('published = {"steps": 4}', "Mine.published must be a sequence of settings, each a dictionary"),
        ('published = ("steps",)', "Mine.published[0] must be a dictionary of settings, not 'steps'"),
        ('published = ({"step": 4},)', "Mine.published[0]: unknown hyperparameter 'step'. Did you mean 'steps'?"),
        ('published = ({"coding.mine.size": 7},)', "Mine.published[0]: coding.mine.size: 7 is outside 1..3"),
        ('published = ({}, {"backbone": "vggg"})', "Mine.published[1]: unknown backbone 'vggg'. Did you mean 'vgg'?"),
        ('published = ({"coding": "direct"},)', "Mine.published[0]: it is about coding 'direct'"),
        ('starting_points = ({"step": 4},)', "Mine.starting_points[0]: unknown hyperparameter 'step'. Did you mean"),
        ("open_steps = Int(2, 4)", "Mine.open_steps must hold all of step_range, 1..8, not 2..4"),
        (
            "@classmethod\n    def domains(cls, steps):\n        return {'sise': Int(1, steps)}",
            "unknown hyperparameter in Mine.domains(1): 'sise'. Did you mean 'size'?",
        ),
        ("Config = type('Plain', (), {})", "TypeError: Plain must be a dataclass"),
    ],
)
def test_coding_that_breaks_its_contract_in_words_is_refused(tmp_path: Path, attribute: str, message: str) -> None:
    assert message in problem(tmp_path, CODING.replace("FIELD", GOOD_FIELD).replace("ATTRIBUTE", attribute))


@pytest.mark.parametrize(
    ("decorator", "message"),
    [("slots=True", "Mine: Config must be frozen"), ("frozen=True, eq=False", "Mine: Config must compare by value")],
)
def test_config_that_is_not_a_value_is_refused(tmp_path: Path, decorator: str, message: str) -> None:
    content = CODING.replace("FIELD", GOOD_FIELD).replace("ATTRIBUTE", "pass")
    assert message in problem(tmp_path, content.replace("frozen=True, slots=True", decorator))


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ('inputs = "event"', "Mine.inputs must be 'static' or 'events' or 'sequences' or 'spikes', not 'event'"),
        ('layout = "image"', "Mine.layout must be 'images' or 'features' or 'sequences', not 'image'"),
        ('output = "classes"', "Mine.output must be 'values' or 'images', not 'classes'"),
        ('maximize = "no"', "Mine.maximize must be True or False, not 'no'"),
        ('worst_quality = "0"', "Mine.worst_quality must be a number, not '0'"),
    ],
)
def test_task_that_breaks_its_contract_in_words_is_refused(tmp_path: Path, attribute: str, message: str) -> None:
    assert message in problem(tmp_path, TASK.replace("ATTRIBUTE", attribute))


def test_hooks_of_a_file_that_was_refused_are_not_called_for_the_next(tmp_path: Path) -> None:
    hook = "from spikefront.plugins import hookimpl\n\n@hookimpl\ndef register_{}:\n    raise ValueError('called')\n"
    bad = hook.format("neurons(register)") + hook.format("codings(what)")
    (tmp_path / "a_bad.py").write_text(bad)
    (tmp_path / "b_good.py").write_text(
        "from spikefront.plugins import hookimpl\nfrom spikefront.plugins.neurons.lif import LIF\n\n"
        "class Mine(LIF):\n    'A neuron.'\n\n    name = 'mine'\n\n"
        "@hookimpl\ndef register_neurons(register):\n    register(Mine)\n"
    )
    registry = load_registry([tmp_path], third_parties=False)
    assert "mine" in registry.entries["neuron"]
    (problem,) = registry.problems.values()
    assert "a_bad.py" in problem
    assert "what" in problem
