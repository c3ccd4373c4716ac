"""Passwords of addresses: hidden in each form in which SQLAlchemy and MLflow read them, and nothing else is."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from spikefront.searchspace import secrets
from spikefront.searchspace.secrets import has_hidden, redact, redact_address, redact_values, remember

# Every character that means something in an address, and some that do not; the ends show what is left of a password.
PASSWORDS = st.text("ab1/@:?#&=;%+ .-_~!$'\"ü[]{}", min_size=1, max_size=12).map(lambda text: f"Q7{text}Z9")
NAMES = st.sampled_from(["password", "passwd", "pwd", "sslpassword", "access_token", "token", "PASSWORD", "api_key"])
DATABASES = st.sampled_from(["postgresql", "postgresql+psycopg2", "mysql+pymysql", "mssql+pyodbc"])


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", set())
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def forms(password: str) -> Iterator[str]:
    yield from (password, quote(password, safe=""), quote_plus(password), json.dumps(password)[1:-1])


def shows(text: str, password: str) -> bool:
    """Return whether a text shows a password or either end of it."""
    return any(form in text for form in forms(password)) or "Q7" in text or "Z9" in text


@given(DATABASES, PASSWORDS, st.booleans())
def test_a_password_before_the_host_is_hidden_as_it_is_and_encoded(scheme: str, password: str, encoded: bool) -> None:
    written = quote(password, safe="") if encoded else password
    uri = f"{scheme}://me:{written}@host:5432/db?timeout=60"
    assert redact_address(uri) == f"{scheme}://***@host:5432/db?timeout=60"
    assert not shows(redact_address(f"https://me:{written}@host/base"), password)
    assert not shows(redact_address(f"https://{quote(password, safe='')}@host"), password)  # a token


@given(DATABASES, PASSWORDS, NAMES)
def test_a_password_in_the_query_is_hidden(scheme: str, password: str, name: str) -> None:
    uri = f"{scheme}://host/db?user=me&{name}={quote_plus(password)}&timeout=60"
    assert make_url(uri).query[name] == password
    assert redact_address(uri) == redact(uri) == f"{scheme}://host/db?user=me&{name}=***&timeout=60"


@given(PASSWORDS.filter(lambda text: not set(text) & set(";{}")), st.sampled_from(["PWD", "Password", "pwd"]))
def test_a_password_in_a_connection_string_is_hidden(password: str, name: str) -> None:
    connection = f"DRIVER=ODBC 18;SERVER=host;UID=me;{name}={password}"
    uri = f"mssql+pyodbc:///?odbc_connect={quote_plus(connection)}"
    assert redact_address(uri) == redact(uri) == "mssql+pyodbc:///?odbc_connect=***"
    remember(uri)
    assert not shows(redact(f"can't connect with {password!r} by {connection}"), password)


@given(DATABASES, PASSWORDS, st.sampled_from(["@", "?"]))
def test_what_is_remembered_is_hidden_in_every_text(scheme: str, password: str, place: str) -> None:
    written = quote(password, safe="")
    uri = f"{scheme}://me:{written}@host/db" if place == "@" else f"{scheme}://host/db?password={written}"
    remember(uri)
    texts = [
        f"OperationalError: password {password} is wrong",
        f"failed for {uri} and {make_url(uri).render_as_string(hide_password=False)}",
        f"Basic {base64.b64encode(f'me:{password}'.encode()).decode()}" if place == "@" else "",
        repr({"password": password, "host": "host"}),
        json.dumps({"uri": uri, "plain": password}),
        repr(URL.create(scheme, "me", password, "host").translate_connect_args()),
    ]
    for text in texts:
        assert not shows(redact(text), password), text
    assert "OperationalError" in redact(texts[0])


@pytest.mark.parametrize(
    ("uri", "hidden"),
    [
        ("postgresql://user:pa/ss@host/db", "postgresql://***@host/db"),
        ("postgresql://u:p@ss@host", "postgresql://***@host"),
        ("postgresql://h/db?pass%77ord=secret", "postgresql://h/db?pass%77ord=***"),
        ("http://host?proxy=http%3A%2F%2Fme%3Asecret%40other", "http://host?proxy=***"),
        ("me:secret@host/db", "***@host/db"),  # the scheme is forgotten
        ("mysql://h/db?passwd=a&ssl_ca=/ca.pem", "mysql://h/db?passwd=***&ssl_ca=/ca.pem"),
    ],
)
def test_forms_that_are_easily_missed(uri: str, hidden: str) -> None:
    assert redact_address(uri) == hidden
    assert has_hidden(hidden)
    assert redact_address(hidden) == hidden


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:////home/me@work/mlflow.db?timeout=60",
        "http://127.0.0.1:5000",
        "http://[::1]:5000/x@y",
        "postgresql://me@host/db",  # a user name without a password
        "databricks://profile",
        "--set backbone.x.token_mixing=3 training.passes=2",
        "trial 3 failed (wrong password: try again)",
        "see mlflow.org, or write to a@b",
    ],
)
def test_what_holds_no_password_stays_as_it_is(text: str) -> None:
    assert redact(text) == redact_address(text) == text
    assert not has_hidden(text)


def test_a_password_that_is_a_word_leaves_longer_words_alone() -> None:
    remember("postgresql://postgres:postgres@host/postgres")
    assert redact("the database postgres of postgresql+psycopg2 is away") == (
        "the database *** of postgresql+psycopg2 is away"
    )


def test_passwords_of_the_environment_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cr3t/x")
    assert redact("tried s3cr3t/x and s3cr3t%2Fx") == "tried *** and ***"


def test_json_is_redacted_at_any_depth() -> None:
    value = {"options": {"tracking_uri": "postgresql://u:a b@h", "n": 1}, "said": ["see https://u:p@h", None, 0.5]}
    assert redact_values(value) == {
        "options": {"tracking_uri": "postgresql://***@h", "n": 1},
        "said": ["see https://***@h", None, 0.5],
    }


def test_sqlalchemy_reads_a_second_at_as_part_of_the_host() -> None:
    """The reason for which such an address is refused: what follows is looked up as the name of a host, and shown."""
    assert make_url("postgresql://u:p@ss@host/db").host == "ss@host"
    with pytest.raises((ArgumentError, ValueError)):
        make_url("postgresql://u:p@host:port/db")


def test_what_a_library_logs_is_redacted(caplog: pytest.LogCaptureFixture) -> None:
    make = logging.getLogRecordFactory()
    secrets.redact_logs()
    try:
        logging.getLogger("mlflow").warning("no answer from %s at try %d", "http://me:secret@host", 2)
        logging.getLogger("mlflow").warning("100 %")
    finally:
        logging.setLogRecordFactory(make)
    assert [record.getMessage() for record in caplog.records] == ["no answer from http://***@host at try 2", "100 %"]
