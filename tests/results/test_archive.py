"""What a damaged archive, or a stranger's, holds is refused in one line, before anything is written."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from spikefront.results.archive import Record, SearchArchive, head_json
from spikefront.results.store import schema
from spikefront.searchspace import ENERGY, UsageError
from spikefront.searchspace.objectives import quality_objective, write_objectives

PARENT, CHILD = "a" * 32, "b" * 32
AXES = write_objectives([quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY])
METRICS = {"quality": 0.5, "energy_nj": 3.0}


def documents() -> dict[str, Any]:
    """Return the JSON files of a small archive: the head, a search, a trial and a front."""
    of = {schema.SEARCH: "one", schema.TASK: "digits"}
    search = {**of, schema.ROLE: "search", schema.OBJECTIVES: AXES}
    trial = {**of, schema.ROLE: "trial", schema.PARENT: PARENT, schema.NUMBER: "0", schema.STATE: "COMPLETE"}
    metrics = [("quality", 0.5, 1_700_000_000_000, 1), ("loss", math.nan, 1_700_000_000_000, 1)]
    runs = {
        "search": Record(PARENT, "one", "FINISHED", 1_700_000_000_000, 1_700_000_001_000, {"seed": "3"}, search, ()),
        "0000": Record(CHILD, "trial", "FINISHED", 1_700_000_000_000, None, {"coding": "sac"}, trial, metrics),
    }
    member = {"trial": 0, "run_id": CHILD, "metrics": METRICS, "candidate": {"coding": "sac"}}
    return {
        "search.json": json.loads(head_json("one", list(runs))),
        **{f"runs/{key}/run.json": json.loads(run.to_json()) for key, run in runs.items()},
        "runs/search/artifacts/front.json": {"search": "one", "front": [member]},
    }


def written(file: Path, files: dict[str, Any], packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(file, "w", packing) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, (str, bytes)) else json.dumps(content))
    return file


def refused(file: Path) -> str:
    """Return the message with which an archive is refused."""
    with pytest.raises(UsageError) as problem:
        SearchArchive(file).close()
    message = problem.value.on_command_line()
    assert message.startswith(f"{file} is not an archive of a search, or it is damaged (")
    assert message.isprintable()
    assert len(message) < 700
    return message


def test_an_archive_is_read_as_it_was_written(tmp_path: Path) -> None:
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        with SearchArchive(written(tmp_path / "one.zip", documents(), packing)) as archive:
            assert (archive.search, archive.keys) == ("one", ["search", "0000"])
            (first, second) = archive.record("0000").metrics
            assert first == ("quality", 0.5, 1_700_000_000_000, 1)
            assert second[0] == "loss"
            assert math.isnan(second[1])
            copy = archive.extract("search", "front.json", tmp_path)
            assert json.loads(copy.read_text()) == documents()["runs/search/artifacts/front.json"]


RUN, FRONT = "runs/0000/run.json", "runs/search/artifacts/front.json"


NO_NUMBERS: list[Any] = [True, None, [], "high", "1e3", "infinity", 10**400]
NOT_WHOLE: list[Any] = [-1, 1 << 63, True, 0.0, "0", None]
FRONTS: list[Any] = [[], {}, {"front": None}, {"front": [1]}, {"front": [{"trial": 0}]}]
PARTS: list[dict[str, Any]] = [{"trial": "0"}, {"metrics": {"quality": "x"}}, {"candidate": []}, {"run_id": 3}]


def changes() -> Iterator[tuple[str, Callable[[dict[str, Any]], Any], str]]:
    """Yield a file, what changes in it, and what the message says."""

    def field(name: str, value: object) -> Callable[[dict[str, Any]], Any]:
        return lambda found: {**found, name: value}

    def tag(name: str, value: object) -> Callable[[dict[str, Any]], Any]:
        return lambda found: {**found, "tags": {**found["tags"], name: value}}

    def row(*values: object) -> Callable[[dict[str, Any]], Any]:
        return field("metrics", [list(values)])

    for value in NO_NUMBERS:
        yield RUN, row("quality", value, 0, 0), "is not a number"
    for value in NOT_WHOLE:
        yield RUN, row("quality", 0.5, 0, value), "step"
        yield RUN, row("quality", 0.5, value, 0), "time"
        yield RUN, field("start_time", value), "start_time"
        if value is not None:
            yield RUN, field("end_time", value), "end_time"
    for key in ("", "k" * 251, "a\0b", "\ud800"):
        yield RUN, row(key, 0.5, 0, 0), "is not text of" if key in ("", "k" * 251) else "no database takes"
        yield RUN, field("params", {key: "x"}), "text of" if key in ("", "k" * 251) else "no database takes"
    yield RUN, field("params", {"a": "v" * 6001}), "text of 0 to 6,000"
    yield RUN, tag("note", "v" * 8001), "text of 0 to 8,000"
    yield RUN, tag("note", 3), "text of 0 to 8,000"
    yield RUN, row("quality", 0.5, 0), "is not name, value, time and step"
    yield RUN, field("metrics", {}), "its metrics are no list"
    yield RUN, field("status", ["FINISHED"]), "is unknown"
    for value in ("00", "-0", "1", " 0", "x", "\u0660", ""):
        yield RUN, tag(schema.NUMBER, value), "0000"
    for value in ("x", "-1", "", "1" * 5000):
        yield RUN, tag(schema.RETRY_OF, value), "trial.retry_of"
    for axes in ("", "{", "{}", "[]", "[1]", '[{"metric": "quality"}]', "[" * 5000, AXES.replace("1.0", '"1"'),
                 AXES.replace("1.0", "1e999"), AXES.replace("1.0", "NaN"), AXES.replace("true", "1"),
                 AXES.replace('"quality"', "[]", 1), AXES.replace("energy_nj", "quality")):  # fmt: skip
        yield "runs/search/run.json", tag(schema.OBJECTIVES, axes), "search.objectives"
    for front in FRONTS:
        yield FRONT, lambda found, front=front: front, "front.json is not a front"  # type: ignore[misc]
    member = documents()[FRONT]["front"][0]
    for part in PARTS:
        yield FRONT, field("front", [{**member, **part}]), "front.json is not a front"
    yield FRONT, field("front", [{**member, "run_id": PARENT}]), "another run for trial 0"
    for search in ("", "a\nb", "a\x1b[31m", "n" * 251, None):
        yield "search.json", field("search", search), "is not a name of a search"
    for runs in ([], ["search", []], ["search", "0000", "0000"], {"search": 1}, ["0000", "search"]):
        yield "search.json", field("runs", runs), "its runs are not those that it lists"
    yield "search.json", field("version", True), "its version is True"


def test_what_no_export_writes_is_refused_in_one_line(tmp_path: Path) -> None:
    for name, change, reason in changes():
        files = documents()
        files[name] = change(files[name])
        message = refused(written(tmp_path / "odd.zip", files))
        assert reason in message, (name, message)


def test_numbers_that_json_does_not_have_are_refused(tmp_path: Path) -> None:
    for number in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000):
        files = documents()
        files[RUN] = json.dumps(files[RUN]).replace("0.5", number, 1)
        assert "is not a run" in refused(written(tmp_path / "odd.zip", files))


def test_names_that_no_file_system_takes_are_refused(tmp_path: Path) -> None:
    for name in ("a" * 256, "/".join(["a" * 200] * 6), "front.json/a", "a\nb", "a\x1b[2J"):
        message = refused(written(tmp_path / "odd.zip", documents() | {f"runs/search/artifacts/{name}": "x"}))
        assert "too long a path" in message or "file and a folder" in message or "does not belong" in message


def test_sizes_are_bounded(tmp_path: Path) -> None:
    huge = documents() | {RUN: b" " * (1 << 25)}
    assert "33,554,432 bytes, and may have 16,777,216" in refused(written(tmp_path / "odd.zip", huge))
    with zipfile.ZipFile(written(tmp_path / "odd.zip", documents()), "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9):
            with archive.open(f"runs/search/artifacts/{number}", "w") as member:
                member.write(b"")
            archive.infolist()[-1].file_size = 1 << 28
    assert "its files claim 2,415,9" in refused(tmp_path / "odd.zip")


def test_a_run_that_no_archive_takes_is_not_exported() -> None:
    record = Record("a", "one", "FINISHED", 0, None, {}, {"note": "x" * (1 << 24)}, ())
    with pytest.raises(UsageError, match=r"run a has 0 values of metrics, .*copy the database itself"):
        record.to_json()


def test_damaged_bytes_raise_nothing_else(tmp_path: Path) -> None:
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        whole = written(tmp_path / "one.zip", documents(), packing).read_bytes()
        for place in range(0, len(whole), 37):
            for damaged in (whole[:place], whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]):
                (tmp_path / "odd.zip").write_bytes(damaged)
                problem = ""
                try:
                    SearchArchive(tmp_path / "odd.zip").close()
                except UsageError as error:
                    problem = str(error)
                assert "\n" not in problem
                assert problem or len(damaged) == len(whole), "an archive that was cut is read"
