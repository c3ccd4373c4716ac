"""A search that an MLflow server keeps in PostgreSQL: found, read, decided, reported, and moved from store to store."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # it starts two servers, and Ray twice

STARTS_WITHIN_S = 60.0
DATABASE = "spikefront"


def programs() -> Path:
    """Return the folder of PostgreSQL's programs, which Debian keeps from the path."""
    pytest.importorskip("psycopg2", reason="no driver of PostgreSQL: pip install psycopg2-binary")
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    return folders[-1]


def account() -> str | None:
    """Return the user that PostgreSQL runs as: it refuses root."""
    if os.geteuid():
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    pytest.skip("PostgreSQL refuses to run for root, and there is no other user")


@pytest.fixture
def database(free_port: Callable[[], int]) -> Iterator[str]:
    """Start a PostgreSQL server over a new cluster, and return the address of its database."""
    folder, user, port = programs(), account(), free_port()
    data = Path(tempfile.mkdtemp(prefix="sf-pg-"))
    if user is not None:
        shutil.chown(data, user)
    made = [str(folder / "initdb"), "-D", str(data), "-U", DATABASE, "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run(made, check=True, cwd=data, user=user, capture_output=True, timeout=120)
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen(
        [str(folder / "postgres"), "-D", str(data), "-p", str(port), "-k", str(data), *settings],
        cwd=data, user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        ready = [str(folder / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        deadline = time.monotonic() + STARTS_WITHIN_S
        while subprocess.run(ready, capture_output=True, check=False).returncode:
            assert server.poll() is None, "PostgreSQL ended"
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.2)
        yield f"postgresql+psycopg2://{DATABASE}@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # a fast shutdown: it does not wait for its clients
        server.wait(30)
        shutil.rmtree(data, ignore_errors=True)


def spikefront(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who has set nothing up."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-m", "spikefront", *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def rows(folder: Path, *where: str) -> list[dict[str, Any]]:
    """Return the front as a store has it, without the store's own names of runs."""
    found: list[dict[str, Any]] = json.loads(spikefront(folder, "pareto", "a", "--format", "json", *where).stdout)
    return [{name: value for name, value in row.items() if name != "run_id"} for row in found]


def test_a_search_lives_in_postgresql_and_moves(
    tmp_path: Path, database: str, start_mlflow: Callable[..., MlflowServer]
) -> None:
    (tmp_path / "server").mkdir()
    server = start_mlflow(tmp_path / "server", "server", "--backend-store-uri", database)
    there = ["--tracking-uri", server.uri]
    narrowed = ["--set", "backbone=mlp", "--set", "coding=direct,latency", "--set", "steps=3..4"]
    options = ["--task", "digits", "--trials", "4", "--epochs", "2", "--workers", "2", "--seed", "5", "--name", "a"]
    spikefront(tmp_path, "run", *options, *narrowed, *there)
    front = rows(tmp_path, *there)
    assert front
    assert not (tmp_path / "mlflow.db").exists()

    asked = ["recommend", "a", "--max-energy", "1mJ", "--candidates", "1", "--trainings", "12", "--test-seeds", "2"]
    answer = spikefront(tmp_path, *asked, "--workers", "2", *there).stdout.splitlines()[-3:]
    assert answer[0].startswith(("best within 1.00 mJ: ", "tied within 1.00 mJ: "))
    spikefront(tmp_path, "report", "a", "--to", "a.html", *there)
    assert answer[2].partition(":")[2].strip() in (tmp_path / "a.html").read_text()

    spikefront(tmp_path, "results", "export", "a", "--to", "a.zip", *there)
    elsewhere = ["--tracking-uri", f"sqlite:///{tmp_path / 'other.db'}"]
    copied = ["--experiment", "copies", *there]
    for where in (elsewhere, copied):
        spikefront(tmp_path, "results", "import", "a.zip", *where)
        assert rows(tmp_path, *where) == front
    spikefront(tmp_path, "report", "a", "--to", "b.html", *elsewhere)
    assert answer[2].partition(":")[2].strip() in (tmp_path / "b.html").read_text()
