"""The section of the page that says how much a task needs time and order."""

from __future__ import annotations

import json
from collections.abc import Callable

from tests.results.report.pages import Page, row

from spikefront.results.findings import Findings
from spikefront.results.report.page import report_page
from spikefront.results.store.documents import checked
from spikefront.results.store.schema import PROBED_FILE
from spikefront.results.temporal import Measured, conclude
from spikefront.searchspace.temporal import Variant

Make = Callable[..., Findings]
PROBED = {Variant.FULL: 0.8, Variant.SHUFFLE_EACH: 0.4, Variant.SUM: 0.8}


def test_a_search_on_what_has_time_says_how_much_it_needs_it_or_how_to_learn_that(findings: Make) -> None:
    rows = [row("direct", 0.9, 10.0)]
    assert "time" not in Page(report_page(findings(rows, inputs="static"))).sections
    asked = Page(report_page(findings(rows, name="s 1", inputs="events"))).sections["time"]
    assert "spikefront probe digits --search 's 1'" in asked
    values = {variant: {seed: quality + 0.01 * seed for seed in range(3)} for variant, quality in PROBED.items()}
    measured = Measured("digits", {"coding": "direct", "steps": 8}, "accuracy", True, 0.1, 1.0, False, values)
    document = checked(PROBED_FILE, json.loads(json.dumps(conclude(measured).document())))
    told = Page(report_page(findings(rows, inputs="events", probed=document))).sections["time"]
    assert "digits needs order: to shuffle the points of each sample costs 0.400" in told
    assert "digits needs no time" in told
    assert "direct, T = 8; validation split" in told
    assert "shuffle-each" in told
    broken = document | {"variants": [{**document["variants"][0], "quality": "high"}]}
    assert checked(PROBED_FILE, broken) == {}
