"""Tracking URIs: which MLflow store an address means, and the file of a SQLite store."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from spikefront.searchspace import UsageError
from spikefront.searchspace.secrets import HIDDEN, redact_address, remember

DEFAULT_URI: Final = "sqlite:///mlflow.db"
SERVERS: Final = ("http", "https", "databricks")
DATABASES: Final = ("postgresql", "mysql", "mssql")

_SQLITE: Final = re.compile(r"(?is)(sqlite(?:\+\w+)?)://(/?)(.*)")
_QUERY: Final = re.compile(r"\w+=[^&]*(&\w+=[^&]*)*")


def resolve_uri(uri: str | None = None) -> str:
    """Return the tracking URI: ``uri``, else ``MLFLOW_TRACKING_URI``, else ``mlflow.db`` in this folder.

    A SQLite path is made absolute, since MLflow keeps stores by URI for as long as the process lives. The passwords of
    the URI are hidden from now on.

    Raises:
        UsageError: for a URI that MLflow has no store for, or that it would read otherwise than it is meant.
    """
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    remember(uri)
    scheme, shown = scheme_of(uri), redact_address(uri)
    if HIDDEN in uri:
        raise UsageError(f"tracking URI {shown!r}: {HIDDEN} stands for what is not shown; give the whole address")
    if scheme == "sqlite":
        return _resolved_sqlite(uri)
    if scheme in ("", "file"):
        raise UsageError(f"tracking URI {shown!r} is a folder, which MLflow no longer writes; use {DEFAULT_URI}")
    known = {"sqlite", *SERVERS, *DATABASES} | {point.name for point in entry_points(group="mlflow.tracking_store")}
    if scheme not in known:
        near = "".join(f" Did you mean {name!r}?" for name in get_close_matches(scheme, known, 1, 0.75))
        names = ", ".join(sorted(known))
        raise UsageError(f"tracking URI {shown!r}: MLflow has no store for {scheme!r};{near} known: {names}")
    _refuse_misread(uri, scheme)
    return uri


def scheme_of(uri: str) -> str:
    """Return ``postgresql`` for ``postgresql+psycopg2://...``, and an empty scheme for a path."""
    if uri == "databricks":
        return uri
    match = re.match(r"([A-Za-z][A-Za-z0-9.\-]*)(\+[A-Za-z0-9_]+)?:", uri)
    return match[1].lower() if match else ""


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a resolved URI; None for another than SQLite's."""
    found = _SQLITE.fullmatch(uri)
    return None if found is None else Path(_decoded(found[3].partition("?")[0]))


def sqlite_uri(file: str, query: str = "") -> str:
    """Return the URI of a SQLite file, whatever its path holds.

    Raises:
        UsageError: when the version of SQLAlchemy that is installed has no way to write that path.
    """
    tail = f"?{query}" if query else ""
    if not set(file) & {"%", "?"}:
        return f"sqlite:///{file}{tail}"
    # With the driver's name MLflow does not make the folder of the path as it is written here, encoded.
    for path in (file.replace("%", "%25").replace("?", "%3F"), file):
        if "?" not in path and _decoded(path) == file:
            return f"sqlite+pysqlite:///{path}{tail}"
    raise UsageError(f"MLflow store {file}: SQLAlchemy can't open a path with '?'; choose another with --tracking-uri")


def _decoded(path: str) -> str:
    """Return the path that SQLAlchemy reads: from version 2.1 on it is percent-encoded."""
    if "%" not in path:
        return path
    from sqlalchemy.engine import make_url

    return make_url(f"sqlite:///{path}").database or ""


def _resolved_sqlite(uri: str) -> str:
    found = _SQLITE.fullmatch(uri)
    rest = found[3] if found is not None and found[2] else ""
    path, _, query = rest.partition("?")
    if query and not _QUERY.fullmatch(query):  # the path itself holds a question mark
        path, mark, query = rest.rpartition("?")
        if not _QUERY.fullmatch(query) or "/" in query:
            path, query = f"{path}{mark}{query}", ""
    if path in ("", ":memory:") or path.startswith("file:"):
        raise UsageError(f"tracking URI {redact_address(uri)!r} names no file; use for example {DEFAULT_URI}")
    decoded = _decoded(path)
    if not os.path.isdir(Path(decoded).parent) and os.path.isdir(Path(path).parent):  # it was not encoded
        decoded = path
    return sqlite_uri(os.path.abspath(decoded), query)


def _refuse_misread(uri: str, scheme: str) -> None:
    """Refuse a user name or password with characters at which SQLAlchemy or requests would cut the address."""
    shown = redact_address(uri)
    try:
        split = urlsplit(uri)
        _ = split.port
    except ValueError as error:
        reason = "its port is not a number" if "port" in str(error).lower() else "it is not a URI"
        hint = "; in a user name or password, write / @ : ? # as %2F %40 %3A %3F %23" if f"{HIDDEN}@" in shown else ""
        if scheme not in DATABASES or not hint:
            raise UsageError(f"tracking URI {shown!r}: {reason}{hint}") from None
    if scheme in DATABASES:
        _, at, host = uri.partition("?")[0].partition("://")[2].partition("@")
        if at and "@" in host:
            raise UsageError(f"tracking URI {shown!r}: in a user name or password, write @ as %40")
    elif scheme != "databricks" and not split.hostname:
        raise UsageError(f"tracking URI {shown!r} names no server; use for example http://127.0.0.1:5000")
    elif f"//{HIDDEN}@" in shown and "@" not in split.netloc and not split.port:
        raise UsageError(f"tracking URI {shown!r}: in a user name or password, write / ? # as %2F %3F %23")
