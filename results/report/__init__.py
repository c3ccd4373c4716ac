"""The report: one self-contained HTML page about a search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikefront.plugins import Registry
    from spikefront.results.store.connection import Store


def write_report(
    store: Store, name: str | None = None, to: Path | str | None = None, plugins_dir: Sequence[Path] = ()
) -> Path:
    """Write the page about a search into a file, and to the artifacts of the search's run.

    Args:
        store: where the search is.
        name: name of the search; None for the newest.
        to: file to write; None for the search's name with ``.html``, in this folder.
        plugins_dir: folders with plugin files, whose energy models price the stored counts as well.

    Returns:
        The file.

    Raises:
        UsageError: when there is no such search, the store does not answer, or the file can't be written.
    """
    from spikefront.searchspace import UsageError

    if to is not None:
        _check(Path(to))
    name, page = keep_report(store, name, plugins_dir)
    file = Path(f"{name}.html" if to is None else to)
    try:
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"report {file} can't be written: {error.strerror}; choose another place with --to") from error
    return file


def keep_report(store: Store, name: str | None = None, plugins_dir: Sequence[Path] = ()) -> tuple[str, str]:
    """Write the page about a search to the artifacts of its run alone; warn on stderr where these are out of reach.

    Args:
        store: where the search is.
        name: name of the search; None for the newest.
        plugins_dir: as for ``write_report``.

    Returns:
        The search's name, and the page.

    Raises:
        UsageError: when there is no such search, or the store does not answer.
    """
    from spikefront.results.findings import read_findings
    from spikefront.results.report.page import report_page
    from spikefront.results.searches import StoredSearch
    from spikefront.results.store.artifacts import keep_text
    from spikefront.results.store.schema import REPORT_FILE

    search = StoredSearch.open(store, name)
    page = report_page(read_findings(search, partial(_registry, plugins_dir)))
    keep_text(store, search.run_id, page, REPORT_FILE)
    return search.name, page


def _registry(plugins_dir: Sequence[Path]) -> Registry:
    from spikefront.plugins import load_registry

    return load_registry(plugins_dir)


def _check(file: Path) -> None:
    """Check the name and folder of the page's file, before anything is read.

    Raises:
        UsageError: when it does not end in .html, or can't be written.
    """
    from spikefront.searchspace import UsageError
    from spikefront.searchspace.targets import check_target

    if file.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"report {file} must end in .html")
    check_target(file, "report", todo="choose another place with --to")
