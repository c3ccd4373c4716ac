"""``spikefront doctor``: each thing that keeps a search from running is named, with its cure."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from spikefront.commands import checkup
from spikefront.plugins import Registry, load_registry

Command = Callable[..., Any]

BROKEN = """
from spikefront.plugins import hookimpl

@hookimpl
def register_codings(register):
    raise RuntimeError("no spikes today")
"""


@pytest.fixture
def rows(command: Command) -> Callable[..., tuple[int, str, list[dict[str, str]]]]:
    def run(*arguments: str) -> tuple[int, str, list[dict[str, str]]]:
        said = command("doctor", "--no-ray", "--format", "json", *arguments)
        return said.code, said.err.splitlines()[-1], json.loads(said.out)

    return run


Rows = Callable[..., tuple[int, str, list[dict[str, str]]]]


def of(part: str, found: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in found if row["part"] == part]


def test_an_empty_folder_is_ready_and_stays_empty(rows: Rows) -> None:
    code, verdict, found = rows()

    assert (code, verdict) == (0, "ready: spikefront run --task digits")
    assert {row["state"] for row in found} <= {"ok", "note"}
    assert all(row["todo"] for row in found if row["state"] != "ok")
    assert f"torch {version('torch')}" in of("packages", found)[0]["found"]
    assert list(Path().iterdir()) == []


def test_the_table_ends_in_the_verdict(command: Command) -> None:
    said = command("doctor", "--no-ray")

    assert said.out.splitlines()[-1] == "ready: spikefront run --task digits"
    assert said.err == ""


def test_each_task_is_listed_with_its_data(rows: Rows) -> None:
    _, _, found = rows()

    tasks = {row["found"].partition(":")[0]: row for row in of("data", found)}
    assert set(tasks) == set(load_registry(third_parties=False).entries["task"])
    assert tasks["digits"]["state"] == "ok"
    assert tasks["shd"]["state"] == "note"
    assert "give --data-dir the folder with shd_train.h5" in tasks["shd"]["todo"]


def test_data_of_the_task_that_is_asked_for_must_be_there(rows: Rows) -> None:
    Path("data").mkdir()

    code, verdict, found = rows("--task", "shd", "--data-dir", "data")

    (fault,) = [row for row in found if row["state"] == "fault"]
    assert code == 1
    assert fault["found"].startswith("shd: --data-dir data: no shd_train.h5 there, nor in its folder shd or SHD")
    assert fault["todo"].startswith("take ")
    assert verdict == f"not ready: data: {fault['todo']}"


def test_data_that_are_there_are_found(rows: Rows) -> None:
    for part in ("TRAIN", "TEST"):
        Path(f"BasicMotions_{part}.ts").touch()

    code, verdict, found = rows("--task", "basic-motions", "--data-dir", ".")

    assert (code, verdict) == (0, "ready: spikefront run --task basic-motions")
    assert "basic-motions: found in ." in [row["found"] for row in of("data", found)]


def test_data_that_are_downloaded_are_not_a_fault(rows: Rows, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    code, _, found = rows("--task", "cifar10")

    (row,) = [row for row in of("data", found) if row["found"].startswith("cifar10:")]
    assert (code, row["state"]) == (0, "note")
    assert row["found"] == f"cifar10: no cifar-10-python.tar.gz in {tmp_path}/cache/spikefront"
    assert "downloaded when first used" in row["todo"]
    assert not (tmp_path / "cache").exists()


def test_a_store_that_is_no_database_is_named_with_its_cure(rows: Rows) -> None:
    Path("mlflow.db").write_bytes(b"not a database" * 100)

    code, verdict, found = rows()

    (store,) = of("store", found)
    assert (code, store["state"]) == (1, "fault")
    assert "mlflow.db does not open: file is not a database" in store["found"]
    assert verdict == "not ready: store: choose another with --tracking-uri"


def test_a_server_that_is_away_is_named_with_its_cure(rows: Rows, free_port: Callable[[], int]) -> None:
    code, verdict, _ = rows("--tracking-uri", f"http://127.0.0.1:{free_port()}")

    assert code == 1
    assert verdict.startswith("not ready: store: start it (mlflow server)")


@pytest.mark.slow
def test_a_store_that_opens_names_its_experiment(rows: Rows) -> None:
    from spikefront.results.store.connection import Store

    Store().ensure()

    code, _, found = rows()

    assert code == 0
    assert of("store", found)[0]["found"].endswith("mlflow.db opens, with experiment 'Default'")


def test_a_faulty_plugin_is_named_with_its_line_and_traceback(command: Command) -> None:
    Path("mine").mkdir()
    Path("mine/broken.py").write_text(BROKEN)

    said = command("doctor", "--no-ray", "--plugins-dir", "mine", "--verbose")

    assert said.code == 1
    assert "fault  plugins      plugin mine/broken.py was not loaded: RuntimeError: no spikes today (broken.py:6)" in (
        said.out
    )
    assert said.out.splitlines()[-1].startswith("not ready: plugins: mend or remove the file")
    assert 'broken.py", line 6, in register_codings' in said.err


def test_a_plugin_without_its_library_is_noted_with_what_installs_it() -> None:
    registry = Registry(
        missing={("neuron", "far"): "neuron 'far' needs away, which is not installed: pip install away"}
    )

    _, note = checkup.plugins(registry, ())

    assert note.state == "note"
    assert (note.found, note.todo) == (
        "neuron 'far' needs away, which is not installed",
        "where you need it: pip install away",
    )


def test_a_missing_folder_of_plugins_is_a_fault_beside_the_others(rows: Rows) -> None:
    Path("mlflow.db").write_bytes(b"not a database" * 100)

    code, verdict, found = rows("--plugins-dir", "nowhere")

    assert code == 1
    assert [row["part"] for row in found if row["state"] == "fault"] == ["store", "plugins"]
    assert verdict.endswith("(1 more above)")


def test_a_home_that_cannot_be_written_is_named_with_its_cure(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/proc")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    code, verdict, found = rows()

    (cache,) = of("cache", found)
    assert (code, cache["state"]) == (0, "note")  # a search on digits runs all the same
    assert cache["found"].startswith("/proc/.cache/spikefront can't be written")
    assert cache["todo"] == "set XDG_CACHE_HOME to a folder that can be written"
    assert verdict == "ready: spikefront run --task digits"


def test_a_folder_that_cannot_be_written_is_a_fault(rows: Rows) -> None:
    code, verdict, _ = rows("--folder", "/proc/searches")

    assert code == 1
    assert verdict == "not ready: folder: give --folder another, or run in a folder of yours"


def test_a_taken_port_is_noted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (found,) = checkup.ports(taken.getsockname()[1])

    assert found.state == "note"
    assert found.todo.startswith("if that is not MLflow: mlflow ui --port ")


def test_an_address_where_no_ray_is_is_a_fault(command: Command, free_port: Callable[[], int]) -> None:
    said = command("doctor", "--address", f"127.0.0.1:{free_port()}", "--format", "json")

    assert said.code == 1
    assert said.err.splitlines()[-1] == "not ready: ray: start one with: ray start --head"


def test_an_unknown_task_is_refused(command: Command) -> None:
    assert "unknown task 'digit'. Did you mean 'digits'?" in command("doctor", "--task", "digit").problem()


@pytest.mark.slow
def test_ray_is_started_and_gone_afterwards(in_new_process: Command) -> None:
    said = in_new_process("doctor", "--format", "json")

    (ray,) = of("ray", json.loads(said.out))
    assert said.code == 0
    assert ray["found"].startswith("a task ran on this machine (")
