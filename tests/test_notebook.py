"""A search from a notebook: it shows itself, and leaves the notebook's process as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import nbformat
import pytest
from nbclient import NotebookClient

BEFORE: Final = """
import json, os, signal, sys
import spikefront

def state():
    handlers = {name: str(signal.getsignal(getattr(signal, name))) for name in ("SIGINT", "SIGTERM")}
    return {"environment": dict(os.environ), "folder": os.getcwd(), "path": list(sys.path), "handlers": handlers}

before = state()
"""
SEARCH: Final = """
search = spikefront.run(
    "digits",
    trials=3,
    epochs=2,
    space={"coding": "direct", "backbone": "mlp", "neuron": ["lif", "if"], "steps": (2, 4)},
    workers=2,
    name="notebook",
)
"""
SHOW: Final = "search"
AFTER: Final = """
after = state()
print(json.dumps({"before": before, "after": after, "trials": len(search.trials), "front": len(search.front())}))
"""
LOADED: Final = "spikefront.load_search()"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Return the cells after they ran in a kernel of their own, in an empty folder."""
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in (BEFORE, SEARCH, SHOW, AFTER, LOADED)]
    client = NotebookClient(notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    assert (Path(folder) / "searches/notebook/journal.log").exists()
    cells: list[Any] = notebook.cells
    return cells


def html(cell: Any) -> str:
    (shown,) = [output for output in cell.outputs if output.output_type == "execute_result"]
    return str(shown.data["text/html"])


def printed(cell: Any) -> dict[str, Any]:
    text = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.slow
def test_a_search_shows_picture_and_table_of_its_front(cells: list[Any]) -> None:
    shown = html(cells[2])

    assert '<img alt="Front of notebook" src="data:image/svg+xml;base64,' in shown
    assert "<table" in shown
    assert shown.count("<tr") == printed(cells[3])["front"] + 1  # and the head
    assert printed(cells[3])["trials"] == 3


@pytest.mark.slow
def test_a_loaded_search_shows_the_same(cells: list[Any]) -> None:
    table, again = (html(cell).partition("<table")[2] for cell in (cells[2], cells[4]))

    assert table == again


OF_MLFLOW: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Variables that stay: MLflow reads them again whenever the store is read."""


@pytest.mark.slow
def test_the_process_is_left_as_it_was(cells: list[Any]) -> None:
    states = printed(cells[3])
    before, after = states["before"], states["after"]

    environment, left = before.pop("environment"), after.pop("environment")
    assert left == OF_MLFLOW | environment
    after["path"] = [folder for folder in after["path"] if "/ray/" not in folder]  # Ray adds its own when imported
    assert after == before
