"""Optuna's dashboard on the journal of a search: what it serves to its pages."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.opening import create_study, name_values, reopen_study
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, LATENCY, Objective

AXES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY, LATENCY)
NAMES = ["accuracy", "log10 energy per sample (nJ)", "log10 latency (steps)"]


def settings(folder: Path, **more: Any) -> SearchSettings:
    return SearchSettings("digits", name="d1", folder=folder, max_energy=1000.0, **more)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    asked = settings(tmp_path)
    sampler = make_sampler(asked, load_registry(third_parties=False))
    study = create_study(asked, AXES, sampler, {"options": {"name": "d1"}})
    name_values(study, AXES, "accuracy")
    record = StudyRecord(study, AXES, asked.limits)
    for quality, energy in ((0.9, 10_000.0), (0.8, 100.0)):
        metrics = {"quality": quality, "energy_nj": energy, "latency_steps": 4.0}
        record.tell(record.ask().number, "COMPLETE", "", metrics)
    return study


def test_values_have_names_with_units_and_limits_are_attributes(study: optuna.Study, tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    from optuna_dashboard import wsgi

    app = wsgi(JournalStorage(JournalFileBackend(str(tmp_path / "d1" / "journal.log"))))
    told: list[str] = []
    asked = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies/0", "QUERY_STRING": "after=0", "SERVER_NAME": "here"}
    streams = {"wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "SERVER_PORT": "80", "wsgi.url_scheme": "http"}
    answer = app({**asked, **streams}, lambda status, headers, *more: told.append(status))
    found = json.loads(b"".join(answer))

    assert told == ["200 OK"]
    assert found["name"] == "d1"
    assert found["objective_names"] == NAMES
    limits = [
        {item["key"]: float(item["value"]) for item in trial["user_attrs"] if item["key"].startswith("limit.")}
        for trial in found["trials"]
    ]
    assert limits == [{"limit.energy_nj": pytest.approx(1.0)}, {"limit.energy_nj": pytest.approx(-1.0)}]  # log10


def test_an_earlier_journal_gets_names_when_it_is_resumed(tmp_path: Path) -> None:
    asked = settings(tmp_path)
    sampler = make_sampler(asked, load_registry(third_parties=False))
    create_study(asked, AXES, sampler, {"options": {"name": "d1"}})
    again = reopen_study(asked, sampler)
    assert again.metric_names is None
    for _ in range(2):
        name_values(again, AXES, "accuracy")
    assert again.metric_names == NAMES
    written = [line for line in (tmp_path / "d1" / "journal.log").read_text().splitlines() if "metric_names" in line]
    assert len(written) == 1
