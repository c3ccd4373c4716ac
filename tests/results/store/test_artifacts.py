from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from spikefront.results.store.artifacts import environment_json, front_json, redacted_file
from spikefront.searchspace import ENERGY, Front, Objective, SearchInfo, Trial

QUALITY = Objective("quality", maximize=True, worst=0.0, best=1.0)
Search = Callable[..., SearchInfo]


@pytest.fixture
def front() -> Front:
    front = Front((QUALITY, ENERGY))
    for number, (quality, energy, coding) in enumerate(
        [(0.9, 2e3, "sac"), (0.5, 10.0, "<b>"), (0.4, 500.0, "rate"), (0.8, 2e2, "sac")]
    ):
        metrics = {"quality": quality, "energy_nj": energy, "latency_steps": 4.0}
        front.add(Trial(number, candidate={"coding": coding, "steps": 4}, metrics=metrics))
    return front


def test_front_json_holds_the_members_with_their_runs(search: Search, front: Front) -> None:
    document = json.loads(front_json(search(), front, {None: "p", "0": "a", "1": "b", "3": "d"}))
    assert document["run_id"] == "p"
    assert document["objectives"] == ["quality", "energy_nj"]
    assert document["completed"] == 4
    assert [(m["trial"], m["run_id"], m["candidate"]["coding"]) for m in document["front"]] == [
        (1, "b", "<b>"),
        (3, "d", "sac"),
        (0, "a", "sac"),
    ]


def test_the_environment_says_where_it_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["spikefront", "run", "--tracking-uri", "http://me:secret@server"])
    document = json.loads(environment_json())
    assert document["python"] == platform.python_version()
    assert document["packages"]["mlflow"] == version("mlflow")
    assert document["command"] == "spikefront run --tracking-uri http://***@server"
    assert document["cpus"] >= 1
    assert document["git_commit"] is None  # an empty folder is no repository


def test_a_journal_of_an_earlier_version_is_copied_without_its_password(tmp_path: Path) -> None:
    lines = [
        '{"op_code":0,"study_name":"s"}',
        '{"user_attr": {"search": {"options": {"tracking_uri": "postgresql://u:pa ss/@h/db", "n": 1e-05}}}}',
        '{"user_attr":{"outcome":{"reason":"é at https://example.org/a@b","x":0.1}}}',
        "no JSON: http://u:p@h",
    ]
    journal = tmp_path / "journal.log"
    journal.write_text("\n".join(lines) + "\n", encoding="utf-8")
    folder = tmp_path / "copy"
    folder.mkdir()
    copy = redacted_file(journal, folder).read_text(encoding="utf-8").splitlines()
    assert copy[1] == '{"user_attr":{"search":{"options":{"tracking_uri":"postgresql://***@h/db","n":1e-05}}}}'
    assert (copy[0], copy[2]) == (lines[0], lines[2]), "lines without a password keep their bytes"
    assert copy[3] == "no JSON: http://***@h"
    journal.write_text(lines[0])
    assert redacted_file(journal, folder) == journal, "nothing is copied in vain"


def test_pages_and_json_are_copied_without_passwords_and_other_files_are_not_touched(tmp_path: Path) -> None:
    page, weights, other = tmp_path / "report.html", tmp_path / "net.pt", tmp_path / "environment.json"
    page.write_text('<svg xmlns="http://www.w3.org/2000/svg"><dd>postgresql://h/db?user=u&amp;password=secret</dd>')
    weights.write_bytes(b"http://u:p@h")
    other.write_text('{"command": "run --tracking-uri postgresql://u:pa/ss@h/db"}')
    folder = tmp_path / "copy"
    folder.mkdir()
    expected = '<svg xmlns="http://www.w3.org/2000/svg"><dd>postgresql://h/db?user=u&amp;password=***</dd>'
    assert redacted_file(page, folder).read_text() == expected
    assert redacted_file(weights, folder) == weights
    assert json.loads(redacted_file(other, folder).read_text()) == {
        "command": "run --tracking-uri postgresql://***@h/db"
    }
