from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spikefront.results.report import ARTIFACT, report
from spikefront.results.report.verb import app
from spikefront.results.store.connection import open_client, resolve_uri
from spikefront.searchspace import UsageError


def test_the_file_and_the_artifact_are_one_page(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")])
    done = CliRunner().invoke(app, ["digits-1", "--to", "page.html"])
    assert (done.exit_code, done.stdout) == (0, "page.html\n")
    client = open_client(resolve_uri())
    (run,) = client.search_runs(["0"], "tags.`spikefront.role` = 'search'")
    assert ARTIFACT in {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    kept = Path(client.download_artifacts(run.info.run_id, ARTIFACT, "."))
    assert kept.read_bytes() == Path("page.html").read_bytes()
    assert run.info.status == client.get_run(run.info.run_id).info.status == "FINISHED"


def test_without_a_name_it_is_the_newest_and_the_file_is_called_like_it(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")], name="one")
    write([("direct", 0.5, 1.0, "COMPLETE", "")], name="two")
    assert report() == Path("two.html")
    assert "<title>Search two</title>" in Path("two.html").read_text()


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("page.pdf", r"report page\.pdf must end in \.html"),
        ("nowhere/page.html", r"folder nowhere does not exist; create it or choose another place with --to"),
    ],
)
def test_a_file_that_can_not_be_is_refused_before_anything_is_read(to: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):  # there is no store here, so reading would say so
        report(to=to)


def test_a_folder_in_place_of_a_file(write: Callable[..., None]) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")])
    Path("page.html").mkdir()
    with pytest.raises(UsageError, match=r"report page\.html can't be written: Is a directory; choose another place"):
        report(to="page.html")


def test_artifacts_out_of_reach_cost_a_warning_alone(
    write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    write([("direct", 0.5, 1.0, "COMPLETE", "")])
    client = open_client(resolve_uri())
    (run,) = client.search_runs(["0"], "tags.`spikefront.role` = 'search'")
    folder = Path(run.info.artifact_uri.removeprefix("file://"))
    folder.rename(folder.with_name("elsewhere"))
    folder.write_text("a file where the folder was")
    assert report(to="page.html").stat().st_size > 10_000
    assert capsys.readouterr().err.startswith("spikefront: warning: report.html is not kept in MLflow: ")
