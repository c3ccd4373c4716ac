from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import pytest
import ray
import torch

from spikefront.runners.engine.placing.session import (
    DRIVER_ENVIRONMENT,
    WORKER_ENVIRONMENT,
    RaySession,
    environment,
)
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import UsageError

LOGGERS = ("ray", "ray.tune", "ray.train", "ray.data")


@pytest.fixture(autouse=True)
def as_before_ray_was_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_CLIENT_MODE", raising=False)


@pytest.mark.parametrize(("set_to", "left"), [("0", None), ("1", "1")])  # Ray's import sets 0, a user 1
def test_what_ray_sets_when_it_is_imported_is_removed(
    set_to: str, left: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_CLIENT_MODE", set_to)
    with environment({}):
        pass
    assert os.environ.get("RAY_CLIENT_MODE") == left


def test_environment_is_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPIKEFRONT_SET", "before")
    monkeypatch.delenv("SPIKEFRONT_UNSET", raising=False)
    before = dict(os.environ)
    with environment({"SPIKEFRONT_SET": "inside", "SPIKEFRONT_UNSET": "inside"}):
        assert os.environ["SPIKEFRONT_SET"] == os.environ["SPIKEFRONT_UNSET"] == "inside"
        os.environ["RAY_AUTH_MODE"] = "as Ray sets it"
    assert dict(os.environ) == before


def test_session_leaves_the_process_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # the user's own
    environment_before, stdout = dict(os.environ), sys.stdout
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    with RaySession(SearchSettings("digits", name="s", folder=tmp_path, workers=1)) as session:
        session.wait()
        assert ray.is_initialized()
        assert (DRIVER_ENVIRONMENT | WORKER_ENVIRONMENT).items() <= os.environ.items()
    assert not ray.is_initialized()
    assert dict(os.environ) == environment_before
    assert {name: logging.getLogger(name).level for name in LOGGERS} == levels
    assert sys.stdout is stdout


def test_address_that_is_none_is_refused_before_ray_starts(tmp_path: Path) -> None:
    before = dict(os.environ)
    settings = SearchSettings("digits", name="s", folder=tmp_path, address="somewhere")
    with pytest.raises(UsageError, match=r"^address='somewhere' must read HOST:PORT"), RaySession(settings):
        pytest.fail("it began")
    assert not ray.is_initialized()
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "127.0.0.1:1",
            r"address='127\.0\.0\.1:1': no Ray cluster answers \(Connection refused\); start one with: ray start",
        ),
        ("somewhere", r"address='somewhere' must read HOST:PORT"),
    ],
)
def test_a_cluster_that_does_not_answer_is_one_clear_error(tmp_path: Path, address: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RaySession(SearchSettings("digits", name="s", folder=tmp_path, address=address)).__enter__()
    assert not (tmp_path / "s").exists()


def test_more_gpus_than_there_are_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    settings = SearchSettings(name="s", folder=tmp_path, gpus_per_trial=torch.cuda.device_count() + 1)
    with (
        RaySession(settings) as session,
        pytest.raises(UsageError, match=r"gpus_per_trial=\d\.0 is more than the \d GPUs"),
    ):
        session.wait()
