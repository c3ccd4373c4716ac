"""Whether a store answers: checked within seconds, before a search or a query begins, and creating nothing."""

from __future__ import annotations

import os
import sqlite3
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from spikefront.results.store.address import DATABASES, DEFAULT_URI, SERVERS, scheme_of, sqlite_file
from spikefront.searchspace import UsageError
from spikefront.searchspace.secrets import redact, redact_address
from spikefront.searchspace.targets import is_writable

_CONNECT_S: Final = 5
"""Longest wait for a connection, and for the lock of a SQLite file."""
_ANSWER_S: Final = 20
"""Longest wait for an answer, as later for each request: a server that is merely slow is not refused."""

_PACKAGES: Final = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "pymysql": "PyMySQL",
}
"""Packages that provide a driver, where their names differ."""
_DRIVERS: Final = {
    "postgresql": ("psycopg", "psycopg2", "asyncpg", "pg8000"),
    "mysql": ("MySQLdb", "pymysql"),
    "mssql": ("pyodbc", "pymssql"),
}
"""Modules of drivers, the default first; all but ``MySQLdb`` are what stands behind the ``+`` of a scheme."""


def check_store(uri: str) -> None:
    """Check that the store of a resolved URI answers.

    Raises:
        UsageError: with what was tried and what to do.
    """
    scheme = scheme_of(uri)
    file = sqlite_file(uri)
    if file is not None:
        _check_sqlite(file, uri)
    elif scheme in SERVERS:
        _check_http(uri, scheme)
    elif scheme in DATABASES:
        _check_database(uri, scheme)


def _check_sqlite(file: Path, uri: str) -> None:
    other = "choose another with --tracking-uri"
    if not os.path.isdir(file.parent):
        raise UsageError(f"MLflow store {file}: folder {file.parent} does not exist; create it or choose another store")
    if not (os.access(file, os.W_OK) if os.path.exists(file) else is_writable(file.parent)):
        raise UsageError(f"MLflow store {file} can't be written; {other}")
    if "?" in uri:
        _check_query(uri)
    if not os.path.exists(file):
        return
    try:
        connection = sqlite3.connect(file, timeout=_CONNECT_S)
        try:
            connection.execute("PRAGMA schema_version")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UsageError(f"MLflow store {file} does not open: {error}; {other}") from error


def _check_query(uri: str) -> None:
    """Try the options behind the question mark on a database in memory."""
    import sqlalchemy

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", sqlalchemy.exc.SAWarning)  # of options that are ignored
            engine = sqlalchemy.create_engine(sqlalchemy.make_url(uri).set(database=":memory:"))
            engine.connect().close()
            engine.dispose()
    except (sqlalchemy.exc.SQLAlchemyError, sqlalchemy.exc.SAWarning, sqlite3.Error, TypeError, ValueError) as error:
        query, reason = redact_address(uri).partition("?")[2], redact(_first_line(error))
        raise UsageError(f"tracking URI: SQLite takes no {query!r} ({reason}); leave it out") from None


def _check_http(uri: str, scheme: str) -> None:
    """Request the API itself, not a health page, which also detects wrong passwords and other servers."""
    import requests
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.databricks_utils import get_databricks_host_creds
    from mlflow.utils.logging_utils import suppress_logs_in_thread
    from mlflow.utils.rest_utils import http_request

    shown = redact_address(uri)
    try:
        with suppress_logs_in_thread():  # of credentials that are not there
            credentials = get_databricks_host_creds(uri) if scheme == "databricks" else get_default_host_creds(uri)
        answer = http_request(
            credentials,
            "/api/2.0/mlflow/experiments/search",
            "GET",
            params={"max_results": 1},
            max_retries=0,
            timeout=_ANSWER_S if scheme == "databricks" else (_CONNECT_S, _ANSWER_S),
            raise_on_status=False,
        )
    except (MlflowException, requests.RequestException, ValueError) as error:
        todo = f"start it (mlflow server), or leave --tracking-uri out to use {DEFAULT_URI}"
        limit = _ANSWER_S if "read timed out" in str(error).lower() else _CONNECT_S
        raise UsageError(f"MLflow server {shown} does not answer within {limit} s; {todo}") from without_secrets(error)
    if answer.status_code in (401, 403):
        todo = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or the server's --allowed-hosts"
        raise UsageError(f"MLflow server {shown} refuses us (HTTP {answer.status_code}); {todo}")
    if answer.status_code != 200 or not answer.text.lstrip().startswith("{"):
        raise UsageError(f"{shown} answers, but not as an MLflow server (HTTP {answer.status_code}); check the address")


def _check_database(uri: str, scheme: str) -> None:
    import sqlalchemy

    shown = redact_address(uri)
    limit = {"timeout": _CONNECT_S} if scheme == "mssql" else {"connect_timeout": _CONNECT_S}
    try:
        engine = sqlalchemy.create_engine(uri, connect_args=limit)
        engine.connect().close()
        engine.dispose()
    except ModuleNotFoundError as error:
        raise UsageError(_driver_missing(shown, scheme, str(error.name))) from without_secrets(error)
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, ValueError, TypeError) as error:
        reason = redact(_first_line(error))
        raise UsageError(f"MLflow database {shown} does not open: {reason}; check that it runs") from without_secrets(
            error
        )


def _driver_missing(shown: str, scheme: str, module: str) -> str:
    """Return what to do about the driver of a database that is not installed."""
    package = _PACKAGES.get(module, module)
    others = [name for name in _DRIVERS[scheme] if name not in (module, "MySQLdb") and find_spec(name) is not None]
    todo = f"pip install '{package}'" if "[" in package else f"pip install {package}"
    if others:
        todo += f", or write {scheme}+{others[0]}://, whose driver is installed"
    elif scheme == "postgresql" and module == "psycopg":
        todo += ", or psycopg2-binary for postgresql+psycopg2://"
    missing = f"its driver {module} is not installed ({todo})"
    return f"MLflow database {shown} does not open: {missing}; check that it runs, too"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def without_secrets(error: BaseException) -> BaseException | None:
    """Return an error as the cause of another, or None if its text, or that of its own causes, holds a password."""
    link: BaseException | None = error
    while link is not None:
        if redact(str(link)) != str(link):
            return None
        link = link.__cause__ or link.__context__
    return error
