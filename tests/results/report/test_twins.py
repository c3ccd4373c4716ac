"""What the page says of twins, and where the energy goes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spikefront.results.findings import Findings
from spikefront.results.pictures.members import energies, energy_picture, layers_picture, twins_picture
from spikefront.results.report.page import report_page
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.store.schema import TWINS_FILE
from spikefront.searchspace.records import LayerEnergy

Make = Callable[..., Findings]

LAYERS: list[dict[str, Any]] = [
    {"layer": "encode", "role": "encoder", "sops": 0, "macs": 0, "energy_nj": 2.0},
    {"layer": "stem", "role": "synapse", "sops": 0, "macs": 40, "energy_nj": 28.0},
    {"layer": "site", "role": "neuron", "sops": 0, "macs": 0, "energy_nj": 15.0},
    {"layer": "gate", "role": "attention", "sops": 0, "macs": 0, "energy_nj": 5.0},
    {"layer": "conv", "role": "synapse", "sops": 60, "macs": 0, "energy_nj": 40.0},
    {"layer": "shortcut", "role": "synapse", "sops": 0, "macs": 2, "energy_nj": 6.0},
    {"layer": "add", "role": "residual", "sops": 0, "macs": 0, "energy_nj": 3.0},
    {"layer": "decode", "role": "readout", "sops": 0, "macs": 0, "energy_nj": 1.0},
]
for each in LAYERS:
    each |= {"adds": 7, "multiplies": 0, "events": 3, "sites": 12, "silent_nj": 0.0}
RECORDS = [LayerEnergy(**each) for each in LAYERS]


def row(coding: str, quality: float, energy: float) -> tuple[dict[str, str], dict[str, float]]:
    return {"coding": coding}, {"quality": quality, "energy_nj": energy, "spike_rate": 0.125}


def twin(trial: int, coding: str, verdict: str, quality: float, energy: float) -> dict[str, Any]:
    return {
        "trial": trial,
        "verdict": verdict,
        "candidate": {"coding": coding, "steps": 4},
        "metrics": {"quality": quality, "energy_nj": energy, "spike_rate": 0.125},
        "ann": {"quality": 0.9, "energy_nj": 1000.0, "macs": 5.0, "break_even_rate": 0.5},
        "quantised": {"quality": 0.85, "energy_nj": 100.0, "macs": 5.0, "bits": 3.0, "break_even_rate": 0.062},
    }


def text_of(page: str, section: str) -> str:
    inside = page[page.index(f'id="{section}"') :].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]*>", " ", inside).split())


def test_a_member_that_loses_is_marked_wherever_it_stands(findings: Make) -> None:
    members = [twin(0, "sac", "trades", 0.5, 10.0), twin(1, "rate", "loses", 0.85, 100.0)]
    without = {"trial": 2, "verdict": "none", "reason": "it takes <events>", "candidate": {}, "metrics": {}}
    rows = [row("sac", 0.5, 10.0), row("rate", 0.85, 100.0), row("sac", 0.95, 1e4)]
    kept = {"members": [*members, without, without | {"trial": 3}], "failed": {"7": "RuntimeError: full"}}
    page = report_page(findings(rows, twins=kept))
    told = text_of(page, "twins")
    assert "1 of 2 members lose to a twin." in told
    assert "1 rate loses to a twin 4 0.8500 100 nJ 0.9000 1.00 µJ 3 0.8500 100 nJ 0.12 0.5 0.062" in told
    assert "0 sac a trade 4 0.5000 10.0 nJ 0.9000 1.00 µJ 3 0.8500 100 nJ 0.12 0.5 0.062" in told
    assert "Trials 2, 3 have no twin: it takes &lt;events&gt;." in told
    assert "The twins of trial 7 failed: RuntimeError: full" in told
    assert "Struck through: members that lose to a twin." in text_of(page, "front")
    assert "trial 1, rate, accuracy 0.8500, 100 nJ, loses to a twin" in page
    assert "knee; loses to a twin" in text_of(page, "members")
    drawn = twins_picture(findings(rows, twins=kept))
    assert [(one["trial"], one["network"], one["x"], one["y"]) for one in drawn.rows] == [
        (0, "member", 10.0, 0.5),
        (0, "ANN", 1000.0, 0.9),
        (0, "few bits", 100.0, 0.85),
        (1, "member", 100.0, 0.85),
        (1, "ANN", 1000.0, 0.9),
        (1, "few bits", 100.0, 0.85),
    ]
    assert drawn.svg().count('aria-roledescription="point"') == 7  # six networks, and a stroke through one that loses


def test_members_stand_as_they_were_compared_and_the_page_says_how(findings: Make) -> None:
    compared = twin(0, "sac", "undecided", 0.5, 10.0) | {
        "member": {"quality": 0.4711, "energy_nj": 11.0},
        "seeds": [4, 5],
    }
    rows = [row("sac", 0.5, 10.0)]
    told = text_of(
        report_page(findings(rows, twins={"members": [compared], "split": "test", "seeds": [4, 5]})), "twins"
    )
    assert "0 sac undecided 4 0.4711 11.0 nJ 0.9000 1.00 µJ" in told
    assert "0 of 1 members lose to a twin. Compared on the test split, under seeds 4, 5 of the confirmation." in told
    earlier = twin(0, "sac", "trades", 0.5, 10.0)
    told = text_of(report_page(findings(rows, twins={"members": [earlier]})), "twins")
    assert "Trial 0: compared by an earlier version with the member as selected" in told


def test_a_report_without_twins_says_nothing_of_them(findings: Make) -> None:
    page = report_page(findings([row("sac", 0.5, 10.0)]))
    assert 'id="twins"' not in page


def test_the_parts_of_a_bar_by_hand(findings: Make) -> None:
    found = findings([row("sac", 0.5, 100.0)], layers={"0": RECORDS})
    parts = energies(found.members[0], RECORDS)
    assert parts == {
        "input": 28.0,
        "synapses of values": 6.0,
        "synapses of spikes": 40.0,
        "neurons": 15.0,
        "attention": 5.0,
        "encoder": 2.0,
        "sums and read-out": 4.0,
    }
    assert {row["part"]: row["energy_nj"] for row in energy_picture(found).rows} == parts
    assert [row["energy_nj"] for row in layers_picture(found, 0).rows] == [one.energy_nj for one in RECORDS]
    page = report_page(found)
    told = text_of(page, "energy")
    assert "input 28%, synapses of values 6%, synapses of spikes 40%, neurons 15%, attention 5%" in told
    assert "conv synapse 40.0 nJ 40.0% 60 7 3 0.25" in told
    assert "no counts by layer" not in told


def test_without_layers_only_attention_is_told_apart(findings: Make) -> None:
    params, metrics = row("sac", 0.5, 100.0)
    found = findings([(params, metrics | {"attention_nj": 25.0})])
    assert energies(found.members[0], ()) == {"attention": 25.0, "rest": 75.0}
    told = text_of(report_page(found), "energy")
    assert "attention 25%, rest 75%" in told
    assert "no counts by layer" in told


def test_layers_and_twins_are_read_from_the_store(
    database: None, search: Callable[..., Any], candidate: Callable[..., Any], read: Make, tmp_path: Path
) -> None:
    store = MlflowRecorder(Store())
    store.search_started(search())
    weights = tmp_path / "trial-00001.pt"
    weights.touch()
    (tmp_path / "trial-00001.layers.json").write_text(json.dumps({"layers": LAYERS}))
    (tmp_path / "trial-00011.layers.json").write_text("another trial's")
    for number, quality in enumerate((0.5, 0.9)):
        store.trial_started(number, candidate())
        metrics = {"quality": quality, "energy_nj": 10.0 * (number + 1)}
        store.trial_ended(number, "COMPLETE", "", metrics, weights if number else None)
    store.search_ended("all trials done")
    found, client = read(), Store().client
    assert found.layers == {"1": RECORDS}
    assert found.losers == frozenset()
    client.log_text(found.run_id, json.dumps({"members": [twin(1, "sac", "loses", 0.9, 20.0)]}), TWINS_FILE)
    client.log_metric(found.members[0].run_id, "twin.ann.quality", 0.9)
    again = read()
    assert again.losers == {"1"}
    assert "twin.ann.quality" not in again.members[0].metrics
