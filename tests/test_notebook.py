"""README's Python in a notebook: a search shows itself, and leaves the notebook's process as it was."""

from __future__ import annotations

import ast
import json
import re
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
SHOW: Final = "search"
PLOTS: Final = (
    "search.plot.front()",
    "search.plot.hypervolume('time')",
    "search.plot.energy()",
    "search.plot.raster()",
)
AFTER: Final = """
after = state()
print(json.dumps({"before": before, "after": after, "trials": len(search.trials), "front": len(search.front())}))
"""
EXPORT: Final = """
from spikefront.plugins.tasks.digits import Digits

search.export(search.knee.number, "net.pt")
images = Digits().search_data(None, 1).validation.inputs
"""
README: Final = Path(__file__).parents[1] / "README.md"
QUICKSTART: Final = Path(__file__).parents[1] / "examples/quickstart.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the cells by their source, after they ran in a kernel of their own, in an empty folder."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    search, *further, predict = blocks
    assert "spikefront.run(" in search
    assert "spikefront.load(" in predict
    folder = tmp_path_factory.mktemp("notebook")
    notebook = nbformat.v4.new_notebook()
    sources = (BEFORE, search, SHOW, *PLOTS, AFTER, *further, EXPORT, predict)
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in sources]
    client = NotebookClient(notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    return {cell.source: cell for cell in notebook.cells} | {"predicted": notebook.cells[-1]}


def html(cell: Any) -> str:
    (shown,) = [output for output in cell.outputs if output.output_type == "execute_result"]
    return str(shown.data["text/html"])


def printed(cell: Any) -> dict[str, Any]:
    text = "".join(output.text for output in cell.outputs if output.get("name") == "stdout")
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.slow
def test_a_search_shows_picture_and_table_of_its_front(cells: dict[str, Any]) -> None:
    shown, counted = html(cells[SHOW]), printed(cells[AFTER])

    assert '<img alt="Front of digits-' in shown
    assert 'src="data:image/svg+xml;base64,' in shown
    assert "<table" in shown
    assert shown.count("<tr") == counted["front"] + 1  # and the head
    assert counted["trials"] == 6


@pytest.mark.slow
@pytest.mark.parametrize("source", PLOTS)
def test_a_picture_shows_itself(cells: dict[str, Any], source: str) -> None:
    (shown,) = [output for output in cells[source].outputs if output.output_type == "execute_result"]
    assert "<path" in shown.data["image/svg+xml"]


@pytest.mark.slow
def test_an_exported_network_predicts(cells: dict[str, Any]) -> None:
    (shown,) = [output for output in cells["predicted"].outputs if output.output_type == "execute_result"]

    assert shown.data["text/plain"].startswith("tensor([")


OF_MLFLOW: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
"""Variables that stay: MLflow reads them again whenever the store is read."""


@pytest.mark.slow
def test_the_process_is_left_as_it_was(cells: dict[str, Any]) -> None:
    states = printed(cells[AFTER])
    before, after = states["before"], states["after"]

    environment, left = before.pop("environment"), after.pop("environment")
    environment.pop("_MLFLOW_TELEMETRY_SESSION_ID", None)  # of the tests' own process, removed with its telemetry
    environment.pop("RAY_CLIENT_MODE", None)  # likewise, set where an earlier test imported Ray
    assert left == OF_MLFLOW | environment
    after["path"] = [folder for folder in after["path"] if "/ray/" not in folder]  # Ray adds its own when imported
    assert after == before


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """Run the notebook among the examples in an empty folder; return it, and the folder."""
    folder = tmp_path_factory.mktemp("quickstart")
    notebook = nbformat.read(QUICKSTART, as_version=4)
    client = NotebookClient(notebook, timeout=280, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    client.execute()
    return notebook, folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_quickstart_ends_with_a_network_that_reads_digits(quickstart: tuple[Any, Path]) -> None:
    notebook, folder = quickstart
    outputs = {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    shown = [output for found in outputs.values() for output in found if output.output_type == "execute_result"]
    pictures = [output for output in shown if "image/svg+xml" in output.data]
    answer = next(found for source, found in outputs.items() if "recommend(" in source)
    predicted, true = ast.literal_eval(shown[-1].data["text/plain"])

    assert len(pictures) == 2
    assert any("best within" in str(output) or "tied within" in str(output) for output in answer)
    assert (folder / "net.pt.card.md").is_file()
    assert sum(a == b for a, b in zip(predicted, true, strict=True)) >= 7  # of ten


def test_quickstart_is_kept_without_outputs() -> None:
    notebook = nbformat.read(QUICKSTART, as_version=4)
    nbformat.validate(notebook)
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
