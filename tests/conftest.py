"""What tests of several rooms need."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytest.register_assert_rewrite("spikefront.plugins.testing")  # before any test imports it

LONG = (
    "test_search_end_to_end",
    "engine/test_search",
    "test_failing_trials",
    "test_driver_kills",
    "test_counting_process",
    "compatibility",
    "test_usage",
    "test_process_group",
    "test_session",
    "test_onnx",
)
"""Parts of the names of test files that take longest: begun first, so that no process ends with one of them alone."""

SHADOWS = (
    *("ast", "calendar", "json", "lazy_loader", "numpy", "optuna", "pickle", "random", "ray", "re", "select"),
    *("sitecustomize", "token", "torch", "typing", "usercustomize", "uvloop", "yaml"),
)
"""Modules of Python, of our dependencies, and of nobody, which Python or a dependency imports where there is one."""

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
STARTS_WITHIN_S = 150.0
SERVER = ("server", "--backend-store-uri", "sqlite:///server.db")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the longest files first."""
    items.sort(key=lambda item: next((at for at, part in enumerate(LONG) if part in item.nodeid), len(LONG)))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Debian's Chromium, which nobody sees."""
    api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright (no browser needed)")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox refuses to run for root
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=root)
        yield browser
        browser.close()


class MlflowServer:
    """A real MLflow server on a port of its own, over SQLite, which can be killed and started again.

    Args:
        folder: where it runs: its database and log are there, and so are its artifacts.
        port: where it listens, on this machine only.
        arguments: ``mlflow``'s, up to the address.
    """

    def __init__(self, folder: Path, port: int, *arguments: str) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._command = [sys.executable, "-m", "mlflow", *arguments, "--host", "127.0.0.1", "--port", str(port)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it as if the user had set nothing up, and wait until it answers."""
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [*self._command, "--workers", "1"],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                env=clean | quiet,
                start_new_session=True,
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while not self._answers():
            assert time.monotonic() < deadline, self.log.read_text()
            assert self._process.poll() is None, self.log.read_text()
            time.sleep(0.1)

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self._folder / "server.log"

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        """Kill it with all its processes."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def shadowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make a folder whose Python files have the names of modules the current one; check that none of them ever ran."""
    folder = tmp_path / "shadowed"
    folder.mkdir()
    ran = tmp_path / "ran"
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"with open({str(ran)!r}, 'a') as file: file.write('{name} ')")
    monkeypatch.chdir(folder)
    yield folder
    assert not ran.exists(), ran.read_text()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return a port on which nobody listens."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find


@pytest.fixture(scope="module")
def start_mlflow(free_port: Callable[[], int]) -> Iterator[Callable[..., MlflowServer]]:
    """Start an MLflow server in a folder, and kill it after the last test of the module."""
    started: list[MlflowServer] = []

    def start(folder: Path, *arguments: str) -> MlflowServer:
        server = MlflowServer(folder, free_port(), *(arguments or SERVER))
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.kill()
