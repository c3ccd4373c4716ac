"""A folder of plugins that is somebody's working folder: only plugins are executed, and siblings can be imported."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.plugins.loose import declares_plugins, load_file
from spikefront.searchspace import UnknownName, UsageError

CODING = """
from spikefront.plugins import Coding, hookimpl

class {name}(Coding):
    "A coding."
    name = "{name}"
    {more}

@hookimpl
def register_codings(register):
    register({name})
"""
EXECUTED = "raise SystemExit('executed')\n"

Load = Callable[..., Registry]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load(**files: str) -> Registry:
        for name, content in files.items():
            path = tmp_path / (name.replace("__in__", "/") + ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return load_registry([tmp_path], third_parties=False)

    return load


def coding(name: str, before: str = "", more: str = "pass") -> str:
    return before + "\n" + CODING.format(name=name, more=more)


def test_what_declares_no_plugin_is_not_executed_and_named_in_one_line(load: Load, tmp_path: Path) -> None:
    others = {
        name: EXECUTED
        for name in ("setup", "__init__", "test_mine", "conftest", "script", "broken_too", "utf16", "helper", "later")
    }
    others["conftest"] += "import pytest\n@pytest.hookimpl\ndef pytest_configure(): ...\n"
    others["script"] += "# register_codings, hookimpl\nimport spikefront\ntext = 'register_codings'\n"
    others["test_mine"] += "def test():\n    from spikefront.plugins import hookimpl\n    @hookimpl\n    def f(): ...\n"
    others["broken_too"] += "print 'of Python 2'\n"
    (tmp_path / "data.py").mkdir()
    registry = load(mine=coding("mine"), **others)
    assert registry.problems == {}
    assert "mine" in registry.entries["coding"]
    (line,) = registry.lines
    assert line.startswith(
        f"in {tmp_path} these declare no plugin: __init__.py, broken_too.py, conftest.py, helper.py, "
    )
    assert line.endswith(" and 1 more")
    with pytest.raises(UsageError, match=r"helper\.py was not loaded: it declares no plugin; hooks: register_codings"):
        registry.get("coding", "helper")
    with pytest.raises(UnknownName):
        registry.get("coding", "setup_")


@pytest.mark.parametrize(
    ("source", "declares"),
    [
        ("from spikefront.plugins import hookimpl as mark", True),
        ("import spikefront.plugins as sp\n@sp.hookimpl\ndef register_codings(register): ...", True),
        ("from spikefront.plugins import *\n@hookimpl\ndef register_neurons(register): ...", True),
        ("try:\n    from spikefront.plugins import hookimpl\nexcept ImportError:\n    pass", True),
        ("if True:\n    def register_tasks(register): ...", True),
        ("from elsewhere import register_tasks", True),
        ("register_tasks = hookimpl(lambda register: None)", True),
        ("def register_commands(app): ...", True),
        ("def register_codings(:", True),  # its error is shown
        ("\0register_codings", True),
        ("from pytest import hookimpl", False),
        ("text = 'register_codings'", False),
        ("def test(register_codings): ...", False),
        ("class Mine:\n    def register_codings(self): ...", False),
        ("", False),
    ],
)
def test_a_plugin_is_seen_without_executing_it(source: str, declares: bool, tmp_path: Path) -> None:
    (tmp_path / "file.py").write_text(source)
    assert declares_plugins(tmp_path / "file.py") is declares


IMPORTS = "import util, package.part\nfrom .util import VALUE\nfrom . import base as other"


def test_siblings_are_imported(load: Load, tmp_path: Path) -> None:
    registry = load(
        one=coding(
            "one", "import util, package.part\nfrom .util import VALUE\nfrom . import base as other", "x = other.B"
        ),
        two=coding("two", "from one import one\nfrom base import B", "x = (one, B)"),
        util="import base\nVALUE = base.B + 1\n",
        base="B = 3\n",
        package__in__part="from .inner import P\n",
        package__in__inner="P = 5\n",
        package__in____init__="",
        lazy=coding("lazy", "def late():\n    from base import B\n    return B\n"),
        alone="unused = 1\n",
    )
    assert registry.problems == {}
    assert registry.lines == [f"in {tmp_path} these declare no plugin: alone.py"]
    one, two = registry.get("coding", "one"), registry.get("coding", "two")
    assert two.x == (one, 3)
    module = sys.modules[one.__module__]
    assert (module.VALUE, module.util.VALUE, module.package.part.P, one.x) == (4, 4, 5, 3)
    assert sys.modules[registry.get("coding", "lazy").__module__].late() == 3
    assert {"util", "base", "one", "package"} & sys.modules.keys() == set()


def test_siblings_that_import_each_other_are_loaded_once(load: Load) -> None:
    registry = load(
        a=coding("a", "import b", "seen = b"),
        b=coding("b", "import a", "seen = a"),
    )
    assert registry.problems == {}
    assert registry.get("coding", "a").seen.b is registry.get("coding", "b")


def test_names_of_other_modules_stay_theirs(load: Load, tmp_path: Path) -> None:
    names = ("random", "json", "torch", "numpy", "optuna", "spikefront", "six")
    before = {name: sys.modules.get(name) for name in names}
    header = "import random, json, torch, numpy, optuna, spikefront\nfrom util import U\n"
    more = "x = (random.random, json.dumps, torch.Tensor, numpy.ndarray, optuna.Trial, spikefront.run, U)"
    registry = load(mine=coding("mine", header, more), util="U = 1\n", **dict.fromkeys(names, EXECUTED))
    assert registry.problems == {}
    assert registry.get("coding", "mine").x[2] is sys.modules["torch"].Tensor
    assert {name: sys.modules.get(name) for name in names if before[name]} == {n: m for n, m in before.items() if m}


def test_folders_with_siblings_of_one_name_have_their_own(tmp_path: Path) -> None:
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "util.py").write_text(f"PLACE = {place!r}\n")
        (tmp_path / place / f"{place}.py").write_text(coding(place, "from util import PLACE", "x = PLACE"))
    registry = load_registry([tmp_path / "one", tmp_path / "two"], third_parties=False)
    assert registry.lines == []
    assert [registry.get("coding", place).x for place in ("one", "two")] == ["one", "two"]


def test_a_changed_sibling_is_another_version(load: Load) -> None:
    files = {"mine": coding("mine", "import util", "x = util.U"), "util": "U = 1\n", "alone": coding("alone")}
    first = load(**files)
    again = load(**{**files, "util": "U = 2\n"})
    assert (first.get("coding", "mine").x, again.get("coding", "mine").x) == (1, 2)
    changed = {name for name, found in first.versions().items() if again.versions()[name] != found}
    assert changed == {"coding.mine"}


def test_a_hook_that_another_file_imports_counts_once(load: Load) -> None:
    registry = load(a=coding("a"), b="from a import register_codings\n", c=coding("c", "from a import *", "x = a"))
    assert registry.problems == {}
    assert registry.entries["coding"]["a"].origin.endswith("a.py")
    assert registry.get("coding", "c").x is registry.get("coding", "a")


def test_a_sibling_that_fails_is_named_with_its_line(load: Load) -> None:
    registry = load(
        mine=coding("mine", "import util"),
        util=dedent("""
        x = 1
        raise RuntimeError("no")
    """),
    )
    (problem,) = registry.problems.values()
    assert problem.endswith("mine.py was not loaded: RuntimeError: no (util.py:3)")


def test_a_file_that_can_not_be_read_is_named(load: Load, tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    registry = load(mine=coding("mine"))
    (problem,) = registry.problems.values()
    assert "gone.py was not loaded: FileNotFoundError" in problem
    with pytest.raises(FileNotFoundError):
        load_file(tmp_path / "gone.py")


def test_nothing_is_left_in_the_folder(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    load(helper="X = 1\n", mine=coding("mine", before="import helper\n"))
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["helper.py", "mine.py"]
    assert sys.dont_write_bytecode is False
