"""What ``run`` leaves and prints at its end, and its exit code."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spikefront.commands.handle import Search
from spikefront.commands.run import _in_any_folder, _keep_report, _print_outcome
from spikefront.plugins import load_registry
from spikefront.results.store.connection import Store
from spikefront.runners.engine.memory.resume import about
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.search import SearchOutcome
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.engine.study_file import read_settings
from spikefront.search import main
from spikefront.searchspace import UsageError


def ended(judged: int, reason: str = "all trials done", **options: Any) -> Any:
    """Return what ``_print_outcome`` reads of a search."""
    outcome = SearchOutcome({"PRUNED": 3}, judged, reason, seconds=8.0, finished=True)
    return SimpleNamespace(outcome=outcome, settings=SearchSettings("digits", name="s", **options), name="s")


def test_search_that_was_resumed_for_trials_that_all_stopped_early_has_still_succeeded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _print_outcome(ended(judged=2, tracking_uri="sqlite:///other dir/m.db"))
    said = capsys.readouterr().out
    assert "s: all trials done; 0 judged, 0 failed, 3 stopped early, in 8 s\n" in said
    assert "front: spikefront pareto --search s --tracking-uri 'sqlite:///other dir/m.db'\n" in said


def test_a_search_ends_by_saying_what_it_does_not_decide_and_which_command_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    search = ended(judged=2, tracking_uri="http://me:secret@host")
    decide = ("spikefront", "recommend", "--max-energy", "20nJ")
    search.outcome = replace(search.outcome, trust="2 codings, 1 try each: not decided", decide=decide)
    _print_outcome(search)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "2 codings, 1 try each: not decided; decide: "
        "spikefront recommend s --tracking-uri http://***@host --max-energy 20nJ"
    )


@pytest.mark.parametrize("search", [ended(judged=0), ended(judged=2, reason="broken off: disk full")])
def test_search_that_found_nothing_or_broke_off_exits_with_1(search: Any) -> None:
    with pytest.raises(SystemExit) as exit_:
        _print_outcome(search)
    assert exit_.value.code == 1


def test_search_that_did_not_all_reach_mlflow_exits_with_1_and_says_what_mends_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    search = ended(judged=2, folder="other dir", tracking_uri="http://me:secret@host")
    search.outcome = replace(search.outcome, missing=("trial 0", "trial 1"), finished=False)
    with pytest.raises(SystemExit) as exit_:
        _print_outcome(search)
    assert exit_.value.code == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1] == "front: spikefront pareto --search s --tracking-uri http://***@host"
    assert said[2] == (
        "MLflow lacks 2 records of this search, which its journal has; to write them: "
        "spikefront run --resume s --folder 'other dir' --tracking-uri http://***@host"
    )
    assert said[3] == "go on: spikefront run --resume s --folder 'other dir' --tracking-uri http://***@host"
    handle = Search(Store("sqlite:///none.db"), "s", search.settings, search.outcome)
    assert handle.missing == ("trial 0", "trial 1")
    assert repr(handle) == "<Search s: MLflow lacks 2 records of it; run(resume='s') writes them>"
    assert (
        handle._repr_html_() == "<p>Search s: MLflow lacks 2 records of it; run(resume=&#x27;s&#x27;) writes them</p>"
    )


def test_a_search_without_a_report_is_a_search_still(capsys: pytest.CaptureFixture[str]) -> None:
    _keep_report(Store("sqlite:///none.db"), "gone")
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert line.startswith("spikefront: warning: the search has no report (no search found in sqlite:///")
    assert line.endswith("); spikefront report gone")
    assert list(Path().iterdir()) == []


def recorded(**asked: Any) -> dict[str, Any]:
    plan = SearchPlan(read_settings({"name": "d", **asked}), load_registry(third_parties=False))
    return dict(plan.info().options)


def test_what_a_search_runs_with_is_recorded_whether_it_was_asked_for_or_not() -> None:
    asked = {"task": "digits", "time": "90m", "sampler": "gp", "rungs": "0.2", "workers": 3, "space": "steps=4"}
    assert recorded(**asked) == {
        "task": "digits",
        "time": "1h30m",
        "sampler": "gp",
        "rungs": "0.2",
        "workers": "3",
        "space": "steps=4",
        # what follows was not asked for; a search with a time has no number of trials
        "early_stopping": "True",
        "stopping": "silent,halving",
        "seed": "0",
        "priors": "False",
        "cost_aware": "True",
        "fair": "False",
        "reduction": "3",
        "cuts": "True",
        "tell_stopped": "pruned",
        "epoch_timeout": "1h00m",
        "nice": "0",
        "gpus_per_trial": "0.0",
        "energy_model": "horowitz-45nm",
        "charge_encoder": "True",
        "name": "d",
        "folder": "searches",
    }
    by_default = recorded(task="digits")
    assert (by_default["trials"], by_default["rungs"], by_default["space"]) == ("24", "0.05,0.15,0.45", "whole")
    without = recorded(task="digits", early_stopping=False)
    assert (without["early_stopping"], without.get("rungs")) == ("False", None)


def test_a_search_that_has_ended_is_returned_even_when_its_store_is_gone() -> None:
    search = Search(Store("sqlite:///none.db"), "gone", *ended_of(judged=2))
    assert search.name == "gone"
    assert search.outcome is not None
    assert search.outcome.judged == 2
    with pytest.raises(UsageError, match=r"^no search found in sqlite:///"):
        _ = search.trials


def ended_of(judged: int) -> tuple[SearchSettings, SearchOutcome]:
    search = ended(judged)
    return search.settings, search.outcome


def test_mlflow_that_goes_away_in_the_middle_of_a_command_is_one_line_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mlflow.exceptions import MlflowException

    def away(self: Store) -> None:
        raise MlflowException(f"API request to {self.uri}/api failed\nat once")

    monkeypatch.setattr(Store, "open_existing", away)
    monkeypatch.setattr("sys.argv", ["spikefront", "pareto", "--tracking-uri", "http://me:S3cr3tPW@host"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == (
        "spikefront: MLflow failed: API request to http://***@host/api failed at once; "
        "give the command again when it answers\n"
    )


def test_an_error_that_nobody_foresaw_shows_its_traceback_without_passwords(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Store) -> None:
        raise KeyError(self.uri)

    monkeypatch.setattr(Store, "open_existing", broken)
    monkeypatch.setattr("sys.argv", ["spikefront", "pareto", "--tracking-uri", "http://me:S3cr3tPW@host"])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert exit_.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last):")
    assert "KeyError: 'http://***@host'" in said
    assert "S3cr3tPW" not in said


def test_the_journal_has_the_whole_path_of_a_sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    registry = load_registry()
    space = SearchPlan(read_settings({"task": "digits"}), registry).space
    for given, stored in (
        ("sqlite:///mlflow.db", f"sqlite:///{tmp_path}/mlflow.db"),
        ("sqlite:///a/../b.db?timeout=60", f"sqlite:///{tmp_path}/b.db?timeout=60"),
        ("http://host:5000", "http://host:5000"),
    ):
        settings = read_settings({"task": "digits", "tracking_uri": given})
        settings = _in_any_folder(settings, Store(settings.tracking_uri))
        assert about(settings, registry, space)["options"]["tracking_uri"] == stored
    settings = read_settings({"task": "digits"})
    assert _in_any_folder(settings, Store()) is settings
