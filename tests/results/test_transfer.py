"""Searches leave one MLflow for another as they were, and what is no archive of one gets in nowhere."""

from __future__ import annotations

import json
import math
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from spikefront.results.queries import pareto
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.transfer import export_search, import_search
from spikefront.searchspace import Candidate, SearchInfo, State, UnknownName, UsageError

THERE = "sqlite:///there.db"
AWKWARD = (0.1 + 0.2, 5e-324, -1e-300, 1.7976931348623157e308, 1 / 3, math.nan)


@pytest.fixture
def archive(
    search: Callable[..., SearchInfo], candidate: Callable[..., Candidate], database: None, tmp_path: Path
) -> Path:
    """Search, with members that have weights, one that was stopped and one that failed, and export it."""
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("one"))
    weights = tmp_path / "trial-00000.pt"
    weights.write_bytes(bytes(range(256)))
    points = [(0.9, 1e3), (0.1 + 0.2, 10.0), (0.7, 100.0), (0.2, 1e4)]
    for number, (quality, energy) in enumerate(points):
        metrics = {"quality": quality, "energy_nj": energy, "latency_steps": 4.0}
        recorder.trial_started(number, candidate("sac" if number % 2 else "rate"))
        for epoch in (1, 2, 3):
            recorder.epoch_ended(number, epoch, metrics | {"quality": quality / (4 - epoch)})
        recorder.trial_ended(number, "COMPLETE", "", metrics, weights if number == 0 else None)
    others: list[tuple[int, State]] = [(4, "PRUNED"), (5, "FAIL")]
    for number, state in others:
        recorder.trial_started(number, candidate())
        recorder.trial_ended(number, state, "for a reason\nof two lines: é", {}, None)
    recorder.search_ended("done")
    client = Store().client
    extra = [Metric("awkward", value, 1_700_000_000_000 + step, step) for step, value in enumerate(AWKWARD)]
    client.log_batch(run_of(client, "0"), extra)
    assert export_search(Store(), "one", tmp_path / "one.zip") == 6
    return tmp_path / "one.zip"


@pytest.fixture
def there(new_database: Path, own_folder: None) -> MlflowClient:
    """Another MLflow, empty."""
    shutil.copy(new_database, "there.db")
    return Store(THERE).client


SECRETS = ("S3cr3t/PW", "S3cr3t%2FPW")


def test_what_an_earlier_version_stored_of_a_password_is_not_exported(
    search: Callable[..., SearchInfo], database: None, tmp_path: Path
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search("old"))
    recorder.search_ended("done")
    client = Store().client
    (run,) = client.search_runs(["0"])
    stored = {"tracking_uri": f"postgresql://me:{SECRETS[0]}@host/db"}
    client.log_param(run.info.run_id, "uri", stored["tracking_uri"])
    client.set_tag(run.info.run_id, "note", f"see https://me:{SECRETS[1]}@host")
    client.log_text(run.info.run_id, json.dumps({"user_attr": {"search": {"options": stored}}}) + "\n", "journal.log")
    client.log_text(run.info.run_id, json.dumps(stored, indent=2), "environment.json")
    client.log_text(run.info.run_id, f"<dd>{stored['tracking_uri']}</dd>", "report.html")
    export_search(Store(), "old", "old.zip")
    with zipfile.ZipFile("old.zip") as archive:
        texts = [archive.read(name).decode() for name in archive.namelist()]
    assert len(texts) == 6
    assert not any(secret in text for text in texts for secret in ("S3cr3t", *SECRETS))
    assert sum("postgresql://***@host/db" in text for text in texts) == 4


def run_of(client: MlflowClient, number: str) -> str:
    (run,) = client.search_runs(["0"], f"tags.`trial.number` = '{number}'")
    return str(run.info.run_id)


def told(client: MlflowClient) -> dict[str, Any]:
    """Read all that a store holds, but for ids of runs and what follows from them."""

    def one(run: Run) -> dict[str, Any]:
        tags = {key: value for key, value in run.data.tags.items() if key != "mlflow.parentRunId"}
        history = {
            name: sorted((m.step, m.timestamp, m.value.hex()) for m in client.get_metric_history(run.info.run_id, name))
            for name in run.data.metrics
        }
        latest = {name: float(value).hex() for name, value in run.data.metrics.items()}
        times = (run.info.start_time, run.info.end_time, run.info.status, run.info.run_name)
        return {"tags": tags, "params": run.data.params, "history": history, "latest": latest, "times": times}

    runs = client.search_runs(["0"])
    return {run.data.tags.get("trial.number", "search"): one(run) for run in runs}


def files(client: MlflowClient, run: str) -> dict[str, bytes]:
    return {
        entry.path: Path(client.download_artifacts(run, entry.path)).read_bytes()
        for entry in client.list_artifacts(run)
    }


def test_what_is_imported_equals_what_was_exported(archive: Path, there: MlflowClient) -> None:
    assert import_search(Store(THERE), archive) == ("one", 6)
    here = Store().client
    before, after = told(here), told(there)
    assert after == before
    assert [value for _, _, value in after["0"]["history"]["awkward"]] == [value.hex() for value in AWKWARD]
    assert len(after["1"]["history"]["quality"]) == 3
    fronts = [pareto(Store(uri), "one").drop(columns="run_id") for uri in (None, THERE)]
    pandas.testing.assert_frame_equal(*fronts, check_exact=True)
    assert list(fronts[0]["trial"]) == [1, 2, 0]


def test_artifacts_keep_their_bytes_and_the_front_names_the_new_runs(archive: Path, there: MlflowClient) -> None:
    import_search(Store(THERE), archive)
    here = Store().client
    wanted = "tags.`spikefront.role` = 'search'"
    (old,), (new,) = here.search_runs(["0"], wanted), there.search_runs(["0"], wanted)
    before, after = files(here, old.info.run_id), files(there, new.info.run_id)
    assert before.keys() == after.keys() == {"front.json", "environment.json", "journal.log"}
    assert {name for name in before if before[name] != after[name]} == {"front.json"}
    front = json.loads(after["front.json"])
    assert front["run_id"] == new.info.run_id
    assert {member["run_id"] for member in front["front"]} == {run_of(there, number) for number in "012"}
    member = files(there, run_of(there, "0"))
    assert member == files(here, run_of(here, "0"))
    assert member["trial-00000.pt"] == bytes(range(256))
    children = there.search_runs(["0"], f"tags.mlflow.parentRunId = '{new.info.run_id}'")
    assert len(children) == 6


def test_a_search_is_imported_once(archive: Path, there: MlflowClient) -> None:
    import_search(Store(THERE), archive)
    with pytest.raises(UsageError, match=r"search 'one' is already in sqlite:.*there\.db; choose another with exp"):
        import_search(Store(THERE), archive)
    assert len(there.search_runs(["0"])) == 7
    import_search(Store(THERE, "elsewhere"), archive)
    assert len(pareto(Store(THERE, "elsewhere"), "one")) == 3


def test_nothing_is_kept_of_an_import_that_fails(archive: Path, there: MlflowClient, tmp_path: Path) -> None:
    def misnamed(name: str, text: bytes) -> bytes:
        if name != "runs/0003/run.json":
            return text
        run = json.loads(text)
        run["params"]["coding#1"] = "sac"  # MLflow takes no such name
        return json.dumps(run).encode()

    with pytest.raises(UsageError, match=r"import of .*odd\.zip failed and is undone: .*coding#1.*; try again"):
        import_search(Store(THERE), rewritten(archive, tmp_path / "odd.zip", misnamed))
    assert there.search_runs(["0"]) == []
    import_search(Store(THERE), archive)


def test_export_overwrites_nothing_and_knows_its_searches(archive: Path, tmp_path: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(UsageError, match=r"one\.zip exists already; choose another name"):
        export_search(Store(), "one", archive)
    assert archive.read_bytes() == before
    with pytest.raises(UnknownName, match=r"unknown search 'oen'\. Did you mean 'one'\?"):
        export_search(Store(), "oen", tmp_path / "other.zip")
    with pytest.raises(UsageError, match="does not exist; create it"):
        export_search(Store(), "one", tmp_path / "nowhere" / "other.zip")
    assert not list(tmp_path.glob("*other*"))


def rewritten(archive: Path, other: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Copy an archive with some contents changed."""
    with zipfile.ZipFile(archive) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            target.writestr(name, change(name, source.read(name)))
    return other


def edited(archive: Path, other: Path, member: str, **fields: object) -> Path:
    """Copy an archive with fields of a JSON file changed."""

    def change(name: str, text: bytes) -> bytes:
        return json.dumps(json.loads(text) | fields).encode() if name == member else text

    return rewritten(archive, other, change)


@pytest.mark.parametrize(
    ("member", "fields", "reason"),
    [
        ("search.json", {"format": "something else"}, "search.json does not say 'spikefront search'"),
        ("search.json", {"version": 2}, "its version is 2, and only 1 is known"),
        ("search.json", {"runs": ["search", "0000"]}, "its runs are not those that it lists"),
        ("search.json", {"search": "two"}, "run search is not a search of 'two'"),
        ("runs/0001/run.json", {"metrics": [["quality", "high", 0, 0]]}, "runs/0001/run.json is not a run"),
        ("runs/0001/run.json", {"metrics": [["quality", 0.5, 0.5, 0]]}, "runs/0001/run.json is not a run"),
        ("runs/0001/run.json", {"status": "GREAT"}, "runs/0001/run.json is not a run"),
        ("runs/0001/run.json", {"start_time": None}, "runs/0001/run.json is not a run"),
        ("runs/0001/run.json", {"params": ["coding"]}, "runs/0001/run.json is not a run"),
        ("runs/0001/run.json", {"more": 1}, "runs/0001/run.json is not a run"),
        ("runs/0001/run.json", {"tags": {}}, "run 0001 is not a trial of 'one'"),
    ],
)
def test_contents_that_no_export_writes_are_refused(
    archive: Path, there: MlflowClient, tmp_path: Path, member: str, fields: dict[str, object], reason: str
) -> None:
    with pytest.raises(UsageError) as problem:
        import_search(Store(THERE), edited(archive, tmp_path / "odd.zip", member, **fields))
    assert str(problem.value).startswith(
        f"{tmp_path}/odd.zip is not an archive of a search, or it is damaged ({reason}"
    )
    assert str(problem.value).endswith("export it again")
    assert "\n" not in str(problem.value)
    assert there.search_runs(["0"]) == []


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "/tmp/outside.txt",
        "runs/search/artifacts/../../../../outside.txt",
        "runs/search/artifacts//outside.txt",
        "runs/search/artifacts/..\\outside.txt",
        "runs/search/artifacts/./a",
        "runs/9/artifacts/a",
        "setup.py",
    ],
)
def test_a_file_that_leaves_its_place_is_refused(archive: Path, there: MlflowClient, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(archive, "a") as target:
        target.writestr(name, "out of place")
    before = {*tmp_path.parent.rglob("outside.txt")}
    with pytest.raises(UsageError, match="does not belong there"):
        import_search(Store(THERE), archive)
    assert {*tmp_path.parent.rglob("outside.txt")} == before
    assert there.search_runs(["0"]) == []


def test_links_and_names_given_twice_are_refused(archive: Path, there: MlflowClient, tmp_path: Path) -> None:
    linked = Path(shutil.copy(archive, tmp_path / "linked.zip"))
    link = zipfile.ZipInfo("runs/search/artifacts/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(linked, "a") as target:
        target.writestr(link, "/etc/passwd")
    with pytest.raises(UsageError, match="'runs/search/artifacts/link' does not belong there"):
        import_search(Store(THERE), linked)
    with zipfile.ZipFile(archive, "a") as target, pytest.warns(UserWarning, match="Duplicate name"):
        target.writestr("search.json", "{}")
    with pytest.raises(UsageError, match="a name in it stands for two files"):
        import_search(Store(THERE), archive)


def test_damaged_files_are_refused_in_one_line(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    with zipfile.ZipFile(archive) as source:
        place = source.getinfo("runs/search/artifacts/environment.json")
        name, extra = struct.unpack("<HH", whole[place.header_offset + 26 : place.header_offset + 30])
        middle = place.header_offset + 30 + name + extra + place.compress_size // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    for damaged in (flipped, whole[: len(whole) // 2], b"", b"PK\x03\x04 not really", b"%PDF-1.7"):
        (tmp_path / "damaged.zip").write_bytes(damaged)
        with pytest.raises(
            UsageError, match=r"damaged\.zip is not an archive of a search, or it is damaged"
        ) as problem:
            import_search(Store(THERE), tmp_path / "damaged.zip")
        assert "\n" not in str(problem.value)
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as foreign:
        foreign.writestr("readme.txt", "hello")
    with pytest.raises(UsageError, match=r"damaged \(it has no search\.json\)"):
        import_search(Store(THERE), tmp_path / "foreign.zip")
    with pytest.raises(UsageError, match=r"archive .*missing\.zip can't be read: No such file or directory; check"):
        import_search(Store(THERE), tmp_path / "missing.zip")
    assert not Path("there.db").exists()  # nothing is made before the archive is known to be good
