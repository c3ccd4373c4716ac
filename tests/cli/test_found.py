"""The verbs about what was found: what they print, what they refuse, and their exit codes."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from tests.cli.stored import QUALITY, QUICK, TRIALS, keep_search

import spikefront
from spikefront.plugins import load_registry
from spikefront.plugins.codings.latency import latency
from spikefront.plugins.tasks.digits import Digits
from spikefront.results.named_trials import find_run
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.runners.judging.judge import Judgement
from spikefront.searchspace import ENERGY, SearchInfo, UsageError, from_flat

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def judged() -> Judgement:
    """Really train trial 2."""
    return spikefront.judge({"task": "digits", "backbone": "mlp", "coding": "latency", "steps": 4, **QUICK})


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory, judged: Judgement) -> str:
    """Return a store with the searches ``one`` and ``two``, alike, and ``running``, which has not ended."""
    folder = tmp_path_factory.mktemp("found")
    with chdir(folder):  # where the artifacts go
        for name in ("one", "two", "running"):
            keep_search(folder / name, judged)
    return f"sqlite:///{folder}/mlflow.db"


@pytest.fixture
def asked(command: Command, uri: str, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command line on the store of ``uri``."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return command


def rows(said: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(said.out)
    assert (said.code, said.err) == (
        0,
        "" if found else "the filters leave none of the 4 members of the front of one\n",
    )
    return found


# pareto


@pytest.mark.parametrize(
    ("arguments", "trials"),
    [
        ("", [0, 4, 2, 5]),
        ("--order quality", [5, 2, 4, 0]),
        ("--order latency", [0, 5, 2, 4]),
        # between (0.1, 1 nJ) and (0.95, 10 uJ) the line rises .2125 a decade; trial 4 is .3875 above it, trial 2 .275
        ("--knee", [4]),
        ("--min-quality 0.75", [2, 5]),
        ("--max-energy 0.1uJ", [0, 4, 2]),
        ("--max-latency 4", [0, 2, 5]),
        ("--coding rate", [4, 5]),
        ("--coding rate --coding latency --max-energy 1uJ", [4, 2]),
        ("--per-coding", [0, 1, 2, 4, 3, 5]),
        ("--min-quality 0.99", []),
    ],
)
def test_pareto_leaves_out_and_orders_as_it_is_told(asked: Command, arguments: str, trials: list[int]) -> None:
    found = rows(asked("pareto", "--search", "one", "--format", "json", *arguments.split()))
    assert [row["trial"] for row in found] == trials


@pytest.mark.parametrize("form", ["csv", "table", "markdown"])
def test_pareto_prints_the_same_in_each_form(asked: Command, form: str) -> None:
    said = asked("pareto", "--search", "one", "--format", form)

    assert (said.code, said.err) == (0, "")
    if form == "csv":
        found = [(row["trial"], row["coding"]) for row in csv.DictReader(io.StringIO(said.out))]
    else:
        words = [re.findall(r"[^\s|]+", line) for line in said.out.splitlines()]
        told = [[word for word in line if word.isdecimal() or word in ("direct", "latency", "rate")] for line in words]
        found = [(line[0], next(word for word in line if word.isalpha())) for line in told if len(line) > 1]
    assert found == [("0", "direct"), ("4", "rate"), ("2", "latency"), ("5", "rate")]


def test_pareto_takes_the_newest_search_that_has_a_front(asked: Command) -> None:
    found = rows(asked("pareto", "--format", "json"))
    assert {row["search"] for row in found} == {"two"}


# report, compare


def test_report_says_where_its_page_is(asked: Command) -> None:
    said = asked("report", "one")
    assert (said.code, said.out, said.err) == (0, "one.html\n", "")
    assert "<title>" in Path("one.html").read_text()
    assert asked("report", "two", "--to", "of two.html").out == "of two.html\n"
    assert Path("of two.html").is_file()


def test_compare_prints_rows_and_draws(asked: Command) -> None:
    found = rows(asked("compare", "one", "two", "--plot", "both.svg", "--format", "json"))
    of_both = {(row["measure"], row["at"]): (row["one"], row["two"]) for row in found}
    front = [values for (measure, _), values in of_both.items() if measure == "front"]
    assert front == [(4.0, 4.0)] or front == [("4", "4")] or front == [(4, 4)]
    assert Path("both.svg").read_text().startswith("<svg")


# export


@pytest.mark.parametrize("by", ["number", "run id"])
def test_export_names_what_it_wrote_and_the_network_is_the_one_that_was_trained(
    asked: Command, uri: str, judged: Judgement, by: str
) -> None:
    run = "one/2" if by == "number" else str(find_run(Store(uri), "one", 2))

    said = asked("export", run, "--to", "net.pt")

    assert (said.code, said.out, said.err) == (0, "net.pt\nnet.pt.card.md\n", "")
    data = Digits().search_data(None, 1).validation
    hits = spikefront.load("net.pt").predict(data.inputs) == data.targets
    assert float(hits.double().mean()) == judged.metrics["quality"]
    measured = f"one seed: 0.8000; measured again at the export: {judged.metrics['quality']:.4f}"  # 0.8 was made up
    assert measured in Path("net.pt.card.md").read_text()


# picture


def test_picture_draws_a_sample_of_a_member_and_keeps_what_is_behind_it(
    asked: Command, uri: str, judged: Judgement
) -> None:
    search = spikefront.load_search("two", tracking_uri=uri)
    with pytest.raises(
        UsageError, match=r"trial 2 of search 'two' has no activity\.json .*: spikefront picture two/2$"
    ):
        search.plot.raster(2)

    said = asked("picture", "two/2", "--sample", "7", "--format", "csv")

    assert (said.code, said.out, said.err) == (0, "two-2/raster.csv\ntwo-2/matrix.csv\n", "")
    spikes = list(csv.DictReader(io.StringIO(Path("two-2/raster.csv").read_text())))
    data = Digits().search_data(None, 1).validation
    expected = latency(data.inputs[7].float() / 16, steps=4).flatten(1).nonzero().tolist()
    assert {(int(row["step"]), int(row["neuron"])) for row in spikes if row["layer"] == "input"} == set(
        map(tuple, expected)
    )
    cells = list(csv.DictReader(io.StringIO(Path("two-2/matrix.csv").read_text())))
    hits = sum(int(row["count"]) for row in cells if row["target"] == row["output"])
    assert hits / len(data) == pytest.approx(judged.metrics["quality"])
    plot = spikefront.load_search("two", tracking_uri=uri).plot
    assert "sample 7 of the validation split" in plot.raster(2).svg()
    assert [row["count"] for row in plot.matrix(2).rows] == [int(row["count"]) for row in cells]


def test_picture_of_a_search_in_python_writes_images_into_a_folder(uri: str) -> None:
    files = spikefront.load_search("one", tracking_uri=uri).picture(2, to="new/deep", format="svg")

    assert files == [Path("new/deep/raster.svg"), Path("new/deep/matrix.svg")]
    assert "sample 0 of the validation split" in files[0].read_text()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("one/2 --sample -1", "--sample -1 must be 0 or more"),
        ("one/2 --sample 285", "--sample 285 is not in the validation split, which has 0 to 284"),
        ("one/2 --sample x", "--sample x is not a whole number"),
        ("one/2 --format gif", "--format gif is none of png, svg, html, csv, json"),
        ("one/2 --to taken/in", "--to taken/in: .*taken is not a folder that can be written; choose another"),
        ("one/3", "run one/3 is not on a front "),
        ("one/9", "no trial 9 of search 'one' in "),
        ("one/0", "run .* has no weights in MLflow"),
    ],
)
def test_picture_refuses_what_it_can_not_draw(asked: Command, arguments: str, problem: str) -> None:
    Path("taken").touch()

    assert re.match(problem, asked("picture", *arguments.split()).problem())
    assert [path.name for path in Path().iterdir() if path.name.startswith("one")] == []


# results


def test_a_search_is_the_same_in_another_mlflow(asked: Command) -> None:
    there = ("--tracking-uri", "sqlite:///other.db")
    assert asked("results", "export", "one", "--to", "one.zip").out == "one: 6 trials written to one.zip\n"
    assert asked("results", "import", "one.zip", *there).out == "one: 6 trials imported\n"

    here, moved = (rows(asked("pareto", "--search", "one", "--format", "json", *where)) for where in ((), there))
    for row in (*here, *moved):
        row.pop("run_id")
    assert moved == here
    again = asked("results", "import", "one.zip", *there).problem()
    assert re.search(r"^search 'one' is already in sqlite:///.*other\.db; ", again)


# confirm


def tell_repeats(uri: str, search: str, seeds: range) -> None:
    """Write what confirming would have measured: each member as at selection, 0.05 more or less by seed."""
    client = MlflowClient(uri)
    for number in (0, 2, 4, 5):
        _, _, quality, energy = TRIALS[number]
        for seed in seeds:
            values = {"quality": quality + (0.05 if seed % 2 else -0.05), "energy_nj": energy}
            points = [Metric(f"test.{name}", value, int(time.time() * 1000), seed) for name, value in values.items()]
            client.log_batch(str(find_run(Store(uri), search, number)), metrics=points)


def test_confirm_prints_what_is_known_already_without_training(asked: Command, uri: str) -> None:
    tell_repeats(uri, "two", range(8, 10))  # the search has used seed 7

    table = asked("confirm", "--search", "two", "--seeds", "2")
    as_json = asked("confirm", "--search", "two", "--seeds", "2", "--format", "json")

    assert (table.code, table.err) == (0, "")
    assert table.out.endswith("0 of 6 pairs of members changed their order in quality\n")
    found = json.loads(as_json.out)  # nothing but rows on stdout
    said = as_json.err.splitlines()
    # of 4 degrees of freedom, with a scale of 0.0707: t is 8.5 for trial 4 and, with less than 0.975, 1.4 and 2.1 then
    assert said[0].startswith("2 of 4 members stay on the front (probability of 0.975 or more), 2 are undecided")
    assert any("--selection-seeds 1 tells the luck of selection from the gain of more data" in line for line in said)
    assert [(row["trial"], row["front"]) for row in found] == [
        (0, "stays"),
        (4, "stays"),
        (2, "undecided"),
        (5, "undecided"),
    ]
    assert [row["rival"] for row in found] == ["", "0", "4", "2"]
    assert [row["p"] for row in found] == [None, 0, 0, 0]  # the seeds change all members alike
    # t(0.975, 1) = 12.7062; half = 12.7062 * 0.05: beyond what accuracy can be on both sides
    assert [row["95 % interval"] for row in found[:2]] == ["0.0000 to 0.7353", "0.0647 to 1.0000"]


FAILS = '''
from spikefront.plugins import hookimpl
from spikefront.plugins.codings.direct import Direct

class Fails(Direct):
    """Can't be trained again."""
    name = "fails"
    def encode(self, x):
        if self.training:
            raise RuntimeError("no more spikes")
        return super().encode(x)

@hookimpl
def register_codings(register):
    register(Fails)
'''


@pytest.mark.slow
def test_confirm_that_confirms_nobody_has_failed(asked: Command, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "fails.py").write_text(FAILS)
    path = tmp_path / "searches" / "f"
    path.mkdir(parents=True)
    registry = load_registry([tmp_path / "mine"])
    flat = {"task": "digits", "backbone": "mlp", "coding": "fails", **QUICK}
    store = MlflowRecorder(Store("sqlite:///f.db"))
    store.search_started(SearchInfo("f", "digits", "accuracy", (QUALITY, ENERGY), path, 1, None, {}, {}))
    store.trial_started(0, from_flat(flat, registry))
    store.trial_ended(0, "COMPLETE", "", {"quality": 0.5, "energy_nj": 10.0}, None)
    store.search_ended("all trials done")

    arguments = ("--seeds", "1", "--selection-seeds", "0", "--plugins-dir", "mine", "--tracking-uri", "sqlite:///f.db")
    said = asked("confirm", *arguments)

    assert said.code == 1
    assert "trial 0 could not be confirmed: RuntimeError: no more spikes" in said.out
    assert said.err.splitlines() == [
        "1 training for 1 member",
        "[1/1] trial 0, seed 1: failed (RuntimeError: no more spikes (fails.py:10))",
    ]


# Bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("pareto --search oen", r"^unknown search 'oen'\. Did you mean 'one'\? Known: .*two"),
        (
            "pareto --coding sacc --search one",
            r"^unknown coding in search one: 'sacc'\. .*Known: direct, latency, rate",
        ),
        ("pareto --order speed", r"^unknown order 'speed'\. .*energy, .*quality"),
        ("pareto --max-latency nan", r"^--max-latency nan must be a finite number$"),
        ("pareto --max-energy 5", r"^--max-energy 5 is not an energy: give a number above 0 and a unit"),
        ("confirm --seeds 0", r"^--seeds 0 must be from 1 to 1000; 5 give"),
        ("confirm --seeds 1001", r"^--seeds 1001 must be from 1 to 1000; 5 give"),
        (
            "confirm --search one --selection-seeds 6",
            r"^--selection-seeds 6 must be from 0 to 5, the seeds; 1 is enough$",
        ),
        ("twin --search one --seeds 0", r"^--seeds 0 must be from 1 to 1000; a test takes 2 or more$"),
        ("confirm --search oen", r"^unknown search 'oen'\. Did you mean 'one'\?"),
        (
            "confirm --search running",
            r"^search 'running' has left no front\.json: it runs, or died; .*: spikefront run --resume running$",
        ),
        ("confirm --search one --workers -1", r"^--workers -1 must be above 0$"),
        ("confirm --search one --gpus-per-training 1.5", r"^--gpus-per-training 1\.5: a fraction shares one GPU"),
        ("confirm --search one --plugins-dir nowhere", r"nowhere: no such folder$"),
        ("recommend oen", r"^unknown search 'oen'\. Did you mean 'one'\?"),
        ("recommend running", r"^search 'running' has left no front\.json: it runs, or died"),
        ("recommend one --max-energy 5", r"^--max-energy 5 is not an energy: give a number above 0 and a unit"),
        (
            "recommend one --max-energy 1pJ",
            r"^--max-energy 0\.001nJ: no candidate of search 'one' costs so little; the cheapest .* \(trial \d\)$",
        ),
        (
            "recommend one --min-quality 2",
            r"^--min-quality 2: no candidate of search 'one' is that good; the best ",
        ),
        ("recommend one --max-latency 0", r"^--max-latency 0 must be above 0, in time steps$"),
        ("recommend one --trainings 0", r"^--trainings 0 must be from 1 to 100000$"),
        ("recommend one --trainings 2", r"^--trainings 2 is fewer than the \d+ that a start takes: 3 of each of \d "),
        ("recommend one --candidates 0", r"^--candidates 0 must be from 1 to 20$"),
        ("recommend one --test-seeds -1", r"^--test-seeds -1 must be from 0 to 1000$"),
        ("recommend one --equivalent -1", r"^--equivalent -1 must be 0 or more, in the unit of quality$"),
        ("recommend one --time 5parsec", r"^--time 5parsec is not a duration"),
        ("export one --to n.pt", r"^no run 'one' in sqlite:///.*; list: spikefront pareto --format csv$"),
        ("export one/x --to n.pt", r"^'one/x' names no trial; give SEARCH/TRIAL such as digits-1/23"),
        ("export one/17 --to n.pt", r"^no trial 17 of search 'one' in sqlite:///.*; list: spikefront pareto$"),
        ("export one/1 --to n.pt", r"^run one/1 is not on a front \(its Pareto rank is \d\); members"),
        (
            "export one/2 --to n.pt --format tflite",
            r"^unknown format 'tflite'\. Known: mlflow, neurobench, nir, onnx, safetensors, torch\.$",
        ),
        ("export one/2 --to .", r"^--to \. is a folder; name a file in it"),
        ("export one/2 --to no/n.pt", r"^--to no/n\.pt: folder no does not exist; create it or choose another$"),
        ("export one/5 --to n.onnx --format onnx", r"coding 'rate' as it is configured: it draws random numbers"),
        ("compare", r"^compare needs two or more different searches, not none$"),
        ("compare one", r"^compare needs two or more different searches, not one$"),
        ("compare one one", r"^compare needs two or more different searches, not one, one$"),
        ("compare one tow", r"^unknown search 'tow'\. Did you mean 'two'\?"),
        ("compare one two --plot both.gif", r"^picture both\.gif must end in \.png or \.svg or "),
        ("report oen", r"^unknown search 'oen'\. Did you mean 'one'\?"),
        ("report one --to one.pdf", r"^report one\.pdf must end in \.html$"),
        (
            "report one --to no/one.html",
            r"^report no/one\.html: folder no does not exist; create it or choose another place with --to$",
        ),
        ("results export oen --to o.zip", r"^unknown search 'oen'\. Did you mean 'one'\?"),
        ("results export one --to no/o.zip", r"^archive no/o\.zip: folder no does not exist; create it"),
        ("results import o.zip", r"^archive o\.zip can't be read: No such file or directory; check its name$"),
        ("pareto --tracking-uri sqlite:///none.db", r"^no search found in sqlite:///.*none\.db; run: spikefront run"),
        ("compare one two --tracking-uri sqlite:///none.db", r"^no search found in sqlite:///"),
        ("report --tracking-uri sqlite:///none.db", r"^no search found in sqlite:///"),
        ("confirm --tracking-uri sqlite:///none.db", r"^no search found in sqlite:///"),
        ("export a/1 --to n.pt --tracking-uri sqlite:///none.db", r"^no search found in sqlite:///"),
        ("results export a --to a.zip --tracking-uri sqlite:///none.db", r"^no search found in sqlite:///"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(asked: Command, arguments: str, message: str) -> None:
    assert re.search(message, asked(*arguments.split()).problem())
    assert list(Path().iterdir()) == []


def test_a_file_that_is_no_archive_is_refused(asked: Command) -> None:
    Path("notes.zip").write_text("mine")
    assert re.search(r"^notes\.zip is not an archive of a search, or it is damaged", asked(
        "results", "import", "notes.zip").problem())  # fmt: skip
    assert re.search(r"^archive notes\.zip exists already; choose another name$", asked(
        "results", "export", "one", "--to", "notes.zip").problem())  # fmt: skip
    assert Path("notes.zip").read_text() == "mine"


@pytest.mark.parametrize("arguments", ["export", "export one/2", "results export one", "results import"])
def test_missing_arguments_are_named_in_one_line(asked: Command, arguments: str) -> None:
    assert re.search(
        r"^missing (argument|option) '\S+'; see: spikefront .*--help$", asked(*arguments.split()).problem()
    )
