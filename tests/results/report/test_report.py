from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from spikefront.results.report import keep_report, write_report
from spikefront.results.searches import StoredSearch
from spikefront.results.store.connection import Store
from spikefront.results.store.schema import REPORT_FILE
from spikefront.searchspace import UnknownName, UsageError


def test_the_file_and_the_artifact_are_the_same_page(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")])
    store = Store()
    assert write_report(store, "digits-1", "page.html") == Path("page.html")
    run = StoredSearch.open(store).run
    assert REPORT_FILE in {artifact.path for artifact in store.client.list_artifacts(run.info.run_id)}
    kept = Path(store.client.download_artifacts(run.info.run_id, REPORT_FILE, "."))
    assert kept.read_bytes() == Path("page.html").read_bytes()
    assert run.info.status == store.client.get_run(run.info.run_id).info.status == "FINISHED"


def test_the_page_can_be_kept_in_mlflow_alone(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")], name="one")
    name, page = keep_report(Store(), "one")
    assert name == "one"
    assert "<title>Search one</title>" in page
    assert not list(Path().glob("*.html"))
    with pytest.raises(UnknownName, match=r"unknown search 'ones'\. Did you mean 'one'\?"):
        keep_report(Store(), "ones")


def test_without_a_name_it_is_the_newest_and_the_file_is_called_like_it(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")], name="one")
    write([("direct", 0.5, 1.0, "COMPLETE", "")], name="two")
    assert write_report(Store()) == Path("two.html")
    assert "<title>Search two</title>" in Path("two.html").read_text()


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("page.pdf", r"report page\.pdf must end in \.html"),
        ("nowhere/page.html", r"folder nowhere does not exist; create it or choose another place with to="),
    ],
)
def test_a_file_that_can_not_be_is_refused_before_anything_is_read(to: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):  # there is no store here, so reading would say so
        write_report(Store(), to=to)


def test_a_folder_in_place_of_a_file(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")])
    Path("page.html").mkdir()
    with pytest.raises(
        UsageError, match=r"report page\.html is a folder; name a file in it, for example page\.html/1\.html"
    ):
        write_report(Store(), to="page.html")


def test_artifacts_out_of_reach_cost_a_warning_alone(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")])
    run = StoredSearch.open(Store()).run
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("a file where the folder was")
    assert write_report(Store(), to="page.html").stat().st_size > 10_000
    assert capsys.readouterr().err.startswith("spikefront: warning: report.html is not kept in MLflow: ")
