"""What the page says, and that nothing a user names becomes markup."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.results.report.pages import Page, row

from spikefront.results.findings import Findings
from spikefront.results.report import write_report
from spikefront.results.report.page import FAINT, _javascript, report_page
from spikefront.results.store.connection import Store
from spikefront.results.store.schema import CONFIRMED_FILE
from spikefront.searchspace import ENERGY, LATENCY, OBJECTIVES
from spikefront.searchspace.objectives import quality_objective

MEMBERS = 100
EVIL = "<script>alert(1)</script>"

Make = Callable[..., Findings]
Read = Callable[..., Findings]


def marks(page: Page) -> list[tuple[str, dict[str, Any]]]:
    """Return the marks of the front with what they are: ``front`` or ``behind``."""
    rows = [row for rows in page.data["pictures"]["front"]["datasets"].values() for row in rows]
    return [(row["place"], row) for row in {(row["trial"]): row for row in rows if "place" in row}.values()]


def test_a_search_in_full(write: Callable[..., None], read: Read) -> None:
    runs = [
        ("direct", 0.5, 10.0, "COMPLETE", ""),
        ("sac", 0.91234, 1234.0, "COMPLETE", ""),
        ("sac", 0.2, 2000.0, "COMPLETE", ""),
        ("sac", 0.9, 2.0, "PRUNED", "stopped at rung 1 of 2 (epoch 3 of 15): rank 9 of 9, 4 of 4 among sac"),
        ("gac", 0.9, 2.0, "PRUNED", "stopped at rung 1 of 2 (epoch 3 of 15): rank 8 of 9, 2 of 2 among gac"),
        ("gac", math.nan, math.nan, "FAIL", "RuntimeError: out of memory\nat line 3"),
    ]
    write(runs, more={"attention_nj": 5.0, "sops": 70.0, "macs": 7.0, "macs_every_step": 28.0})
    page = Page(report_page(read()))
    assert "Search digits-1" in page.sections[""]
    assert "2 of 3 trials judged at full budget are on the front." in page.sections[""]
    for fact in ("digits", "3 judged, 2 stopped early, 1 failed", "all trials done", "loihi 2.0", "Python 3"):
        assert fact in page.sections[""]
    assert "http://***@server" in page.sections[""]  # the password was never stored
    assert "spikefront confirm --search digits-1" in page.sections["next"]
    assert "spikefront export digits-1/" in page.sections["next"]
    assert "0.9123" in page.sections["members"]
    assert "1.23 µJ" in page.sections["members"]
    assert "coding.sac.tau 1.5" in " ".join(page.sections["members"].split())
    assert "50%" in page.sections["energy"]  # 5 of 10 nJ
    endings = " ".join(page.sections["endings"].split())
    assert "failed 1 RuntimeError: out of memory trial 5: RuntimeError: out of memory gac 1" in endings
    assert "stopped early 2 stopped at rung # of # (epoch # of #): rank # of #, # of # among its coding" in endings
    assert "sac 1, gac 1" in endings
    assert "spikefront why digits-1/TRIAL" in endings
    assert "confirmed" not in page.sections
    assert [row[0] for row in page.data["trials"] if row[5]] == [0, 1]
    assert {row["trial"] for name, row in marks(page) if name == "front"} == {0, 1}


def test_what_was_confirmed(write: Callable[..., None], read: Read) -> None:
    write([("direct", 0.5, 10.0, "COMPLETE", ""), ("sac", 0.9, 1000.0, "COMPLETE", "")])
    found = read()

    def member(trial: int, stays: bool, quality: float, energy: float) -> dict[str, Any]:
        spread = {"quality": quality, "quality_sd": 0.01, "quality_low": quality - 0.02, "quality_high": quality + 0.02}
        test = {"quality": spread, "energy_nj": {"energy_nj": energy}}
        by, coding = None if stays else 0, ("direct", "sac")[trial]
        selected = {"quality": 0.5}
        return {"trial": trial, "stays": stays, "beaten_by": by, "candidate": {"coding": coding}} | {
            "selected": selected,
            "test": test,
        }

    members = [member(0, True, 0.4321, 11.0), member(1, False, 0.4, 1000.0)]
    document = {"members": members, "seeds": [4, 5], "failed": {"7": "lost"}}
    Store().client.log_text(found.run_id, json.dumps(document), CONFIRMED_FILE)
    page = Page(report_page(read()))
    told = " ".join(page.sections["confirmed"].split())
    assert "1 of 3 members stay on the front of the means." in told
    assert "under seeds 4, 5" in told
    assert "0.5000 0.4321 0.01 0.4121 to 0.4521 11.0 nJ stays" in told
    assert "fell off: trial 0 is better" in told
    assert "Trial 7 could not be confirmed: lost" in told
    assert "spikefront export digits-1/0 " in page.sections["next"]  # the only one that stays
    assert "spikefront confirm" not in page.sections["next"]


def test_what_the_test_of_confirming_says(findings: Make) -> None:
    def member(trial: int, verdict: str, probability: float, rival: int | None, p: float | None) -> dict[str, Any]:
        test = {"quality": {"quality": 0.9}, "energy_nj": {"energy_nj": 10.0 * 10**trial}}
        decided = {"verdict": verdict, "probability": probability, "rival": rival, "p": p, "stays": verdict == "stays"}
        return {"trial": trial, "candidate": {"coding": "sac"}, "selected": {"quality": 0.5}, "test": test, **decided}

    selection = {"members": 3, "flatters": 0.01, "flatters_low": 0.005, "flatters_high": 0.015, "flatters_sd": 0.002}
    confirmed = {
        "members": [
            member(0, "stays", 1.0, None, None),
            member(1, "undecided", 0.6123, 0, 0.31),
            member(2, "falls", 0.002, 1, 1.0),
        ],
        "seeds": [4, 5],
        "rule": "A member stays where its <probability> is high.",
        "selection": {**selection, "more_data": 0.002},
    }
    rows = [row("sac", quality, energy) for quality, energy in ((0.5, 10.0), (0.6, 100.0), (0.7, 1000.0))]
    page = Page(report_page(findings(rows, confirmed=confirmed)))
    told = " ".join(page.sections["confirmed"].split())
    assert "1 of 3 members stay on the front, 1 undecided. Each was trained anew" in told
    assert "under seeds 4, 5. A member stays where its <probability> is high." in told
    assert "100 nJ undecided 0.612 0.31" in told
    assert "fell off: trial 1 is better 0.002 1" in told
    assert (
        "On the test split selection flatters by 0.0100 (95 % interval 0.0050 to 0.0150), more data give 0.00" in told
    )
    assert "Trial 0 is the knee" in " ".join(page.sections["next"].split())  # of 0 and 1, which did not fall off


def test_nothing_that_a_user_names_becomes_markup(write: Callable[..., None], read: Read) -> None:
    evil = f"{EVIL}\"'&"
    write(
        [(evil, 0.5, 10.0, "COMPLETE", ""), (evil, 0.9, 99.0, "COMPLETE", ""), (evil, 0.1, 1.0, "FAIL", f"no {EVIL}")]
    )
    found = read()
    Store().client.log_text(
        found.run_id, json.dumps({"members": [], "seeds": [], "failed": {"1": EVIL}}), CONFIRMED_FILE
    )
    text = report_page(read())
    assert EVIL not in text
    page = Page(text)
    assert len(page.all("script")) == 3  # data, what draws, and the page's own
    assert EVIL in page.sections["endings"]
    assert EVIL in page.sections["confirmed"]
    assert evil in page.sections["codings"]
    assert evil in page.data["values"]


def test_the_page_loads_nothing_and_its_parts_fit(findings: Make) -> None:
    rows = [row(coding, 0.1 + 0.01 * at, 1.0 + at) for at in range(50) for coding in ("sac", "direct")]
    text = report_page(findings(rows))
    page = Page(text)
    ids = [its["id"] for _, its in page.elements if "id" in its]
    assert len(ids) == len(set(ids))
    targets = [its[name] for _, its in page.elements for name in ("href", "src", "action", "data") if its.get(name)]
    assert targets
    assert all(target is not None and target.startswith("#") and target[1:] in ids for target in targets)
    own = text.replace(_javascript(), "")  # names addresses, as of its licences, and its policy lets it ask for none
    assert not re.search(r"(?<!xmlns=\")(?<!xlink=\")https?://(?!vega.github.io/schema)|url\((?!#)|@import", own)
    (policy,) = (its["content"] for its in page.all("meta") if "http-equiv" in its)
    assert policy is not None
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src" not in policy
    assert "*" not in policy
    labelled = [its for tag, its in page.elements if its.get("class") == "picture"]
    assert len(labelled) == 9
    assert all(its["aria-label"] and its["role"] for its in labelled)
    sizes = [int(size) for size in re.findall(r"font(?:-size)?: (\d+)px", own)]
    assert sizes
    assert min(sizes) >= 14


def test_marks_and_configurations_are_those_of_the_trials(findings: Make) -> None:
    rows = [row("sac", 0.9, 100.0, tau="0.123456789"), row("direct", 0.1, 1.0), row("direct", 0.1, 10.0)]
    page = Page(report_page(findings(rows)))
    told = [(number, coding, told, member) for number, coding, _, _, told, member, *_ in page.data["trials"]]
    assert told == [
        (1, 0, "trial 1, direct, accuracy 0.1000, 1.00 nJ", 1),
        (0, 1, "trial 0, sac, accuracy 0.9000, 100 nJ", 1),
        (2, 0, "trial 2, direct, accuracy 0.1000, 10.0 nJ", 0),
    ]
    pairs = page.data["trials"][1][6:]
    names, values = page.data["names"], page.data["values"]
    found = {names[name]: values[value] for name, value in zip(pairs[::2], pairs[1::2], strict=True)}
    assert found == {"coding": "sac", "steps": "4", "tau": "0.12346"}
    assert page.data["trials"][2][2:4] == [10.0, 0.1]


def test_a_few_trials_at_chance_do_not_flatten_the_picture(findings: Make) -> None:
    good = [row("sac", 0.9 + 0.001 * at, 100.0 - at) for at in range(39)]
    found = findings([*good, row("sac", 0.1, 200.0)])
    page = Page(report_page(found))
    assert 39 not in [trial[0] for trial in page.data["trials"]]
    assert "Worse than the picture shows: 1." in page.sections["front"]
    alone = Page(report_page(findings([*good, row("direct", 0.1, 200.0)])))  # the front of its coding: never left out
    assert 39 in [trial[0] for trial in alone.data["trials"]]
    assert "Worse than" not in alone.sections["front"]


def test_a_search_that_found_nothing(findings: Make) -> None:
    page = Page(report_page(findings([], options={"space": "whole"})))
    assert "No trial was judged at full budget" in page.sections["next"]
    assert "there is no front" in page.sections["front"]
    assert page.sections.keys() == {"", "next", "front", "endings"}


def test_a_search_that_goes_on_is_not_confirmed_yet(findings: Make) -> None:
    page = Page(report_page(findings([row("sac", 0.5, 10.0)], ended="")))
    assert "spikefront run --resume s" in page.sections["next"]
    assert "spikefront confirm" not in page.sections["next"]


def test_a_trial_without_energy_is_named_as_not_comparable(findings: Make) -> None:
    page = Page(report_page(findings([row("sac", 0.5, 10.0), row("sac", 0.5, 0.0)])))
    assert "not comparable 1 an objective is missing" in " ".join(page.sections["endings"].split())


def test_quality_that_is_minimised_and_no_energy(findings: Make) -> None:
    rows = [({"coding": "sac"}, {"quality": loss, "latency_steps": steps}) for loss, steps in ((2.0, 1.0), (1.0, 4.0))]
    axes = (quality_objective(maximize=False, worst=10.0, best=0.0), LATENCY)
    page = Page(report_page(findings(rows, objectives=axes, quality="perplexity")))
    assert [trial[0] for trial in page.data["trials"]] == [0, 1]
    assert "latency (steps)" in json.dumps(page.data["pictures"]["front"])
    assert "perplexity 1.0000, 4 steps" in page.data["trials"][1][4]
    assert "perplexity" in page.sections["members"]


def test_the_page_says_which_way_quality_goes(findings: Make) -> None:
    rows = [row("sac", 170.5, 10.0), row("sac", 97.4914, 100.0), row("sac", 98.0, 1000.0)]
    axes = (quality_objective(maximize=False, worst=170.0, best=0.0), ENERGY)
    text = report_page(findings(rows, objectives=axes, quality="frechet_distance", options={"space": "whole"}))
    page = Page(text)
    assert "frechet_distance, less is better; hypervolume counts from 170 to 0" in page.sections[""]
    assert "all settings" in page.sections[""]
    assert [trial[0] for trial in page.data["trials"]] == [0, 1, 2]
    assert [trial[5] for trial in page.data["trials"]] == [1, 1, 0]
    assert "frechet_distance (validation), less is better" in json.dumps(page.data["pictures"]["front"])
    assert "97.491" in page.sections["members"]
    # 1 - 97.4914 / 170 of one axis; of the other 5 of 10 decades, from 100 nJ to 10 mJ
    assert f"{(1 - 97.4914 / 170) * 5 / 10:.4f}" in page.sections["codings"]
    assert "less is better" not in report_page(findings([row("sac", 0.5, 10.0)]))


def test_each_objective_is_in_the_header_the_tables_the_marks_and_the_importances(findings: Make) -> None:
    axes = (quality_objective(maximize=True, worst=0.0, best=1.0), ENERGY, OBJECTIVES["attention"], OBJECTIVES["sops"])
    places = ((0.5, 10.0, 2.0, 70_000.0), (0.9, 100.0, 0.5, 12.0), (0.4, 20.0, 3.0, 80_000.0))
    metrics = [dict(zip((axis.metric for axis in axes), place, strict=True)) for place in places]
    found = findings([({"coding": "sac", "steps": "4"}, each | {"macs": 7.0}) for each in metrics], objectives=axes)
    page = Page(report_page(found))
    text = {name: " ".join(section.split()) for name, section in page.sections.items()}
    assert "attention hypervolume counts from 10.0 mJ to 1.00 pJ, logarithmic" in text[""]
    assert "sops hypervolume counts from 1,000,000,000,000 to 1, logarithmic" in text[""]
    assert "with energy and attention and sops on a logarithmic scale." in text[""]
    # what is an objective stands beside quality and energy, and nowhere else
    head = "trial front accuracy energy attention sops steps to output coding neuron backbone steps spike rate MACs"
    assert f"{head} parameters" in text["members"]
    assert "0 front 0.5000 10.0 nJ 2.00 nJ 70,000" in text["members"]
    assert "its sops least sops hypervolume sac 3 3 0 0 2 0.9000 100 nJ 10.0 nJ 500 pJ 500 pJ 12 12" in text["codings"]
    assert page.data["trials"][0][4] == "trial 0, sac, accuracy 0.5000, 10.0 nJ, attention 2.00 nJ, sops 70,000"
    raw = [its.get("data-value") for its in page.all("td") if "data-value" in its]
    assert raw[:4] == ["0.5", "10.0", "2.0", "70000.0"]


def test_a_count_of_zero_has_its_place_at_the_floor(findings: Make) -> None:
    axes = (quality_objective(maximize=True, worst=0.0, best=1.0), OBJECTIVES["sops"])
    rows = [({"coding": "sac"}, {"quality": quality, "sops": sops}) for quality, sops in ((0.5, 0.0), (0.9, 100.0))]
    page = Page(report_page(findings(rows, objectives=axes)))
    assert [trial[2] for trial in page.data["trials"]] == [1.0, 100.0]


@pytest.mark.slow
def test_ten_thousand_trials_and_a_hundred_members_take_at_most_ten_seconds_and_five_megabytes(
    write: Callable[..., None], read: Read
) -> None:
    write([("sac", 0.5, 10.0, "COMPLETE", "")])
    found = read()
    fill(found.run_id, 10_000)
    write_report(Store(), to="warm.html")  # the first one makes the JavaScript
    started = time.process_time()  # what other processes take of the machine does not count
    file = write_report(Store(), to="big.html")
    seconds = time.process_time() - started
    assert seconds < 10
    assert file.stat().st_size < 5e6
    page = Page(file.read_text(encoding="utf-8"))
    again = read()
    assert len(again.trials) == 10_001
    others = len(again.shown) - len(again.members)
    assert f"{FAINT:,} of {others:,} others are drawn, chosen at random." in page.sections["front"]
    assert len(page.data["trials"]) == FAINT + len(again.members)
    assert len(marks(page)) == FAINT + len(again.members)
    assert len(again.layers) == MEMBERS
    assert page.sections["energy"].count("layer by layer") >= MEMBERS


def _place(run: str) -> str:
    return Path("artifacts", run).absolute().as_uri()


def fill(parent: str, runs: int) -> None:
    """Write trials straight into the tables, with as many params, metrics and tags as real ones have.

    ``MEMBERS`` of them form a front of their own, and keep 24 layers each.
    """
    generator = np.random.default_rng(0)
    codings = ("direct", "sac", "gac", "latency", "rate")
    quality, energy = generator.random(runs), 10 ** (4 * generator.random(runs))
    quality[: 4 * MEMBERS : 4], energy[: 4 * MEMBERS : 4] = 1 + np.arange(MEMBERS) / 1e3, 10 + np.arange(MEMBERS) / 10
    layer = {name: 1.0 for name in ("sops", "macs", "adds", "multiplies", "events", "sites", "silent_nj", "energy_nj")}
    layers = json.dumps({"layers": [{"layer": f"layer {at}", "role": "synapse"} | layer for at in range(24)]})
    for at in range(0, 4 * MEMBERS, 4):
        folder = Path("artifacts", f"{at:032x}")
        folder.mkdir(parents=True)
        (folder / "layers.json").write_text(layers)
    rows: dict[str, list[tuple[Any, ...]]] = {"runs": [], "tags": [], "params": [], "latest_metrics": []}
    for at in range(runs):
        run, coding = f"{at:032x}", codings[at % 5]
        rows["runs"].append((run, run, "me", "LOCAL", "FINISHED", at, at + 1, "active", 0, _place(run)))
        tags = {"search": "digits-1", "spikefront.role": "trial", "trial.number": str(at + 1)}
        tags |= {"mlflow.parentRunId": parent, "trial.state": "COMPLETE" if at % 4 == 0 else "PRUNED"}
        tags |= {"trial.reason": f"stopped at rung {at % 3}"} if at % 4 else {}
        params = {"coding": coding, "neuron": "lif", "backbone": "mlp", "steps": str(at % 8)}
        params |= {f"coding.{coding}.p{n}": str(value) for n, value in enumerate(generator.random(5))}
        params |= {f"training.p{n}": str(value) for n, value in enumerate(generator.random(16))}
        metrics = {f"m{n}": 1.0 for n in range(14)} | {"quality": quality[at], "energy_nj": energy[at]}
        rows["tags"] += [(key, value, run) for key, value in tags.items()]
        rows["params"] += [(key, value, run) for key, value in params.items()]
        rows["latest_metrics"] += [(key, value, 1, 1, 0, run) for key, value in metrics.items()]
    columns = {
        "runs": "run_uuid, name, user_id, source_type, status, start_time, end_time, lifecycle_stage, experiment_id, "
        "artifact_uri",
        "tags": "key, value, run_uuid",
        "params": "key, value, run_uuid",
        "latest_metrics": "key, value, timestamp, step, is_nan, run_uuid",
    }
    with sqlite3.connect(Path("mlflow.db")) as connection:
        for name, values in rows.items():
            marks = ", ".join("?" * len(values[0]))
            connection.executemany(f"INSERT INTO {name} ({columns[name]}) VALUES ({marks})", values)
    connection.close()
    assert Store().client.get_run(f"{0:032x}").data.tags["trial.number"] == "1"


def test_energies_have_their_errors_and_members_that_cost_as_much_are_marked(findings: Make) -> None:
    metrics = [(0.5, 100.0, 3.0), (0.6, 105.0, 4.0), (0.9, 200.0, 5.0)]
    rows = [
        ({"coding": "sac"}, {"quality": quality, "energy_nj": energy, "energy_se_nj": error})
        for quality, energy, error in metrics
    ]
    members = Page(report_page(findings(rows))).sections["members"]
    for text in ("100 ± 3 nJ", "105 ± 4 nJ", "200 ± 5 nJ", "energy as that of 1", "energy as that of 0"):
        assert text in members, text
    assert "differ by less than two standard errors" in members
    apart = [(params, {**known, "energy_se_nj": 0.1}) for params, known in rows]
    assert "energy as that of" not in Page(report_page(findings(apart))).sections["members"]
