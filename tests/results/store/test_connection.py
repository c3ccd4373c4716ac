from __future__ import annotations

import http.server
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spikefront.results.store.connection import Store, quoted, redact
from spikefront.searchspace import UsageError


@pytest.fixture
def quick_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep MLflow's variables, which a check of a server sets, from leaking into other tests."""
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "0" if name.endswith("RETRIES") else "20")


class Answer(http.server.BaseHTTPRequestHandler):
    status, body = 200, b"{}"

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def answering(quick_mlflow: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """Serve one status and body to every request."""
    status, body = request.param
    handler = type("Fixed", (Answer,), {"status": status, "body": body})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_default_is_a_database_in_this_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Store().uri == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///other.db")
    assert Store().uri == f"sqlite:///{tmp_path}/other.db"
    assert Store("sqlite:////data/runs.db").uri == "sqlite:////data/runs.db"
    assert Store("https://server").uri == "https://server"
    assert Store("postgresql+psycopg2://server/db").uri == "postgresql+psycopg2://server/db"


def test_an_unknown_scheme_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(UsageError, match=r"'mongo://\*\*\*@db': MLflow has no store for 'mongo'; known: .*sqlite"):
        Store("mongo://me:secret@db")


@pytest.mark.parametrize("uri", ["./mlruns", "file:///tmp/mlruns", "mlruns"])
def test_a_folder_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match=r"is a folder, which MLflow no longer writes; use sqlite:///mlflow\.db"):
        Store(uri)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(uri: str) -> None:
    with pytest.raises(UsageError, match=r"names no file; use for example sqlite:///mlflow\.db"):
        Store(uri)


def test_a_new_database_passes_and_is_not_created(tmp_path: Path) -> None:
    Store().check()
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"folder .*/nowhere does not exist; create it or choose another store"):
        Store(f"sqlite:///{tmp_path}/nowhere/mlflow.db").check()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("not a database, " * 100)
    with pytest.raises(UsageError, match=r"mlflow\.db does not open: file is not a database; choose another"):
        Store().check()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match=r"can't be written; choose another with --tracking-uri"):
        Store().check()


def test_a_server_that_is_away_is_found_out_at_once(quick_mlflow: None, free_port: Callable[[], int]) -> None:
    uri = f"http://me:secret@127.0.0.1:{free_port()}"
    start = time.monotonic()
    with pytest.raises(UsageError, match=r"server http://\*\*\*@127.* does not answer within 5 s; start it"):
        Store(uri).check()
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("answering", [(200, b'{"experiments": []}')], indirect=True)
def test_a_server_that_answers_passes(answering: str) -> None:
    Store(answering).check()


@pytest.mark.parametrize("answering", [(401, b"no"), (403, b"no")], indirect=True)
def test_a_server_that_wants_a_password_says_so(answering: str) -> None:
    with pytest.raises(UsageError, match=r"refuses us \(HTTP 40[13]\); set MLFLOW_TRACKING_USERNAME"):
        Store(answering).check()


@pytest.mark.parametrize("answering", [(200, b"<html>"), (404, b"{}"), (500, b"{}")], indirect=True)
def test_another_server_is_told_from_mlflow(answering: str) -> None:
    with pytest.raises(UsageError, match=r"answers, but not as an MLflow server \(HTTP \d+\); check the address"):
        Store(answering).check()


def test_a_database_server_that_is_away_is_refused(free_port: Callable[[], int]) -> None:
    # SQLAlchemy names the missing driver or the refused connection, whichever is met first.
    with pytest.raises(UsageError, match=r"database postgresql://\*\*\*@127.* does not open: .*; check that it runs"):
        Store(f"postgresql://me:secret@127.0.0.1:{free_port()}/db").check()


def test_credentials_are_hidden() -> None:
    assert redact("see https://me:secret@host/x and http://host") == "see https://***@host/x and http://host"


def test_quotes_for_the_filter_language() -> None:
    assert quoted("a") == "'a'"
    assert quoted("it's") == '"it\'s"'
    with pytest.raises(UsageError, match="can't be looked up in MLflow: it holds both"):
        quoted("'\"")


def test_database_whose_making_was_killed_is_made_anew(tmp_path: Path) -> None:
    script = "from spikefront.results.store.connection import Store; Store().client"
    maker = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob("mlflow.db.*.new")):
        assert maker.poll() is None
        time.sleep(0.01)
    maker.kill()
    maker.wait()
    assert not (tmp_path / "mlflow.db").exists()
    assert Store().client.search_experiments()[0].name == "Default"


def test_a_store_is_opened_and_made_only_when_wanted(tmp_path: Path) -> None:
    store = Store(experiment="codings")
    with pytest.raises(UsageError, match=r"no search found in sqlite:///.*mlflow\.db; run: spikefront run"):
        store.open_existing()
    assert list(tmp_path.iterdir()) == []
    store.ensure()
    assert store.client.get_experiment(store.home).name == "codings"
    other = Store(experiment="codings")
    other.open_existing()
    assert other.home == store.home
    with pytest.raises(UsageError, match="no search found"):
        _ = Store(experiment="unheard of").home
    store.client.delete_experiment(store.home)
    with pytest.raises(UsageError, match="MLflow experiment 'codings' is deleted; restore it or choose another"):
        Store(experiment="codings").open_existing()


def test_a_store_shows_no_password() -> None:
    assert Store("https://me:secret@host").shown == "https://***@host"
