from __future__ import annotations

import http.server
import os
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote, quote_plus

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


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("ID", "first", "'first' is not the id of an experiment, which is a number"),
        ("ID", "٣", "'٣' is not the id of an experiment, which is a number"),
        ("NAME", "a\x1b[31mb", "'a\\x1b[31mb' must be printable characters, 500 at most"),
        ("NAME", "x" * 501, rf"'{'x' * 77}...{'x' * 78}' must be printable characters, 500 at most"),
    ],
)
def test_variables_that_name_no_experiment_are_refused_before_anything_is_opened(
    name: str, value: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"MLFLOW_EXPERIMENT_{name}", value)
    with pytest.raises(UsageError) as caught:
        Store().check()
    assert caught.value.on_command_line() == f"MLFLOW_EXPERIMENT_{name} {problem}"
    assert list(tmp_path.iterdir()) == []


def test_an_id_that_no_experiment_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Store().open_for_writing()
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    assert Store().home == "0"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "77")
    with pytest.raises(UsageError, match=r"mlflow\.db has no experiment of the id in MLFLOW_EXPERIMENT_ID: 77$"):
        Store().open_for_writing()


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


QUICK = ["pct%20dir", "ask?dir"]
SPECIAL = ["p%c", "hash#dir", "bl ank", "ümlaut", "semi;colon", "a=b&c"]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SPECIAL)])
def test_a_store_in_a_folder_of_any_name_has_its_database_and_artifacts_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(folder)
    for store, database in ((Store(), "mlflow.db"), (Store(f"sqlite:///{folder}/given.db", "named"), "given.db")):
        store.check()
        store.open_for_writing()
        assert store.file == folder / database
        assert store.file.exists()
        run = store.client.create_run(store.home).info.run_id
        store.client.log_text(run, "text", "a.txt")
        assert [entry.path for entry in store.client.list_artifacts(run)] == ["a.txt"]
        assert list(folder.glob(f"mlruns/*/{run}/artifacts/a.txt"))
        again = Store(store.uri, store.experiment)  # as the printed command gives it
        assert (again.uri, again.file) == (store.uri, store.file)
        again.open_existing()
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing beside it"


def test_a_query_belongs_to_the_store_and_not_to_its_file(tmp_path: Path) -> None:
    store = Store("sqlite:///mlflow.db?timeout=60")
    assert store.uri == f"sqlite:///{tmp_path}/mlflow.db?timeout=60"
    store.check()
    store.open_for_writing()
    assert store.file == tmp_path / "mlflow.db"
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mlflow.db"]
    assert Store("sqlite:///mlflow.db").client.search_experiments()


@pytest.mark.parametrize("query", ["check_same_thread=perhaps", "timeout=soon", "timeuot=60"])
def test_a_query_that_sqlite_does_not_take_is_refused_before_anything_is_made(query: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"^tracking URI: SQLite takes no '{query}' \(.*\); leave it out$"):
        Store(f"sqlite:///mlflow.db?{query}").check()
    assert list(tmp_path.iterdir()) == []


def test_an_encoded_path_is_decoded_as_sqlalchemy_does_it(tmp_path: Path) -> None:
    (tmp_path / "p q").mkdir()
    assert Store(f"sqlite:///{tmp_path}/p%20q/b.db").file == tmp_path / "p q" / "b.db"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("postgres://u:sec@host/db", r"'postgres://\*\*\*@host/db': .* Did you mean 'postgresql'\?"),
        ("postgresql://u:p@ss@host/db", r"'postgresql://\*\*\*@host/db': in a user name or password, write @ as %40"),
        ("postgresql://host:port/db", r"'postgresql://host:port/db': its port is not a number"),
        ("http://u:pa/ss@host", r"'http://\*\*\*@host': its port is not a number; .* write / @ : \? # as %2F"),
        ("http://:5000", r"names no server; use for example http://127\.0\.0\.1:5000"),
        ("http://***@host", r"\*\*\* stands for what is not shown; give the whole address"),
        ("sqlite:///file:m.db?uri=true", "names no file; use for example sqlite:///mlflow"),
        ("u:sec@host/db", r"'\*\*\*@host/db': MLflow has no store for 'u'"),
    ],
)
def test_an_address_that_would_be_misread_is_refused_in_one_line_without_its_password(uri: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        Store(uri)
    assert "\n" not in str(caught.value)
    assert not any(secret in str(caught.value) for secret in ("sec", "p@ss", "pa/ss"))


def test_a_database_of_another_mlflow_is_refused_before_the_first_trial(new_database: Path, tmp_path: Path) -> None:
    shutil.copy(new_database, tmp_path / "mlflow.db")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '728d730b5ebd'")
    store = Store()
    store.check()
    with pytest.raises(
        UsageError, match=r"^MLflow store sqlite:///.*mlflow\.db does not open: .*schema.*choose"
    ) as caught:
        store.open_for_writing()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "said"),
    [
        (
            "postgresql",
            r"its driver psycopg is not installed \(pip install 'psycopg\[binary\]', or psycopg2-binary for ",
        ),
        ("postgresql+psycopg2", r"its driver psycopg2 is not installed \(pip install psycopg2-binary\)"),
        ("mysql+pymysql", r"its driver pymysql is not installed \(pip install PyMySQL\)"),
        ("mssql+pyodbc", r"its driver pyodbc is not installed \(pip install pyodbc\)"),
    ],
)
def test_a_missing_driver_is_named_with_its_package(scheme: str, said: str) -> None:
    if any(find_spec(name) for name in ("psycopg", "psycopg2", "pymysql", "pyodbc")):
        pytest.skip("a driver is installed")
    with pytest.raises(
        UsageError, match=rf"^MLflow database {re.escape(scheme)}://\*\*\*@host/db does not open: {said}"
    ):
        Store(f"{scheme}://me:secret@host/db").check()


def test_an_installed_driver_is_offered_in_place_of_the_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if find_spec("psycopg"):
        pytest.skip("the default driver is installed")
    (tmp_path / "psycopg2.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"or write postgresql\+psycopg2://, whose driver is installed"):
        Store("postgresql://me:secret@host/db").check()


@pytest.mark.parametrize("answering", [(200, b'{"experiments": []}')], indirect=True)
def test_a_slow_server_is_not_refused(answering: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Answer.do_GET

    def slowly(self: Answer) -> None:
        time.sleep(0.6)
        real(self)

    monkeypatch.setattr(Answer, "do_GET", slowly)
    monkeypatch.setattr("spikefront.results.store.reachable._CONNECT_S", 0.2)
    Store(answering).check()


def test_a_server_that_accepts_and_never_answers_is_refused(
    quick_mlflow: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spikefront.results.store.reachable._ANSWER_S", 0.3)
    refused = pytest.raises(UsageError, match=r"does not answer within 0\.3 s; start it")
    with socket.create_server(("127.0.0.1", 0)) as silent, refused:
        Store(f"http://127.0.0.1:{silent.getsockname()[1]}").check()


def test_what_a_killed_process_left_is_removed_and_what_is_being_made_is_not(database: None, tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    here = socket.gethostname()
    gone = [f"mlflow.db.{dead.pid}.new", f"mlflow.db.{here}.{dead.pid}.new", f"mlflow.db.{here}.{dead.pid}.new-journal"]
    kept = [f"mlflow.db.{here}.{os.getpid()}.new", f"mlflow.db.elsewhere.{dead.pid}.new", f"other.db.{dead.pid}.new"]
    for name in (*gone, *kept):
        (tmp_path / name).touch()
    assert Store().client.search_experiments()
    assert {path.name for path in tmp_path.glob("*.new*")} == set(kept)


@pytest.mark.parametrize("password", ["S3cr3tPW", "a%2Fb%40c1234", "p w+%d"])
@pytest.mark.parametrize("base", ["http://alice:{}@127.0.0.1:{}", "http://127.0.0.1:{1}?token={0}"])
def test_the_password_is_in_no_error_of_a_store_that_is_away(
    base: str, password: str, quick_mlflow: None, free_port: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(base.format(quote(password), free_port()))
    said = store.shown
    for use in (store.check, store.open_for_writing, store.open_existing):
        try:
            use()
        except UsageError as error:
            said += "".join(traceback.format_exception(error))
    assert "does not answer within 5 s" in said
    assert not any(form in said + caplog.text for form in (password, quote(password), quote_plus(password)))


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
