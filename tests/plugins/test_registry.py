from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikefront.plugins import KINDS, Objective, Registry, Task, hookspecs, load_registry
from spikefront.plugins.kinds import FAMILY_KINDS
from spikefront.searchspace import FAMILIES, OBJECTIVES, UnknownName, UsageError, from_flat

HEAD = """
from spikefront.plugins import Coding, Neuron, hookimpl

class Mine(Coding):
    "A coding of my own."
    name = "mine"

@hookimpl
def register_codings(register):
"""

GOOD = HEAD + "    register(Mine)\n"


def load(folder: Path, **files: str) -> Registry:
    for name, content in files.items():
        (folder / f"{name}.py").write_text(content, encoding="utf-8")
    return load_registry([folder], third_parties=False)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder on sys.path, where packages can be installed by hand."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("acme"):
            del sys.modules[name]


def install(site: Path, name: str, content: str, entry_point: str, release: str = "1.2.3") -> None:
    (site / f"{name}.py").write_text(content, encoding="utf-8")
    info = site / f"{name}-{release}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {release}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[spikefront]\nplugin = {entry_point}\n", encoding="utf-8")


def test_every_built_in_plugin_loads() -> None:
    registry = load_registry(third_parties=False)
    assert not registry.problems
    assert all(registry.entries[kind] for kind in KINDS)


def test_kinds_agree_with_the_families_of_a_candidate_and_with_the_hooks() -> None:
    hooks = {name for name in vars(hookspecs) if name.startswith("register_")}
    assert FAMILY_KINDS.keys() == set(FAMILIES)
    assert {kind.hook for kind in KINDS.values()} | {"register_commands"} == hooks
    assert [name for name, kind in KINDS.items() if kind.name != name] == []


def test_built_in_objectives_are_those_of_the_search_space() -> None:
    registry = load_registry(third_parties=False)
    assert registry.objectives == OBJECTIVES
    assert registry.entries["objective"]["energy"].summary == "energy per sample (nJ); lower is better"


def test_task_of_a_candidate_has_its_settings() -> None:
    registry = load_registry(third_parties=False)
    candidate = from_flat({"task": "n-mnist", "coding": "direct", "task.n-mnist.binning": "time"}, registry)
    task = registry.task(candidate)
    assert isinstance(task, Task)
    assert (task.name, task.config.binning) == ("n-mnist", "time")


EVERY_NEW_KIND = """
from dataclasses import dataclass
import optuna
from spikefront.plugins import Objective, Optimizer, Sampler, StoppingRule, Surrogate, hookimpl

@dataclass(frozen=True, slots=True)
class Flat(Surrogate):
    "1 everywhere."
    name = "flat"

@dataclass(frozen=True, slots=True)
class Plain(Optimizer):
    "Plain descent."
    name = "plain"

class Mine(Sampler):
    "A sampler."
    name = "mine"

class Never(StoppingRule):
    "Stops nothing."
    name = "never"

@hookimpl
def register_surrogates(register):
    register(Flat)

@hookimpl
def register_optimizers(register):
    register(Plain)

@hookimpl
def register_samplers(register):
    register(Mine)

@hookimpl
def register_stopping_rules(register):
    register(Never)

@hookimpl
def register_objectives(register):
    register(Objective("cost", maximize=False, worst=10.0, best=0.0))
"""


@pytest.mark.parametrize(
    ("task", "coding", "backbone"),
    [("digits", "rate", "convnet"), ("diabetes", "population", "mlp"), ("mnist1d", "direct", "mlp")],
)
def test_default_backbone_takes_what_the_task_gives(task: str, coding: str, backbone: str) -> None:
    registry = load_registry(third_parties=False)
    candidate = from_flat({"task": task, "coding": coding}, registry)
    assert candidate.backbone.name == backbone
    registry.refuse(candidate)


def test_one_file_may_register_several_kinds(tmp_path: Path) -> None:
    registry = load(tmp_path, mine=EVERY_NEW_KIND)
    assert registry.problems == {}
    names = {"surrogate.flat", "optimizer.plain", "sampler.mine", "stopping.never", "objective.cost"}
    assert names <= registry.versions().keys()
    assert registry.objectives["cost"] == Objective("cost", maximize=False, worst=10.0, best=0.0)
    files = {registry.entries[kind][name].file for kind, name in (("surrogate", "flat"), ("objective", "cost"))}
    assert files == {tmp_path / "mine.py"}
    assert registry.entries["objective"]["energy"].file.name == "objectives.py"
    surrogate = registry.get("surrogate", "flat")
    assert surrogate.Config is surrogate  # of a class that dataclass has made twice
    assert registry.options("training.surrogate")["flat"] is surrogate


def test_file_with_nothing_but_a_command_is_left_to_the_command_line(tmp_path: Path) -> None:
    command = "from spikefront.plugins import hookimpl\n\n@hookimpl\ndef register_commands(app):\n    1 / 0\n"
    registry = load(tmp_path, mine=command)
    assert registry.problems == {}
    assert registry.versions() == load_registry(third_parties=False).versions()


def test_versions_name_every_plugin() -> None:
    registry = load_registry(third_parties=False)
    assert len(registry.versions()) == sum(map(len, registry.entries.values()))
    assert {"coding.direct", "neuron.lif", "energy.horowitz-45nm"} <= registry.versions().keys()


def test_a_revision_is_part_of_the_version() -> None:
    registry = load_registry(third_parties=False)
    release = registry.versions()["task.n-mnist"]
    assert registry.versions()["task.dvs128-gesture"] == f"{release}+1"  # its split has changed


def test_loose_file_is_a_plugin(tmp_path: Path) -> None:
    registry = load(tmp_path, mine=GOOD)
    assert not registry.problems
    entry = registry.entries["coding"]["mine"]
    assert entry.summary == "A coding of my own."
    assert entry.origin == str(tmp_path / "mine.py")
    assert entry.version.startswith("sha256:")
    assert registry.get("coding", "mine") is entry.plugin


def test_loose_file_is_loaded_once(tmp_path: Path) -> None:
    first = load(tmp_path, mine=GOOD).get("coding", "mine")
    assert load(tmp_path).get("coding", "mine") is first
    assert load(tmp_path, mine=GOOD + "\n# changed").get("coding", "mine") is not first


def test_what_is_not_a_regular_file_is_left_out_and_the_others_load(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    os.mkfifo(tmp_path / "pipe.py")
    with (tmp_path / "huge.py").open("wb") as file:
        file.truncate(2**40)
    registry = load(tmp_path, fine=GOOD)
    assert not registry.problems
    assert {path.stem for path in registry.left_out} == {"pipe", "huge"}
    assert "mine" in registry.entries["coding"]


def test_folder_named_twice_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    (tmp_path / "link").symlink_to(tmp_path)
    registry = load_registry([tmp_path, tmp_path / "link"], third_parties=False)
    assert not registry.problems
    assert "mine" in registry.entries["coding"]


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load_registry([tmp_path / "none"], third_parties=False)
    assert caught.value.on_command_line() == f"--plugins-dir {tmp_path}/none: no such folder"


def test_installed_package_is_a_plugin(site: Path) -> None:
    install(site, "acme_burst", GOOD, "acme_burst")
    registry = load_registry()
    assert (registry.entries["coding"]["mine"].origin, registry.entries["coding"]["mine"].version) == (
        "acme_burst",
        "1.2.3",
    )
    assert "mine" not in load_registry(third_parties=False).entries["coding"]


def test_name_already_taken_is_refused_naming_both(tmp_path: Path) -> None:
    one, two, three = (str(tmp_path / f"{name}.py") for name in ("a", "b", "c"))
    registry = load(tmp_path, a=GOOD, b=GOOD + "# again", c=GOOD.replace('"mine"', '"rate"'))
    assert registry.problems == {
        two: f"plugin {two} was not loaded: coding 'mine' is registered by both {one} and {two}",
        three: f"plugin {three} was not loaded: coding 'rate' is registered by both spikefront.plugins.codings.rate "
        f"and {three}",
    }
    assert registry.entries["coding"]["mine"].origin == one
    assert registry.entries["coding"]["rate"].origin == "spikefront.plugins.codings.rate"


def test_name_registered_twice_by_one_file_is_refused(tmp_path: Path) -> None:
    registry = load(tmp_path, mine=GOOD + "    register(Mine)\n")
    assert "coding 'mine' is registered by both" in registry.problems[str(tmp_path / "mine.py")]
    assert "mine" not in registry.entries["coding"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "import nothing_of_this_name\n" + GOOD,
            "ModuleNotFoundError: No module named 'nothing_of_this_name' (broken.py:1)",
        ),
        ("x = 1\ndef broken(:\n" + GOOD, "(broken.py:2)"),
        ("raise RuntimeError('two\\nlines')\n" + GOOD, "RuntimeError: two lines (broken.py:1)"),
        (GOOD.replace("    register(Mine)", "    1 / 0"), "ZeroDivisionError: division by zero (broken.py:10)"),
        (
            "from spikefront.plugins import hookimpl\n",
            "it registers nothing; hooks: register_codings, register_neurons, register_backbones, register_tasks",
        ),
        (GOOD.replace("@hookimpl", ""), "it registers nothing; hooks: "),
        (
            GOOD.replace("register_codings", "register_coding"),
            "unknown hook 'register_coding'. Did you mean 'register_codings'?",
        ),
        (GOOD.replace("(register)", "(register, other)"), "PluginValidationError"),
        (HEAD + "    register(3)\n", "it registers 3, which is not a subclass of Coding"),
        (HEAD + "    register(Neuron)\n", "which is not a subclass of Coding"),
        (HEAD + "    register(Mine())\n", "TypeError"),
        (GOOD.replace('name = "mine"', ""), "Mine.name must be a word without blanks or any of . , | = *, not None"),
        (GOOD.replace('"mine"', '"my coding"'), "Mine.name must be a word without blanks"),
        (GOOD.replace('"mine"', '"a.b"'), "Mine.name must be a word without blanks"),
        (GOOD.replace('"mine"', '""'), "Mine.name must be a word without blanks"),
        (GOOD.replace('name = "mine"', 'name = "mine"; Config = dict'), "TypeError: dict must be a dataclass"),
        (EVERY_NEW_KIND.replace('Objective("cost"', 'dict(metric="cost"'), "which is not an Objective"),
        (EVERY_NEW_KIND.replace('"cost"', '"quality"'), "objective 'quality' is the task's own; choose another name"),
        (EVERY_NEW_KIND.replace('"cost"', '"energy"'), "objective 'energy' is registered by both spikefront"),
        (EVERY_NEW_KIND.replace('"cost"', '"a cost"'), "Objective.name must be a word without blanks"),
        (EVERY_NEW_KIND.replace("@dataclass(frozen=True, slots=True)", ""), "TypeError: Flat must be a dataclass"),
        (EVERY_NEW_KIND.replace("register(Mine)", "register(Never)"), "which is not a subclass of Sampler"),
    ],
)
def test_broken_file_gives_one_line_and_takes_nothing_else_down(tmp_path: Path, content: str, message: str) -> None:
    registry = load(tmp_path, broken=content, fine=GOOD)
    ((source, problem),) = registry.problems.items()
    assert source == str(tmp_path / "broken.py")
    assert problem.startswith(f"plugin {source} was not loaded: ")
    assert message in problem
    assert "\n" not in problem
    assert {"mine", "direct", "sac"} <= registry.entries["coding"].keys()


def test_tracing_prints_the_traceback_of_the_hook_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = GOOD.replace("    register(Mine)", "    1 / 0  # traced")
    load(tmp_path, broken=broken)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("SPIKEFRONT_TRACE_PLUGINS", "1")
    load(tmp_path, broken=broken)
    err = capsys.readouterr().err
    assert f'File "{tmp_path / "broken.py"}", line 10, in register_codings' in err
    assert "ZeroDivisionError: division by zero" in err


def test_file_that_fails_half_way_registers_nothing(tmp_path: Path) -> None:
    registry = load(tmp_path, half=GOOD + "    register(Neuron)\n")
    assert registry.problems
    assert "mine" not in registry.entries["coding"]


def test_broken_plugin_is_fatal_only_where_it_is_named(tmp_path: Path) -> None:
    registry = load(tmp_path, my_burst="import nothing_of_this_name\n" + GOOD)
    assert registry.get("coding", "direct").name == "direct"
    with pytest.raises(UsageError, match=r"my_burst\.py was not loaded: ModuleNotFoundError"):
        registry.get("coding", "my-burst")


@pytest.mark.parametrize("entry_point", ["acme_spike.burst_code", "acme_spike:burst_code"])
def test_broken_installed_plugin_is_fatal_only_where_it_is_named(site: Path, entry_point: str) -> None:
    install(site, "acme_spike", "x = 1\n", entry_point)
    registry = load_registry()
    assert list(registry.problems) == [entry_point]
    name = "burst-code" if "." in entry_point else "acme-spike"
    with pytest.raises(UsageError, match=rf"^plugin {entry_point} was not loaded: "):
        registry.get("coding", name)


def test_unknown_plugin_offers_the_nearest() -> None:
    registry = load_registry(third_parties=False)
    with pytest.raises(
        UnknownName, match=r"^unknown coding 'latncy'\. Did you mean 'latency'\? Known: .*direct, .*latency"
    ):
        registry.get("coding", "latncy")


def test_hook_calls_are_traced_on_demand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load(tmp_path, mine=GOOD)
    assert "register_codings" not in capsys.readouterr().err
    monkeypatch.setenv("SPIKEFRONT_TRACE_PLUGINS", "1")
    load(tmp_path)
    assert "register_codings" in capsys.readouterr().err


def test_options_are_the_configs_of_a_family() -> None:
    registry = load_registry(third_parties=False)
    assert registry.options("coding")["sac"] is registry.get("coding", "sac").Config
    assert registry.options("training.optimizer")["sgd"] is registry.get("optimizer", "sgd")
    assert {"atan", "sigmoid"} <= registry.options("training.surrogate").keys()
    assert registry.steps("latency") == registry.get("coding", "latency").step_range
    assert registry.domains("neuron", "lif", "direct", 4) == {}


NEEDY = """
from spikefront.plugins import Coding, Task, hookimpl

class Needy(Coding):
    "Goes with PLIF alone."
    name = "needy"
    neurons = frozenset({"plif"})

class Camera(Task):
    "Gives events."
    name = "camera"
    inputs = "events"

class Painter(Task):
    "Wants images."
    name = "painter"
    output = "images"

@hookimpl
def register_codings(register):
    register(Needy)

@hookimpl
def register_tasks(register):
    register(Camera)
    register(Painter)
"""


def test_what_does_not_go_together_is_said_in_one_line(tmp_path: Path) -> None:
    registry = load(tmp_path, needy=NEEDY)
    chosen = {"task": "digits", "coding": "needy", "neuron": "plif", "backbone": "mlp"}
    assert registry.problem(chosen) is None
    assert registry.problem(chosen | {"neuron": "lif"}) == "coding 'needy' needs neuron plif, not 'lif'"
    problem = registry.problem(chosen | {"task": "camera", "coding": "latency"})
    assert problem is not None
    assert problem.startswith(
        "coding 'latency' takes static input, but task 'camera' gives events; codings that take it: "
    )
    problem = registry.problem(chosen | {"task": "painter"})
    assert problem is not None
    assert problem.startswith(
        "task 'painter' needs a backbone that makes images, and 'mlp' makes values; backbones that "
    )
