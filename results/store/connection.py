"""The connection to an MLflow store and experiment: resolved and opened once, then handed on.

MLflow itself is imported inside functions: it takes more than a second.
"""

from __future__ import annotations

import os
import re
import sqlite3
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Final

from spikefront.searchspace import UsageError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_URI: Final = "sqlite:///mlflow.db"

_SERVERS: Final = ("http", "https", "databricks")
_DATABASES: Final = ("postgresql", "mysql", "mssql")
_TIMEOUT_S: Final = 5
"""Longest wait for a sign of life before a search starts."""


def resolve_uri(uri: str | None = None) -> str:
    """Return the tracking URI: ``uri``, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in this folder.

    A SQLite path is made absolute, since MLflow keeps stores by URI for as long as the process lives.

    Raises:
        UsageError: for a URI scheme that MLflow has no store for.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    scheme = _scheme(uri)
    if scheme == "sqlite":
        path = uri.partition("sqlite:///")[2]
        if path in ("", ":memory:"):
            raise UsageError(f"tracking URI {uri!r} names no file; use for example {DEFAULT_URI}")
        return f"sqlite:///{os.path.abspath(path)}"
    if scheme in ("", "file"):
        raise UsageError(f"tracking URI {uri!r} is a folder, which MLflow no longer writes; use {DEFAULT_URI}")
    known = {"sqlite", *_SERVERS, *_DATABASES} | {point.name for point in entry_points(group="mlflow.tracking_store")}
    if scheme not in known:
        names = ", ".join(sorted(known))
        raise UsageError(f"tracking URI {redact(uri)!r}: MLflow has no store for {scheme!r}; known: {names}")
    return uri


def _scheme(uri: str) -> str:
    """Return ``postgresql`` for ``postgresql+psycopg2://...``, and an empty scheme for a path."""
    if uri == "databricks":
        return uri
    match = re.match(r"([A-Za-z][A-Za-z0-9.\-]*)(\+[A-Za-z0-9_]+)?:", uri)
    return match[1].lower() if match else ""


def redact(text: str) -> str:
    """Hide the user name and password of each URI in a text."""
    return re.sub(r"://[^/\s@]*@", "://***@", text)


def prepare_environment(uri: str) -> None:
    """Set MLflow's environment variables that the user has not set: no telemetry, no messages, no minute-long retries.

    Call it before MLflow is imported. The recorder retries by itself, in order.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one for each file
    if _scheme(uri) in _SERVERS:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


class Store:
    """An MLflow store and one of its experiments. Nothing is opened before it is needed.

    Args:
        uri: tracking URI; None means ``MLFLOW_TRACKING_URI``, or else ``mlflow.db`` in this folder.
        experiment: name of the experiment; None means the one that plain MLflow is active in:
            ``MLFLOW_EXPERIMENT_NAME``, ``MLFLOW_EXPERIMENT_ID`` or else ``Default``.

    Raises:
        UsageError: for a URI that MLflow has no store for.

    Attributes:
        uri: the resolved tracking URI.
        experiment: name of the experiment, as given.
    """

    def __init__(self, uri: str | None = None, experiment: str | None = None) -> None:
        self.uri = resolve_uri(uri)
        self.experiment = experiment
        self._client: MlflowClient | None = None
        self._home: str | None = None

    @property
    def shown(self) -> str:
        """The URI without user name and password."""
        return redact(self.uri)

    @property
    def file(self) -> Path | None:
        """The file of a SQLite store; None of any other."""
        return Path(self.uri.removeprefix("sqlite:///")) if _scheme(self.uri) == "sqlite" else None

    def check(self) -> None:
        """Check within a few seconds that the server answers, or the database opens. Creates nothing.

        Raises:
            UsageError: with what was tried and what to do.
        """
        scheme = _scheme(self.uri)
        prepare_environment(self.uri)
        if self.file is not None:
            _check_sqlite(self.file)
        elif scheme in _SERVERS:
            _check_http(self.uri)
        elif scheme in _DATABASES:
            _check_database(self.uri, scheme)

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; opened at first use. A new SQLite database gets its tables, which takes seconds."""
        if self._client is None:
            prepare_environment(self.uri)
            from mlflow import MlflowClient

            if self.file is not None and not self.file.exists():
                _create_database(self.file)
            self._client = MlflowClient(tracking_uri=self.uri)
        return self._client

    @property
    def home(self) -> str:
        """Id of the experiment, which must exist.

        Raises:
            UsageError: as ``open_existing`` does.
        """
        if self._home is None:
            self.open_existing()
        assert self._home is not None
        return self._home

    def open_existing(self) -> None:
        """Open the store and the experiment, and create neither.

        Raises:
            UsageError: when there is none, or the store does not answer.
        """
        self.check()
        if self.file is not None and not self.file.exists():
            raise self.nothing_found()
        self._home = self._find_experiment()
        if self._home is None:
            raise self.nothing_found()

    def nothing_found(self) -> UsageError:
        """Return the error for a store without any search."""
        return UsageError(f"no search found in {self.shown}; run: spikefront run --task digits")

    def ensure(self) -> None:
        """Open the store and the experiment; create what does not exist."""
        prepare_environment(self.uri)
        from mlflow.exceptions import MlflowException

        self._home = self._find_experiment()
        if self._home is not None:
            return
        name = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
        try:
            self._home = str(self.client.create_experiment(name))
        except MlflowException as error:
            self._home = self._find_experiment()  # another process may have been faster
            if self._home is None:
                raise error

    def _find_experiment(self) -> str | None:
        name = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if name is None and (by_id := os.environ.get("MLFLOW_EXPERIMENT_ID")):
            return by_id
        found = self.client.get_experiment_by_name(name or "Default")
        if found is None:
            return None
        if found.lifecycle_stage != "active":
            raise UsageError(f"MLflow experiment {found.name!r} is deleted; restore it or choose another")
        return str(found.experiment_id)


def _check_sqlite(path: Path) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"MLflow store {path}: folder {path.parent} does not exist; create it or choose another store")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"MLflow store {path} can't be written; choose another with --tracking-uri")
    if not path.exists():
        return
    try:
        connection = sqlite3.connect(path, timeout=_TIMEOUT_S)
        try:
            connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UsageError(f"MLflow store {path} does not open: {error}; choose another with --tracking-uri") from error


def _check_http(uri: str) -> None:
    """Request the API itself, not a health page, which also detects wrong passwords and other servers."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.databricks_utils import get_databricks_host_creds
    from mlflow.utils.rest_utils import http_request

    shown = redact(uri)
    try:
        credentials = get_databricks_host_creds(uri) if _scheme(uri) == "databricks" else get_default_host_creds(uri)
        answer = http_request(
            credentials,
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=_TIMEOUT_S,
            raise_on_status=False,
        )
    except MlflowException as error:
        todo = f"start it (mlflow server), or leave --tracking-uri out to use {DEFAULT_URI}"
        raise UsageError(f"MLflow server {shown} does not answer within {_TIMEOUT_S} s; {todo}") from error
    if answer.status_code in (401, 403):
        todo = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the server's --allowed-hosts"
        raise UsageError(f"MLflow server {shown} refuses us (HTTP {answer.status_code}); {todo}")
    if answer.status_code != 200 or not answer.text.lstrip().startswith("{"):
        raise UsageError(f"{shown} answers, but not as an MLflow server (HTTP {answer.status_code}); check the address")


def _check_database(uri: str, scheme: str) -> None:
    import sqlalchemy

    limit = {"timeout": _TIMEOUT_S} if scheme == "mssql" else {"connect_timeout": _TIMEOUT_S}
    try:
        engine = sqlalchemy.create_engine(uri, connect_args=limit)
        engine.connect().close()
        engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, ImportError) as error:
        reason = redact(str(error).partition("\n")[0])
        raise UsageError(f"MLflow database {redact(uri)} does not open: {reason}; check that it runs") from error


def _create_database(file: Path) -> None:
    """Create a database under another name first: MLflow can't open one whose creation was killed halfway."""
    from mlflow import MlflowClient

    unfinished = file.with_name(f"{file.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments(max_results=1)
    with suppress(FileExistsError):  # another process was faster
        os.link(unfinished, file)
    unfinished.unlink()


def is_passing(error: Exception) -> bool:
    """Return whether an error is transient: a server that is away or overloaded, a locked database."""
    import requests
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "IO_ERROR")
    return isinstance(error, requests.RequestException)


def quoted(text: str) -> str:
    """Quote a string for MLflow's filter language, which has no escapes.

    Raises:
        UsageError: when it holds both kinds of quotes.
    """
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise UsageError(f"{text!r} can't be looked up in MLflow: it holds both ' and \"")


def tag_is(tag: str, value: str) -> str:
    """Return the condition that a run has a tag, in MLflow's filter language."""
    return f"tags.`{tag}` = {quoted(value)}"
