"""Passwords: hidden in everything that is stored, printed, uploaded or exported.

``redact`` works on any text. It knows the forms in which SQLAlchemy and MLflow take a password within an address, and
the passwords themselves once ``remember`` has seen the address, so that an error that quotes one alone hides it, too.
"""

from __future__ import annotations

import base64
import html
import json
import logging
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN: Final = "***"
"""What stands in place of a password."""

_SECRET: Final = (
    r"pass(?:word|wd|phrase|code)?|pwd|(?:auth|access|bearer|session|id)?[_\- ]?token|secret|credentials?|authorization"
    r"|(?:api|access|account|private|secret|shared|storage)[_\- ]?(?:access[_\- ]?)?key|signature|sig"
)
_NAME: Final = re.compile(rf"(?is)(?:.*[_\-. ;]|ssl|user|client|db|wallet|key|my|pg)?(?:{_SECRET})")
"""Name of a part of an address's query whose value is a password."""
_WHOLE: Final = frozenset({"odbc_connect", "dsn", "conninfo", "connection_string", "connect_args"})
"""Names of parts that hold a whole connection string, perhaps with a password."""
_SETTING: Final = re.compile(
    r"(?i)(?<![\w-])(['\"]?(?:ssl|db|user)?(?:password|passwd|passphrase|pwd|(?:access|auth|bearer)[_\- ]?token)['\"]?"
    r"\s*(?:=|%3D|(?<=['\"])\s*:)\s*)"
    r"(\{[^}]*\}|'[^']*'|\"[^\"]*\"|(?:(?!%3B|%26)[^\s&;,'\"])+)"
)
"""A password in a connection string (``PWD=...``), percent-encoded or not, or in a mapping (``'password': ...``)."""
_IN_CONNECTION: Final = re.compile(r"(?i)(?:password|passwd|pwd|token)\s*=\s*(\{[^}]*\}|[^;]*)")
"""A password in a connection string of ODBC, where it ends at a semicolon."""
_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://(\S+)")
_DATABASES: Final = ("postgres", "mysql", "mssql", "sqlite", "oracle")
_VARIABLES: Final = (
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "DATABRICKS_TOKEN",
    "DATABRICKS_CLIENT_SECRET",
    "DATABRICKS_PASSWORD",
)
_UNENCODED: Final = ("", "/", " +", "!#$%&'()*+,/:;=?@[]~")
"""Characters that are left as they are by urllib with and without slash, by SQLAlchemy and by requests."""
_SHORTEST: Final = 3
"""Shorter ones are hidden where they stand in an address, and nowhere else: as words they are everywhere."""
_DISTINCT: Final = 8
"""From this length on a password that is not a word is hidden within words as well."""

_known: set[str] = set()


def redact(text: str) -> str:
    """Return a text with ``***`` in place of each password, and of the user name of each address that has one."""
    for secret in sorted({*_known, *_of_environment()}, key=len, reverse=True):
        if len(secret) >= _DISTINCT and not secret.isalpha():
            text = text.replace(secret, HIDDEN)
        elif secret in text:
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", HIDDEN, text)
    text = _ADDRESS.sub(lambda found: f"{found[1]}://{_hidden(found[1], found[2])}", text)
    return _SETTING.sub(lambda found: f"{found[1]}{HIDDEN}", text)


def redact_address(uri: str) -> str:
    """Return an address with ``***`` in place of user name and password.

    Other than in a text, where an address ends with a blank, all of it is the address.
    """
    scheme, separator, rest = uri.partition("://")
    found = f"{scheme}://{_hidden(scheme, rest)}" if separator else _hidden("", uri)
    return _SETTING.sub(lambda found: f"{found[1]}{HIDDEN}", found)


def redact_values(value: Any) -> Any:
    """Return a value as JSON has it with each text in it redacted; those called ``tracking_uri`` are addresses."""
    if isinstance(value, dict):
        return {
            key: redact_address(found) if key == "tracking_uri" and isinstance(found, str) else redact_values(found)
            for key, found in value.items()
        }
    if isinstance(value, list):
        return [redact_values(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def redacted_command(arguments: Iterable[str]) -> str:
    """Return a command line as a shell reads it, but for the passwords in it."""
    stand_in = "@_@"  # which a shell takes as it is, other than asterisks
    return shlex.join(redact(argument).replace(HIDDEN, stand_in) for argument in arguments).replace(stand_in, HIDDEN)


def redact_logs() -> None:
    """Redact what any library of this process logs from now on."""
    make = logging.getLogRecordFactory()
    if getattr(make, "redacts", False):
        return

    def redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # a faulty call, which logging reports itself
            return record
        if (clean := redact(text)) != text:
            record.msg, record.args = clean, None
        return record

    redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacted)


def has_hidden(uri: str) -> bool:
    """Return whether an address was stored without its password."""
    return HIDDEN in uri


def remember(uri: str) -> None:
    """Hide the passwords of an address from now on wherever they appear, in each form that they may take."""
    for secret in _secrets(uri):
        for plain in {secret, unquote(secret), unquote_plus(secret)}:
            _known.update(form for form in _forms(plain) if len(form) >= _SHORTEST and form != HIDDEN)


def _of_environment() -> Iterator[str]:
    for name in _VARIABLES:
        if len(value := os.environ.get(name, "")) >= _SHORTEST:
            yield from _forms(value)


def _forms(secret: str) -> set[str]:
    """Return a password as URIs, JSON, HTML and Python's ``repr`` write it."""
    encoded = {quote_plus(secret), *(quote(secret, safe=safe) for safe in _UNENCODED)}
    lower = {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in encoded}
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], html.escape(secret)}
    return {secret, repr(secret)[1:-1], *escaped, *encoded, *lower, *map(quote, encoded)}


def _secrets(uri: str) -> Iterator[str]:
    """Yield the passwords of an address: as written, and as SQLAlchemy and urllib read them."""
    scheme, rest = uri.split("://", 1) if "://" in uri else ("", uri)
    user = rest[: _user_ends(scheme, rest)]
    name, colon, password = user.partition(":")
    if user:
        yield password if colon else name
        yield base64.b64encode(f"{unquote(name)}:{unquote(password)}".encode()).decode()
    if "@" in password:  # SQLAlchemy ends the password at the first one, and takes the rest for the host
        yield from (part for part in re.split("[@/]", password) if len(part) >= _SHORTEST)
    for key, value in _query(rest):
        if not _is_secret(key, value):
            continue
        yield value
        for level in _levels(value):
            yield from (found[1].strip("{} ") for found in _IN_CONNECTION.finditer(level))
            yield from (found[2].strip("{}'\"") for found in _SETTING.finditer(level))


def _hidden(scheme: str, rest: str) -> str:
    """Hide what is secret in the part of an address behind its scheme."""
    if end := _user_ends(scheme, rest):
        rest = f"{HIDDEN}{rest[end:]}"
    head, mark, query = rest.partition("?")
    if not mark:
        return rest
    parts = re.split("(&)", query)
    return head + mark + "".join(_part_hidden(part) for part in parts)


def _part_hidden(part: str) -> str:
    key, equals, value = part.partition("=")
    return f"{key}={HIDDEN}" if equals and value and _is_secret(key, value) else part


def _query(rest: str) -> Iterator[tuple[str, str]]:
    for part in rest.partition("?")[2].split("&"):
        key, equals, value = part.partition("=")
        if equals and value:
            yield key, value


def _is_secret(key: str, value: str) -> bool:
    key, value = _decoded(key).strip(), _decoded(value)
    hides = _SETTING.search(value) is not None or ("://" in value and redact_address(value) != value)
    return key.lower() in _WHOLE or _NAME.fullmatch(key) is not None or hides


def _decoded(text: str) -> str:
    """Decode percent-encoding, also where it was applied several times."""
    *_, last = _levels(text)
    return last


def _levels(text: str) -> Iterator[str]:
    """Yield a text as it is, and with its percent-encoding decoded once, twice and three times."""
    yield text
    for _ in range(3):
        text = unquote_plus(text)
        yield text


def _user_ends(scheme: str, rest: str) -> int:
    """Return where user name and password end in what follows ``://``: at the ``@``, or 0 where there is neither.

    A password may hold ``/``, ``?``, ``#`` and ``@``: it ends at the last ``@``, since hiding too much costs nothing.
    A user name alone is a token to a server, and not a secret to a database.
    """
    if rest.startswith(("/", "[")):  # a path, an IPv6 host
        return 0
    if re.match("[^/?#@:]*:", rest):
        return max(0, rest.rfind("@"))
    found = re.match("[^/?#]*@", rest)
    return found.end() - 1 if found and scheme and not scheme.lower().startswith(_DATABASES) else 0
