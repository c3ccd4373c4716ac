"""Networks as MLflow models: loaded and served by MLflow, they answer what the network answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikefront.plugins import Registry, SearchData
from spikefront.runners.deploy.export import export_model
from spikefront.runners.deploy.model import Model, load
from spikefront.runners.judging.judge import Judgement
from spikefront.searchspace import UsageError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow", "ignore::UserWarning:mlflow")

Trained = Callable[..., tuple[Judgement, Model]]
SERVED = 100


@pytest.fixture
def exported(trained: Trained, data: SearchData, registry: Registry, tmp_path: Path) -> Path:
    """Return the folder of a small network of digits."""
    _, model = trained(backbone="mlp")
    export_model(model, tmp_path / "net", "mlflow", registry=registry, data=data)
    return tmp_path / "net"


def test_mlflow_loads_it_with_signature_and_example(exported: Path, data: SearchData) -> None:
    import mlflow
    from mlflow.models import Model as Described

    inputs = data.validation.inputs[:SERVED].numpy()
    model = mlflow.pyfunc.load_model(str(exported))
    expected = load(exported / "data" / "network.pt").predict(inputs).numpy()
    assert np.array_equal(model.predict(inputs), expected)
    assert len(set(expected.tolist())) > 2
    (taken,), (given,) = model.metadata.signature.inputs.inputs, model.metadata.signature.outputs.inputs
    assert (taken.type, taken.shape, given.type, given.shape) == (np.uint8, (-1, 1, 8, 8), np.int64, (-1,))
    example: Any = Described.load(str(exported)).load_input_example(str(exported))
    assert np.array_equal(example, inputs[:2])
    card = exported.with_name("net.card.md").read_text()
    assert 'mlflow.pyfunc.load_model("net")' in card
    assert "mlflow models serve --model-uri net" in card


@pytest.mark.slow
def test_what_the_signature_does_not_allow_is_refused(exported: Path) -> None:
    import mlflow

    model = mlflow.pyfunc.load_model(str(exported))
    with pytest.raises(mlflow.exceptions.MlflowException, match="Shape of input"):
        model.predict(np.zeros((2, 1, 9, 9), dtype=np.uint8))


def test_a_file_or_a_folder_that_exists_is_refused(exported: Path, trained: Trained, data: SearchData) -> None:
    _, model = trained(backbone="mlp")
    (exported.parent / "file").write_text("mine")
    for path, message in ((exported, "is a folder; name a file in it"), (exported.parent / "file", "is a file, and")):
        with pytest.raises(UsageError, match=message):
            export_model(model, path, "mlflow", registry=None, data=data)  # type: ignore[arg-type]
    assert (exported.parent / "file").read_text() == "mine"


@pytest.mark.slow
def test_a_server_answers_as_the_network_does(
    exported: Path, data: SearchData, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port, inputs = free_port(), data.validation.inputs[:SERVED].numpy()
    where = ["--model-uri", str(exported), "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    clean |= {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    with (tmp_path / "log").open("w") as log:
        command = [sys.executable, "-m", "mlflow", "models", "serve", *where]
        server = subprocess.Popen(command, stdout=log, stderr=log, env=clean, cwd=tmp_path, start_new_session=True)
    try:
        answers = _ask(f"http://127.0.0.1:{port}/invocations", {"inputs": inputs.tolist()}, server)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
    assert answers["predictions"] == load(exported / "data" / "network.pt").predict(inputs).tolist()


def _ask(address: str, question: object, server: subprocess.Popen[bytes]) -> Any:
    request = urllib.request.Request(address, json.dumps(question).encode(), {"Content-Type": "application/json"})
    deadline = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except OSError:
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
