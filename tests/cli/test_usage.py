"""Bad input to the command line is one clear line and exit code 2; help is quick."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

Command = Callable[..., Any]


def write_plugin(folder: Path, name: str, text: str) -> str:
    folder.mkdir()
    (folder / name).write_text(text)
    return str(folder)


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--task digts", r"unknown task 'digts'\. Did you mean 'digits'\? Known: .*fashion-mnist"),
        (
            "--set coding=latncy",
            r"unknown coding 'latncy'\. Did you mean 'latency'\? Known: .*direct, .*sac",
        ),
        ("--set neuron=lief", r"unknown neuron 'lief'\. Did you mean 'lif'\?"),
        (
            "--set neuron.lif.treshold=1",
            r"unknown hyperparameter in --set neuron\.lif\.treshold=1: 'neuron\.lif\.treshold'\. "
            r"Did you mean 'neuron\.lif\.threshold'\?",
        ),
        (
            "--set coding.latency.threshold=0.9 --set coding=latency",
            r"coding\.latency\.threshold: 0\.9 is outside 0\.\.0\.2; a space can be narrowed, never widened$",
        ),
        ("--set steps=1..4000", r"^--set steps=1\.\.4000: steps: 4000 is outside 1\.\.\d+; .* never widened$"),
        ("--set steps=8..4", r"^--set steps=8\.\.4: steps: 8\.\.4 is reversed; write 4\.\.8$"),
        ("--set steps", r"^--set steps must read NAME=VALUE, NAME=VALUE,VALUE or NAME=LOW\.\.HIGH$"),
        ("--set coding=latency --set steps=1", r"^coding 'latency' is searched over steps 3\.\.16.*; none are kept$"),
        ("--epochs 0", r"^--epochs 0: training\.epochs: 0 is outside 1\.\.10000"),
        ("--trials 0", r"^--trials 0 must be above 0$"),
        ("--workers -1", r"^--workers -1 must be above 0$"),
        ("--seed -1", r"^--seed -1 must be "),
        ("--gpus-per-trial -0.5", r"^--gpus-per-trial -0\.5 must be 0 or more"),
        ("--name a/b", r"^--name 'a/b' must be a name without slashes or quotes"),
        (
            "--sampler tpee",
            r"^unknown sampler 'tpee'\. Did you mean 'tpe'\? Known: evolution, gp, nsga2, .*tpe\.$",
        ),
        ("--objective latancy", r"^unknown objective 'latancy'\. Did you mean 'latency'\?"),
        ("--energy-model horowitz", r"^unknown energy .*'horowitz'\. Did you mean 'horowitz-45nm'\?"),
        ("--time 5parsec", r"^--time 5parsec is not a duration: give a number above 0 and a unit of s, m, h, d"),
        ("--target-hypervolume 2", r"^--target-hypervolume 2 must be above 0, and 1 at most$"),
        (
            "--tell-stopped prunned",
            r"^--tell-stopped prunned is unknown; known: partial, pruned$",
        ),
        ("--epoch-timeout 5", r"^--epoch-timeout 5 is not a duration: give a number above 0 and a unit"),
        ("--from nowhere", r"^unknown search in searches: 'nowhere'\."),
        ("--gpus-per-trial 1.5", r"^--gpus-per-trial 1\.5: a fraction shares one GPU, .* take 1 or 2$"),
        ("--plugins-dir nowhere", r"^--plugins-dir .*nowhere: no such folder$"),
        ("--config nowhere.yaml", r"^nowhere\.yaml: No such file or directory$"),
        ("--config .", r"^\.: Is a directory$"),
        ("--address 127.0.0.1:1", r"^--address 127\.0\.0\.1:1: no Ray cluster answers .* ray start --head$"),
        ("--address somewhere", r"^--address somewhere must read HOST:PORT"),
        ("--tracking-uri ftp://here", r"^tracking URI 'ftp://here': MLflow has no store for 'ftp'; known: .*sqlite"),
        (
            "--tracking-uri runs",
            r"^tracking URI 'runs' is a folder, which MLflow no longer writes; use sqlite:///mlflow",
        ),
        ("--tracking-uri sqlite:///no/m.db", r"^MLflow store .*/no/m\.db: folder .*/no does not exist; create it"),
        ("--tracking-uri sqlite:///.", r"^MLflow store .* does not open: unable to open database file; choose another"),
        (
            "--tracking-uri http://127.0.0.1:9",
            r"^MLflow server http://127\.0\.0\.1:9 does not answer within 5 s; start it \(mlflow server\), or leave",
        ),
    ],
)
def test_run_says_what_is_wrong_and_leaves_nothing(command: Command, arguments: str, message: str) -> None:
    said = command("run", "--task", "digits", *arguments.split())

    assert re.search(message, said.problem())
    assert list(Path().iterdir()) == []


def test_run_without_a_task_says_where_tasks_are_listed(command: Command) -> None:
    assert command("run").problem() == "--task is missing; see: spikefront plugins --kind task"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space: {steps: 1..4000}", r"^s\.yaml: steps: 4000 is outside 1\.\.\d+; .* narrowed, never widened$"),
        ("space: {steps: {low: 1}}", r"^s\.yaml: space: steps: \{'low': 1\} is not a value, a list of values or LOW"),
        ("space: [steps]", r"^s\.yaml, line 1: space must map hyperparameters to values, not \['steps'\]$"),
        ("trials: [1", r"^s\.yaml: not readable as YAML: .*line 1"),
        ("trails: 5", r"^unknown option in s\.yaml: 'trails'\. Did you mean 'trials'\?"),
        ("trials: many", r"^s\.yaml, line 1: trials: many is not a whole number$"),
        ("workers: true", r"^s\.yaml, line 1: workers: True is not a whole number$"),
        ("task: digits\ntime: 90x", r"^s\.yaml, line 2: time: 90x is not a duration: give a number above 0 and a unit"),
        ("task: digits\n\ntrials: 0", r"^s\.yaml, line 3: trials: 0 must be above 0$"),
        ("epochs: 0", r"^s\.yaml, line 1: epochs: training\.epochs: 0 is outside 1\.\.10000"),
        ("- task: digits", r"^s\.yaml: a study file is a mapping of option: value, see examples/study\.yaml$"),
        ("", r"^s\.yaml: a study file is a mapping"),
    ],
)
def test_a_mistake_in_a_study_file_is_named_with_the_file(command: Command, text: str, message: str) -> None:
    Path("s.yaml").write_text(text)

    said = command("run", "--task", "digits", "--config", "s.yaml")

    assert re.search(message, said.problem())
    assert not Path("searches").exists()


@pytest.mark.parametrize(
    ("attribute", "narrow", "message"),
    [
        (
            'inputs = frozenset({"events"})',
            ["coding=picky"],
            "coding 'picky' takes events input, but task 'digits' gives static; codings that take it: ",
        ),
        (
            'neurons = frozenset({"plif"})',
            ["coding=picky", "neuron=lif"],
            "coding 'picky' needs neuron plif, not 'lif'",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_refused(
    command: Command, picky_coding: str, tmp_path: Path, attribute: str, narrow: list[str], message: str
) -> None:
    folder = write_plugin(tmp_path / "mine", "picky.py", picky_coding.format(attribute=attribute))
    options = [word for text in narrow for word in ("--set", text)]

    said = command("run", "--task", "digits", "--plugins-dir", folder, *options)

    assert said.problem().startswith(message)
    assert not Path("searches").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("raise ImportError('no module\\nnamed spikes')", "ImportError: no module named spikes"),
        ("def register(:", "SyntaxError: invalid syntax (my_coding.py, line 1)"),
        ("name = 'my-coding'", "it registers nothing; hooks: register_codings, "),
    ],
)
def test_a_broken_plugin_is_a_warning_until_it_is_named(
    command: Command, tmp_path: Path, text: str, reason: str
) -> None:
    folder = write_plugin(tmp_path / "mine", "my_coding.py", text + "\nfrom spikefront.plugins import hookimpl\n")
    problem = f"plugin {folder}/my_coding.py was not loaded: {reason}"

    unnamed = command("plugins", "--kind", "task", "--plugins-dir", folder)
    named = command("run", "--task", "digits", "--plugins-dir", folder, "--set", "coding=my-coding")

    assert unnamed.code == 0
    (warning,) = unnamed.warnings
    assert warning.startswith(f"spikefront: warning: {problem}")
    assert named.problem().startswith(problem)
    assert not Path("searches").exists()


def test_files_that_declare_no_plugin_are_one_warning_and_say_so_when_named(command: Command, tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "mine", "setup.py", "raise SystemExit('executed')\n")
    (tmp_path / "mine" / "notes.py").write_text("raise SystemExit('executed')\n")

    unnamed = command("plugins", "--kind", "task", "--plugins-dir", folder)
    named = command("run", "--task", "digits", "--plugins-dir", folder, "--set", "coding=notes")

    assert unnamed.code == 0
    assert unnamed.warnings == [f"spikefront: warning: in {folder} these declare no plugin: notes.py, setup.py"]
    assert f"plugin {folder}/notes.py was not loaded: it declares no plugin; hooks: register_codings, " in named.err


def test_a_name_that_is_taken_is_refused_and_its_search_is_kept(command: Command, tmp_path: Path) -> None:
    journal = tmp_path / "searches" / "first" / "journal.log"
    journal.parent.mkdir(parents=True)
    journal.write_text("a journal")

    said = command("run", "--task", "digits", "--name", "first")

    assert said.problem() == (
        "a search named 'first' is already in searches/first; choose another --name, or go on with it: --resume first"
    )
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [journal]
    assert journal.read_text() == "a journal"


def test_a_folder_that_can_not_be_made_is_refused_before_the_search(command: Command, tmp_path: Path) -> None:
    Path("notes").write_text("mine")

    said = command("run", "--task", "digits", "--folder", "notes")

    assert said.problem() == f"--folder notes: {tmp_path}/notes is not a folder that can be written; choose another"
    assert Path("notes").read_text() == "mine"


@pytest.mark.slow
def test_missing_data_files_are_named_and_no_search_is_begun(in_new_process: Command) -> None:
    Path("data").mkdir()

    said = in_new_process("run", "--task", "fashion-mnist", "--data-dir", "data")

    assert said.problem() == "--data-dir data: no train-images-idx3-ubyte.gz there, nor in its folder fashion-mnist"
    assert [path.name for path in Path().iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("pareto", r"^no search found in sqlite:///.*mlflow\.db; run: spikefront run --task digits$"),
        ("pareto --search mine", r"^no search found in sqlite:///"),
        ("pareto --max-energy 5bananas", r"^--max-energy 5bananas is not an energy: give a number above 0 and a unit"),
        ("pareto --min-quality nan", r"^--min-quality nan must be a finite number"),
        ("plugins --kind codin", r"^unknown kind 'codin'\. Did you mean 'coding'\? Known: .*neuron"),
        ("plugins --plugins-dir nowhere", r"^--plugins-dir nowhere: no such folder$"),
        ("space --task nope", r"^unknown task 'nope'\. Known: .*digits, "),
        ("space", r"^--task is missing; see: spikefront plugins --kind task$"),
        ("space --task digits --set coding=spam", r"^unknown coding 'spam'"),
    ],
)
def test_the_other_verbs_say_what_is_wrong_too(command: Command, arguments: str, message: str) -> None:
    assert re.search(message, command(*arguments.split()).problem())
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --trails 5", r"^unknown option of spikefront run: '--trails'\. Did you mean '--trials'\? Known: "),
        ("run --task digits --trials many", r"^--trials many is not a whole number$"),
        ("run --task digits --trials nan", r"^--trials nan is not a whole number$"),
        ("run --trials", r"^option '--trials' requires an argument; see: spikefront run --help$"),
        ("run --no-priors=1", r"^option '--no-priors' does not take a value; see: spikefront run --help$"),
        ("run digits", r"^got unexpected extra argument.*digits.*; see: spikefront run --help$"),
        ("plugins --format yaml", r"^invalid value for '--format': 'yaml' is not one of 'table', 'json', "),
        ("rnu", r"^no such command 'rnu'.*'run'.*; see: spikefront --help$"),
        ("results mv", r"^no such command 'mv'.*; see: spikefront results --help$"),
        ("space -x", r"^unknown option of spikefront space: '-x'\."),
        ("export one/2", r"^missing option '--to'; see: spikefront export --help$"),
        ("--nosuch", r"^unknown option of spikefront: '--nosuch'\."),
    ],
)
def test_what_is_not_a_command_line_at_all_is_one_line_too(command: Command, arguments: str, message: str) -> None:
    assert re.search(message, command(*arguments.split()).problem())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("run --task digits --set coding=latncy", "unknown coding 'latncy'. Did you mean 'latency'?"),
        ("run --task digits --trials 0", "--trials 0 must be above 0"),
        ("pareto", "no search found in sqlite:///"),
    ],
)
def test_a_process_of_its_own_says_the_same(in_new_process: Command, arguments: str, message: str) -> None:
    assert in_new_process(*arguments.split()).problem().startswith(message)
    assert list(Path().iterdir()) == []


# Help and lists

HELP = """
import contextlib, io, json, sys
import typer
from spikefront.commands.app import load_commands
from spikefront.search import main

def help_of(verb, command):
    sys.argv = ["spikefront", *verb, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as text:
        try:
            main()
        except SystemExit as end:
            found[" ".join(verb)] = [end.code, text.getvalue()]
    for name, inner in getattr(command, "commands", {}).items():
        help_of([*verb, name], inner)

found = {}
help_of([], typer.main.get_command(load_commands()))
heavy = sorted({"torch", "ray", "mlflow", "optuna", "pandas", "altair"} & sys.modules.keys())
print(json.dumps({"found": found, "heavy": heavy}))
"""


def test_help_shows_an_example_and_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, timeout=60, check=True)
    answer = json.loads(done.stdout)

    assert answer["heavy"] == []
    found = answer["found"]
    assert {"run", "pareto", "confirm", "export", "compare", "report", "plugins", "space", "results import"} <= set(
        found
    )
    for verb, (code, text) in found.items():
        assert code == 0
        assert f"Example: spikefront {verb}" in text
        group, _, name = verb.rpartition(" ")
        assert verb == "" or re.search(rf"^  {name} ", found[group][1], re.MULTILINE)


REFUSED = """
import sys
from spikefront.search import main

sys.argv = ["spikefront", "run", "--task", "digits", "--min-quality", "2"]
try:
    main()
finally:
    print(sorted({"ray", "mlflow"} & sys.modules.keys()))
"""


def test_a_search_that_is_refused_imports_no_ray(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", REFUSED], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "[]\n"), done.stderr
    assert done.stderr.startswith("spikefront: --min-quality 2 can't be reached")


def test_the_file_itself_is_the_same_command_line(in_new_process: Command) -> None:
    as_file = subprocess.run(
        [sys.executable, "search.py", "run", "--help"], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    as_module = in_new_process("run", "--help")

    assert (as_file.returncode, as_module.code) == (0, 0)
    usage = "Usage: search.py run [OPTIONS]\n"
    assert as_file.stdout.partition("\n\n")[0].strip() + "\n" == usage
    assert as_file.stdout.partition("\n\n")[2] == as_module.out.partition("\n\n")[2]


def test_a_group_of_commands_by_itself_prints_its_help(command: Command) -> None:
    said = command("results")
    assert said.code == 2
    assert "Usage: " in said.out + said.err
