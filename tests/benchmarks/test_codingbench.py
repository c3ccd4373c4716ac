"""CodingBench: its candidates, its journal, its tables, and what reads them."""

import dataclasses
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import optuna
import pandas as pd
import pytest
from pyarrow import parquet

from spikefront.plugins import load_registry
from spikefront.searchspace import UsageError

FOLDER = Path(__file__).parents[2] / "benchmarks" / "codingbench"
SINCE = ("hybrid-conversion", "ttfs")
"""Codings that are newer than the tables."""
MODULES = ("grid", "training", "journal", "packing", "standalone", "make", "tabular", "simulate")

HELD = {
    "backbone": "mlp", "backbone.mlp.width": 64, "backbone.mlp.depth": 1, "neuron": "lif", "neuron.lif.tau": 2.0,
    "neuron.lif.reset": "hard", "training.surrogate": "atan", "training.surrogate.atan.alpha": 2.0,
    "training.epochs": 2,
}  # fmt: skip
GRID = {
    "digits": {
        "held": HELD,
        "each": {"neuron.lif.threshold": [0.5, 1.0], "training.optimizer.adam.lr": 0.01},
        "codings": {
            "direct": {"steps": [1, 2]},
            "rate": {"steps": 3, "coding.rate.spikes": ["bernoulli", "deterministic"]},
            "rate-conversion": {
                "steps": [4, 8], "neuron": "if", "neuron.lif.threshold": 1.0,
                "coding.rate-conversion.percentile": 99.9, "coding.rate-conversion.granularity": "layer",
                "coding.rate-conversion.scale": "percentile",
            },
        },
    }
}  # fmt: skip
CANDIDATES = 2 * 2 + 2 * 2 + 2


@pytest.fixture(scope="module")
def parts() -> Iterator[SimpleNamespace]:
    """Modules of the benchmark, which are files beside each other and not of a package."""
    before = {name: sys.modules.pop(name, None) for name in MODULES}
    sys.path.insert(0, str(FOLDER))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES if name != "tabular"})
    finally:
        sys.path[:] = [path for path in sys.path if path not in (str(FOLDER), str(FOLDER.parent))]
        for name, module in before.items():
            sys.modules.pop(name, None)
            if isinstance(module, ModuleType):
                sys.modules[name] = module


@pytest.fixture(scope="module")
def flats(parts: SimpleNamespace) -> list[dict[str, Any]]:
    return [candidate.flat() for candidate in parts.grid.grid_candidates("digits", GRID["digits"])]


@pytest.fixture(scope="module")
def lines(parts: SimpleNamespace, flats: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What the journal has of all candidates of the small grid under seed 0, and of one that can't be trained."""
    cache = tmp_path_factory.mktemp("anns")
    jobs = [parts.training.Job("digits", number, flat, 0) for number, flat in enumerate(flats)]
    broken = {**flats[0], "training.optimizer.adam.lr": 1e30}
    jobs.append(parts.training.Job("digits", len(flats), broken, 0))
    return [json.loads(json.dumps(parts.training.trained(job, ann_cache=cache))) for job in jobs]


@pytest.fixture(scope="module")
def data(
    parts: SimpleNamespace, flats: list[dict[str, Any]], lines: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The small grid as Parquet."""
    out = tmp_path_factory.mktemp("data")
    parts.packing.pack({"digits": [*flats, flats[0]]}, lines, [{"chance": {"digits": 0.1}, "commit": "abc"}], out)
    return out


def test_a_grid_has_every_combination_once(flats: list[dict[str, Any]]) -> None:
    assert len(flats) == CANDIDATES
    assert len({json.dumps(flat, sort_keys=True) for flat in flats}) == CANDIDATES
    assert {flat["steps"] for flat in flats if flat["coding"] == "rate-conversion"} == {4, 8}


def test_a_grid_with_an_open_range_is_refused(parts: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts.grid, "MOST", 50)
    with pytest.raises(UsageError, match="direct: a range is left open"):
        parts.grid.grid_candidates("digits", {"held": {}, "each": {}, "codings": {"direct": {}}})


def test_the_grids_have_all_codings_for_static_inputs_and_over_1500_candidates(parts: SimpleNamespace) -> None:
    grids = parts.grid.read_grids()
    assert set(grids) == {"digits", "fashion-mnist-14"}
    registry = load_registry(third_parties=False)
    ours = {name for name in registry.options("coding") if not registry.get("coding", name).library}
    for grid in grids.values():
        assert set(grid["codings"]) == ours - {"delta", *SINCE}


def test_the_shipped_tables_have_each_candidate_of_the_grids_under_two_seeds(parts: SimpleNamespace) -> None:
    trainings = pd.read_parquet(FOLDER / "data" / "trainings.parquet")
    candidates = pd.read_parquet(FOLDER / "data" / "candidates.parquet")
    for task, grid in parts.grid.read_grids().items():
        listed = [candidate.flat() for candidate in parts.grid.grid_candidates(task, grid)]
        shipped = [json.loads(flat) for flat in candidates[candidates["task"] == task]["flat"]]
        assert len(shipped) == len(listed)
        assert all(ours.items() <= now.items() for ours, now in zip(shipped, listed, strict=True))
        some = trainings[trainings["task"] == task]
        assert sorted(zip(some["candidate"], some["seed"], strict=True)) == [
            (number, seed) for number in range(len(listed)) for seed in (0, 1)
        ]
        assert some["quality"].between(0, 1).all()
        assert (some["energy_nj"] > 0).all()
    assert sum(path.stat().st_size for path in (FOLDER / "data").iterdir()) < 5e6


def test_the_shipped_tables_name_no_folder_of_the_machine_that_made_them(parts: SimpleNamespace) -> None:
    for path in (FOLDER / "data").iterdir():
        made = json.loads(parquet.read_schema(path).metadata[b"codingbench"])
        assert {start["command"] for start in made["starts"]} == {
            "python benchmarks/codingbench/make.py --work FOLDER --workers 2"
        }
    options = ["--work", "/a/b", "--workers", "2", "--data-dir=/c", "--pack"]
    assert parts.make.without_folders(options) == ["--work", "FOLDER", *options[2:4], "--data-dir=FOLDER", "--pack"]


def test_the_small_task_has_means_of_four_pixels(parts: SimpleNamespace, tmp_path: Path) -> None:
    pixels = bytes(range(256)) * 49  # 16 images of 28x28
    for part, count in (("train", 16), ("t10k", 16)):
        header = b"\x00\x00\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (count, 28, 28))
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(header + pixels)
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(
            b"\x00\x00\x08\x01" + count.to_bytes(4, "big") + bytes(count)
        )
    task = parts.grid.registry().get("task", "fashion-mnist-14")()
    found = task.search_data(tmp_path, 1)
    assert (tuple(found.train.inputs.shape), len(found.validation)) == ((14, 1, 14, 14), 2)
    corner = [0, 1, 28, 29]  # the image starts with 0, 1, ..., row by row
    assert int(found.train.inputs[0, 0, 0, 0]) == round(sum(corner) / 4)
    assert len(task.test_data(tmp_path, 1)) == 16


def test_a_training_gives_the_same_row_again(
    parts: SimpleNamespace, flats: list[dict[str, Any]], lines: list[Any], tmp_path: Path
) -> None:
    for number in (0, CANDIDATES - 1):  # one that is trained spiking, and a conversion whose ANN was in the cache
        again = parts.training.trained(parts.training.Job("digits", number, flats[number], 0), ann_cache=tmp_path)
        assert untimed(json.loads(json.dumps(again))) == untimed(lines[number])
    other = parts.training.trained(parts.training.Job("digits", 0, flats[0], 1), ann_cache=tmp_path)
    assert untimed(other) != untimed(lines[0])


def untimed(line: dict[str, Any]) -> dict[str, Any]:
    epochs = [{name: value for name, value in epoch.items() if name != "cpu_seconds"} for epoch in line["epochs"]]
    return {name: value for name, value in line.items() if name not in ("ann_trained", "seed")} | {"epochs": epochs}


def test_a_training_that_fails_is_a_row_with_its_reason(lines: list[Any]) -> None:
    assert lines[-1]["state"] == "failed"
    assert lines[-1]["reason"].startswith("UsageError: training.optimizer.adam.lr: 1e+30 is outside")
    assert all(line["state"] == "complete" for line in lines[:-1])
    assert [len(line["epochs"]) for line in lines[:-1]] == [2] * 8 + [1] * 2


def test_a_line_that_was_cut_short_is_dropped_and_the_others_stay(parts: SimpleNamespace, tmp_path: Path) -> None:
    row = {"task": "digits", "candidate": 1, "seed": 0}
    (tmp_path / "journal.jsonl").write_text(json.dumps({"start": {"commit": "abc"}}) + "\n" + json.dumps(row) + "\n{")
    journal = parts.journal.Journal(tmp_path)
    journal.append({**row, "candidate": 2})
    journal.append(row)  # once is enough
    assert [line["candidate"] for line in parts.journal.trainings(tmp_path)] == [1, 2]
    assert parts.journal.starts(tmp_path) == [{"commit": "abc"}]
    with pytest.raises(UsageError, match="another process"):
        parts.journal.Journal(tmp_path)


def test_the_counts_of_a_training_price_to_its_energy(parts: SimpleNamespace, data: Path) -> None:
    trainings = pd.read_parquet(data / "trainings.parquet").query("state == 'complete'")
    roles = ("encoder", "synapse", "neuron", "attention", "residual", "readout")

    def total(what: str) -> Any:
        return sum(trainings[f"{role}_{what}"].fillna(0) for role in roles if f"{role}_{what}" in trainings)

    picojoules = 0.9 * (total("sops") + total("adds") + total("biases")) + 4.6 * total("macs")
    picojoules += 3.7 * total("multiplies") + 0.03 * total("shifts")  # Horowitz 2014
    assert (picojoules / 1000).to_numpy(float) == pytest.approx(trainings["energy_nj"].to_numpy(float), rel=1e-5)


@pytest.mark.parametrize("name", ["horowitz-45nm", "lemaire-45nm", "loihi-1"])
def test_layers_give_the_counts_that_any_model_prices(
    parts: SimpleNamespace, data: Path, lines: list[Any], name: str
) -> None:
    from spikefront.plugins import Counts

    model = parts.grid.registry().energy_model(name)
    layers = pd.read_parquet(data / "layers.parquet")
    for number in (0, 5, CANDIDATES - 1):
        stored = Counts.from_dict(lines[number]["counts"])
        rows = layers[layers["candidate"] == number]
        read = parts.packing.counts_of(rows, samples=stored.samples, steps=stored.steps, delay=stored.delay)
        assert read == dataclasses.replace(stored, timing=None)
        assert model.energy_nj(read) == model.energy_nj(stored) > 0


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_reader_asks_for_each_candidate_by_the_values_that_it_has(parts: SimpleNamespace, data: Path) -> None:
    bench = parts.standalone.Bench("digits", 0, data)
    study = optuna.create_study(sampler=optuna.samplers.BruteForceSampler())
    asked = []

    def objective(trial: optuna.Trial) -> float:
        row = bench.ask(trial)
        asked.append(row)
        told = {name.partition("|")[0]: value for name, value in trial.params.items()}
        flat = json.loads(bench.flats[row])
        assert all(flat[name] == value for name, value in told.items())
        return 0.0

    study.optimize(objective)
    assert sorted(asked) == list(range(CANDIDATES))  # the failed one is the first again, and is never asked for


def test_a_reader_gives_curves_ends_and_shares(parts: SimpleNamespace, data: Path, lines: list[Any]) -> None:
    bench = parts.standalone.Bench("digits", 0, data)
    wanted = [(epoch["quality"], epoch["energy_nj"]) for epoch in lines[3]["epochs"]]
    assert [tuple(point) for point in bench.curve(3)] == [pytest.approx(point, rel=1e-6) for point in wanted]
    assert len(bench.curve(CANDIDATES - 1)) == 1  # a conversion
    assert len(bench.ends()) == CANDIDATES
    assert bench.share(range(CANDIDATES)) == 1
    assert bench.share([]) == 0
    assert bench.chance == 0.1


def test_the_simulators_table_scores_as_the_reader_does(parts: SimpleNamespace, data: Path) -> None:
    bench = parts.standalone.Bench("digits", 0, data)
    table = parts.simulate.CodingBench(bench)
    for rows in ([0], [1, 5, 9], [CANDIDATES - 2, 3]):
        assert table.share(rows) == pytest.approx(bench.share(rows), abs=1e-12)
    points = pd.read_parquet(data / "points.parquet")
    without, seen = (parts.simulate.CodingBench(bench, points, cuts=cuts) for cuts in (False, True))
    assert seen.share(range(CANDIDATES)) == 1 > without.share(range(CANDIDATES))
    assert seen.share([CANDIDATES - 1]) > without.share([CANDIDATES - 1]) > 0  # a conversion, which is a whole curve
    (played,) = parts.simulate.simulated([table], parts.simulate.samplers()["random"], "halving", 5, 1)
    assert len(set(played.rows)) == len(played.rows) >= 5


def test_the_reader_needs_nothing_of_spikefront(data: Path) -> None:
    program = (
        "import sys, runpy; sys.modules['spikefront'] = sys.modules['torch'] = None; sys.argv[0] = 'standalone.py'; "
        f"runpy.run_path({str(FOLDER / 'standalone.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--data", str(data), "--units", "4", "--seeds", "1"],
        capture_output=True, text=True, check=True, cwd=data,
    )  # fmt: skip
    assert f"{CANDIDATES + 1} of {CANDIDATES + 1} candidates" in done.stdout
    assert "NSGA-II, halving" in done.stdout


def test_the_programs_of_the_readme_run(
    parts: SimpleNamespace, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    programs = re.findall(r"```python\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    assert len(programs) == 3
    (data / "data").symlink_to(data)
    monkeypatch.chdir(data)
    names: dict[str, Any] = {}
    for program in programs:
        exec(program, names)
    share, table, price = capsys.readouterr().out.partition("of the hypervolume")[0], names["table"], names["counts"]
    assert float(share) == pytest.approx(1.0)  # 60 trials see all of ten candidates
    assert len(table) == CANDIDATES + 1
    assert price.samples == 128


def test_a_point_is_what_the_network_gives_that_was_cut_there(
    parts: SimpleNamespace, flats: list[dict[str, Any]], lines: list[Any], tmp_path: Path
) -> None:
    number = CANDIDATES - 1  # a conversion over eight steps
    whole, short = flats[number], flats[number - 1]
    assert (whole["steps"], short["steps"]) == (8, 4)
    assert sorted(map(int, lines[number]["points"])) == list(range(1, 8))
    point, other = lines[number]["points"]["4"], lines[number - 1]  # at four steps it is the conversion over four
    assert point["quality"] == other["epochs"][-1]["quality"]
    assert point["test_quality"] == other["test_quality"]
    assert point["sops"] == pytest.approx(other["epochs"][-1]["sops"])
    counts = point["counts"]
    roles = ("encoder", "synapse", "neuron", "readout")
    added = sum(counts.get(f"{role}_{name}", 0) for role in roles for name in ("sops", "adds", "biases"))
    multiplied = sum(counts.get(f"{role}_multiplies", 0) for role in roles)
    shifted = sum(counts.get(f"{role}_shifts", 0) for role in roles)
    picojoules = 0.9 * added + 3.7 * multiplied + 0.03 * shifted + 4.6 * counts["synapse_macs"]
    assert picojoules / 1000 == pytest.approx(point["energy_nj"])


@pytest.mark.slow
def test_a_generation_that_is_killed_goes_on_where_it_was(tmp_path: Path, lines: list[Any]) -> None:
    grids = tmp_path / "grids.yaml"
    grids.write_text(json.dumps(GRID))
    work = tmp_path / "work"
    command = [sys.executable, str(FOLDER / "make.py"), "--work", str(work), "--grids", str(grids), "--seeds", "1"]
    journal = work / "journal.jsonl"
    with subprocess.Popen(command, start_new_session=True) as running:
        while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
            assert running.poll() is None
            time.sleep(0.05)
        os.kill(running.pid, signal.SIGKILL)
    before = journal.read_bytes()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert journal.read_bytes().startswith(before[: before.rfind(b"\n") + 1])
    rows = [json.loads(line) for line in journal.read_text().splitlines()]
    found = {row["candidate"]: untimed(row) for row in rows if "start" not in row}
    assert len([row for row in rows if "start" not in row]) == len(found) == CANDIDATES
    assert found == {line["candidate"]: untimed(line) for line in lines[:CANDIDATES]}
    packed = subprocess.run([*command, "--pack", "--out", str(tmp_path / "out")], capture_output=True, text=True)
    assert "trainings.parquet" in packed.stdout, packed.stderr
