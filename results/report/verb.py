"""The verb: reads a search, writes its page into a file and beside the search's run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from spikefront.results.options import ExperimentOption, TrackingOption

app = typer.Typer()

ARTIFACT: Final = "report.html"
"""Name of the page among the artifacts of the search's run."""


@app.command("report", epilog="Example: spikefront report digits-1 --to digits-1.html")
def report_command(
    search: Annotated[str | None, typer.Argument(help="Name of the search  [default: the newest]")] = None,
    to: Annotated[Path | None, typer.Option(metavar="FILE", help="Page to write  [default: SEARCH.html]")] = None,
    tracking_uri: TrackingOption = None,
    experiment: ExperimentOption = None,
) -> None:
    """Write one page about a search: its front, what mattered, what failed, what to do next."""
    print(report(search, to=to, tracking_uri=tracking_uri, experiment=experiment))


def report(
    search: str | None = None,
    *,
    to: Path | str | None = None,
    tracking_uri: str | None = None,
    experiment: str | None = None,
) -> Path:
    """Write one self-contained HTML page about a search, and keep it as artifact ``report.html`` of its MLflow run.

    Args:
        search: name of the search; None for the newest.
        to: file to write; None for the search's name with ``.html``, in this folder.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Returns:
        The file.

    Raises:
        UsageError: when there is no such search, the store does not answer, or the file can't be written.
    """
    from spikefront.searchspace import UsageError

    if to is not None:
        _refuse(Path(to))
    name, page = keep_report(search, tracking_uri=tracking_uri, experiment=experiment)
    file = Path(f"{name}.html" if to is None else to)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"report {file} can't be written: {error.strerror}; choose another place with --to") from error
    return file


def keep_report(
    search: str | None = None, *, tracking_uri: str | None = None, experiment: str | None = None
) -> tuple[str, str]:
    """Make the page about a search, and keep it in MLflow alone; artifacts out of reach cost a warning on stderr.

    Args:
        search: name of the search; None for the newest.
        tracking_uri: MLflow server or store.
        experiment: MLflow experiment.

    Returns:
        The search's name, and the page.

    Raises:
        UsageError: when there is no such search, or the store does not answer.
    """
    from mlflow.exceptions import MlflowException

    from spikefront.results.report.findings import read_findings
    from spikefront.results.report.page import report_page
    from spikefront.results.store.connection import redact

    findings, client = read_findings(search, tracking_uri, experiment)
    page = report_page(findings)
    try:
        client.log_text(findings.run_id, page, ARTIFACT)
    except (MlflowException, OSError) as error:
        why = str(error).partition("\n")[0]
        print(f"spikefront: warning: {ARTIFACT} is not kept in MLflow: {redact(why)}", file=sys.stderr)
    return findings.name, page


def _refuse(file: Path) -> None:
    """Refuse a file that can't become a page, before anything is read.

    Raises:
        UsageError: when it does not end in .html, or its folder is not there.
    """
    from spikefront.searchspace import UsageError

    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"report {file} must end in .html")
    if not file.parent.is_dir():
        raise UsageError(f"folder {file.parent} does not exist; create it or choose another place with --to")
