"""The connection to an MLflow store and experiment: resolved and opened once, then handed on.

MLflow itself is imported inside functions: it takes more than a second.
"""

from __future__ import annotations

import os
import re
import socket
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from spikefront.results.store.address import SERVERS, scheme_of, sqlite_file, sqlite_uri
from spikefront.results.store.address import resolve_uri as resolve_uri
from spikefront.results.store.reachable import check_store, without_secrets
from spikefront.searchspace import UsageError
from spikefront.searchspace.errors import shown
from spikefront.searchspace.options import line
from spikefront.searchspace.secrets import redact as redact
from spikefront.searchspace.secrets import redact_address

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_UNFINISHED: Final = "new"
"""Suffix of a database that is being made."""


def prepare_environment(uri: str) -> None:
    """Set MLflow's environment variables that the user has not set: no telemetry, no messages, no minute-long retries.

    Call it before MLflow is imported. The recorder retries by itself, in order.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")  # one for each file
    if scheme_of(uri) in SERVERS:
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
        return redact_address(self.uri)

    @property
    def file(self) -> Path | None:
        """The file of a SQLite store; None of any other."""
        return sqlite_file(self.uri)

    def check(self) -> None:
        """Check within a few seconds that the server answers, or the database opens. Creates nothing.

        Raises:
            UsageError: with what was tried and what to do.
        """
        self._check_variables()
        prepare_environment(self.uri)
        check_store(self.uri)

    def _check_variables(self) -> None:
        """Raise ``UsageError`` for what can't be the experiment that MLflow's variables name."""
        column, value = self.wanted
        if column == "experiment_id" and scheme_of(self.uri) not in SERVERS and not re.fullmatch("[0-9]+", value):
            raise UsageError(f"MLFLOW_EXPERIMENT_ID {shown(value)} is not the id of an experiment, which is a number")
        try:
            line(value)
        except ValueError as error:
            raise UsageError(
                f"MLFLOW_EXPERIMENT_{'NAME' if column == 'name' else 'ID'} {shown(value)} {error}"
            ) from None

    @property
    def client(self) -> MlflowClient:
        """MLflow's client; opened at first use. A new SQLite database gets its tables, which takes seconds."""
        if self._client is None:
            prepare_environment(self.uri)
            from mlflow import MlflowClient

            if self.file is not None:
                _tidy(self.file)
                if not os.path.exists(self.file):
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
        if self.file is not None and not os.path.exists(self.file):
            raise self.nothing_found()
        self._home = self.find_experiment()
        if self._home is None:
            raise self.nothing_found()

    def nothing_found(self) -> UsageError:
        """Return the error for a store without any search."""
        return UsageError(f"no search found in {self.shown}; run: spikefront run --task digits")

    def open_for_writing(self) -> None:
        """Open the store and the experiment, create what does not exist, and say what can't be opened.

        A server that is away for a moment, or a database that is locked, is left to those who write, and try again.

        Raises:
            UsageError: when the store will not open later either.
        """
        from mlflow.utils.logging_utils import suppress_logs_in_thread

        try:
            with suppress_logs_in_thread():  # each table of a new database, and the new experiment
                self.ensure()
        except UsageError:
            raise
        except Exception as error:  # whatever a store raises
            reason = redact(str(error).strip().partition("\n")[0])
            if is_passing(error) and (scheme_of(self.uri) in SERVERS or "locked" in reason):
                return
            todo = "choose another with --tracking-uri"
            raise UsageError(f"MLflow store {self.shown} does not open: {reason}; {todo}") from without_secrets(error)

    def ensure(self) -> None:
        """Open the store and the experiment; create what does not exist."""
        prepare_environment(self.uri)
        from mlflow.exceptions import MlflowException

        self._home = self.find_experiment()
        if self._home is not None:
            return
        name = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
        try:
            self._home = str(self.client.create_experiment(name, artifact_location=self._artifact_location()))
        except MlflowException as error:
            self._home = self.find_experiment()  # another process may have been faster
            if self._home is None:
                raise error

    def _artifact_location(self) -> str | None:
        """Return where the artifacts of a new experiment go; None for where MLflow puts them by itself."""
        if self.file is None or "%" not in str(Path.cwd()):
            return None
        return f"{_encoded_artifacts()}/{uuid4().hex}"

    @property
    def wanted(self) -> tuple[str, str]:
        """The column of MLflow's table ``experiments`` by which the experiment is known, and its value there."""
        name = self.experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if name is None and (by_id := os.environ.get("MLFLOW_EXPERIMENT_ID")):
            return "experiment_id", by_id
        return "name", name or "Default"

    def find_experiment(self) -> str | None:
        """Return the id of the experiment; None where it does not exist."""
        column, value = self.wanted
        found = self._by_id(value) if column == "experiment_id" else self.client.get_experiment_by_name(value)
        if found is None:
            return None
        if found.lifecycle_stage != "active":
            raise UsageError(f"MLflow experiment {found.name!r} is deleted; restore it or choose another")
        return str(found.experiment_id)

    def _by_id(self, value: str) -> Experiment:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_experiment(value)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise UsageError(f"{self.shown} has no experiment of the id in MLFLOW_EXPERIMENT_ID: {value}") from error


def _create_database(file: Path) -> None:
    """Create a database under another name first: MLflow can't open one whose creation was killed halfway."""
    from mlflow import MlflowClient

    unfinished = file.with_name(f"{file.name}.{socket.gethostname()}.{os.getpid()}.{_UNFINISHED}")
    uri = sqlite_uri(str(unfinished))
    if "%" in str(Path.cwd()):
        _create_with_encoded_artifacts(uri)
    else:
        MlflowClient(tracking_uri=uri).search_experiments(max_results=1)
    with suppress(FileExistsError):  # another process was faster
        os.link(unfinished, file)
    unfinished.unlink()


def _create_with_encoded_artifacts(uri: str) -> None:
    """Create a database whose artifacts go to ``mlruns`` in this folder, whose path MLflow decodes like a URI."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri, _encoded_artifacts())


def _encoded_artifacts() -> str:
    return str(Path.cwd() / "mlruns").replace("%", "%25")


def _tidy(file: Path) -> None:
    """Delete what processes of this machine left that were killed while they created the database."""
    for path in file.parent.glob(f"{escape(file.name)}.*.{_UNFINISHED}*"):
        *host, pid = path.name.removeprefix(f"{file.name}.").partition(f".{_UNFINISHED}")[0].split(".")
        if pid.isdecimal() and ".".join(host) in ("", socket.gethostname()) and not _is_alive(int(pid)):
            with suppress(OSError):
                path.unlink()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


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
