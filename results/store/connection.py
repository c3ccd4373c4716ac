"""Where runs are kept: which MLflow store and experiment, and whether it answers.

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

OBJECTIVES_TAG: Final = "search.objectives"
"""Tag of a search's run: its objectives as JSON, a list of the fields of each ``Objective``."""

QUALITY_TAG: Final = "search.quality"
"""Tag of a search's run: the task's own name for quality, for example ``accuracy``."""

ADDED_LATER: Final = ("test.", "confirmed.", "twin.")
"""Beginnings of the metrics that confirming, and comparing with twins, add to the runs of members."""

_SERVERS: Final = ("http", "https", "databricks")
_DATABASES: Final = ("postgresql", "mysql", "mssql")
_TIMEOUT_S: Final = 5
"""Longest wait for a sign of life before a search starts."""


def resolve_uri(uri: str | None = None) -> str:
    """Return where runs are kept: ``uri``, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in this folder.

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


def database_file(uri: str) -> Path | None:
    """Return the file of a resolved SQLite URI, or None for any other store."""
    return Path(uri.removeprefix("sqlite:///")) if _scheme(uri) == "sqlite" else None


def prepare_environment(uri: str) -> None:
    """Set MLflow's environment variables that the user has not set: no telemetry, no chatter, no minute-long retries.

    Has to come before MLflow is imported. The store retries by itself, in order, so MLflow need not.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one for each file
    if _scheme(uri) in _SERVERS:
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")


def check_store(uri: str | None = None) -> str:
    """Find out within a few seconds whether a server answers, or a database opens. Creates nothing.

    Args:
        uri: tracking URI; None means the default, see ``resolve_uri``.

    Returns:
        The resolved URI.

    Raises:
        UsageError: saying what was tried and what to do.
    """
    uri = resolve_uri(uri)
    scheme = _scheme(uri)
    prepare_environment(uri)
    if scheme == "sqlite":
        _check_sqlite(Path(uri.removeprefix("sqlite:///")))
    elif scheme in _SERVERS:
        _check_http(uri)
    elif scheme in _DATABASES:
        _check_database(uri, scheme)
    return uri


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
    """Ask the API itself, not a health page: that also finds wrong passwords and foreign servers."""
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


def open_client(uri: str) -> MlflowClient:
    """Open a store; a new SQLite database gets its tables, which takes more than a second."""
    prepare_environment(uri)
    from mlflow import MlflowClient

    file = database_file(uri)
    if file is not None and not file.exists():
        _create_database(file)
    return MlflowClient(tracking_uri=uri)


def _create_database(file: Path) -> None:
    """Make a database under another name first: MLflow can't open one whose making was killed halfway."""
    from mlflow import MlflowClient

    unfinished = file.with_name(f"{file.name}.{os.getpid()}.new")
    unfinished.unlink(missing_ok=True)
    MlflowClient(tracking_uri=f"sqlite:///{unfinished}").search_experiments(max_results=1)
    with suppress(FileExistsError):  # another process was faster
        os.link(unfinished, file)
    unfinished.unlink()


def find_experiment(client: MlflowClient, name: str | None) -> str | None:
    """Return the id of the experiment that plain MLflow would use here, or of the one named; None if there is none.

    Args:
        client: an open store.
        name: its name; None means ``MLFLOW_EXPERIMENT_NAME``, ``MLFLOW_EXPERIMENT_ID`` or else ``Default``.
    """
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if name is None and (by_id := os.environ.get("MLFLOW_EXPERIMENT_ID")):
        return by_id
    found = client.get_experiment_by_name(name or "Default")
    if found is None:
        return None
    if found.lifecycle_stage != "active":
        raise UsageError(f"MLflow experiment {found.name!r} is deleted; restore it or choose another")
    return str(found.experiment_id)


def ensure_experiment(client: MlflowClient, name: str | None) -> str:
    """Return the experiment's id as ``find_experiment`` does, and create it when there is none."""
    from mlflow.exceptions import MlflowException

    found = find_experiment(client, name)
    if found is not None:
        return found
    try:
        return str(client.create_experiment(name or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"))
    except MlflowException as error:
        found = find_experiment(client, name)  # another process may have been faster
        if found is None:
            raise error
        return found


def is_passing(error: Exception) -> bool:
    """Say whether an error is likely to pass: a server that is away or overloaded, a locked database."""
    import requests
    from mlflow.exceptions import MlflowException

    if isinstance(error, MlflowException):
        return error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "IO_ERROR")
    return isinstance(error, requests.RequestException)


def quoted(text: str) -> str:
    """Quote a string for MLflow's filter language, which knows no escapes.

    Raises:
        UsageError: when it holds both kinds of quotes.
    """
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    raise UsageError(f"{text!r} can't be looked up in MLflow: it holds both ' and \"")


def find_run(client: MlflowClient, experiment: str, search: str, number: int) -> str | None:
    """Return the id of a search's newest run for a trial number, or None.

    Args:
        client: an open store.
        experiment: the experiment's id.
        search: the search's name.
        number: the trial's number.
    """
    wanted = f"tags.search = {quoted(search)} and tags.`trial.number` = '{number}'"
    runs = client.search_runs([experiment], wanted, max_results=1)
    return str(runs[0].info.run_id) if runs else None
