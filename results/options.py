"""Options that several verbs have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


FormatOption = Annotated[Format, typer.Option("--format", help="How to print rows")]
PluginsOption = Annotated[list[Path] | None, typer.Option("--plugins-dir", help="Folder with plugin files; repeatable")]
DataOption = Annotated[Path | None, typer.Option("--data-dir", help="Folder with data files")]
SearchOption = Annotated[str | None, typer.Option(help="Name of the search  [default: the newest]")]
TrackingOption = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri", help="MLflow server or store  [default: $MLFLOW_TRACKING_URI or sqlite:///mlflow.db]"
    ),
]
ExperimentOption = Annotated[str | None, typer.Option(help="MLflow experiment  [default: MLflow's own]")]
