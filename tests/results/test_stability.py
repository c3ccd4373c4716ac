"""Fronts of one search under several energy models, from what the search stored."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

import spikefront
from spikefront.commands.app import load_commands
from spikefront.plugins import Counts, Geometry, LayerCount, Operations, load_registry
from spikefront.results.report import write_report
from spikefront.results.searches import StoredSearch
from spikefront.results.stability import Stability, stability
from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.runners.judging.layers import counts_json
from spikefront.searchspace import ENERGY, Candidate, Objective, SearchInfo, UsageError, Value
from spikefront.searchspace.objectives import quality_objective
from spikefront.searchspace.records import LayerEnergy

Keep = Callable[..., SearchInfo]

BACKWARDS = '''
from spikefront.plugins import EnergyModel, hookimpl


class Backwards(EnergyModel):
    """10 nJ, less for each multiply-accumulate."""

    name = "backwards"
    technology = "none"
    source = "none"

    def layer_energy_nj(self, counts):
        return {"all": 10 - sum(layer.macs for layer in counts.layers) / 20}


@hookimpl
def register_energy_models(register):
    register(Backwards)
'''

QUALITY = quality_objective(maximize=True, worst=0.0, best=1.0)
GEOMETRY = Geometry(inputs=10, outputs=10, channels=10, weights=100)
WORK = [  # quality, accumulates, multiply-accumulates, energy by horowitz-45nm: 0.9 pJ and 4.6 pJ
    (0.9, 1000, 0, 0.9),
    (0.8, 0, 100, 0.46),
    (0.7, 0, 150, 0.69),
]


def counts(sops: int, macs: int, geometry: Geometry | None = GEOMETRY) -> Counts:
    layer = LayerCount("fc", "synapse", sops=sops, macs=macs, events=10, sites=10, geometry=geometry)
    return Counts(samples=1, steps=1, layers=(layer,))


@pytest.fixture
def keep(search: Callable[..., SearchInfo], candidate: Callable[..., Candidate], database: None) -> Keep:
    """Keep a search of ``WORK``, whose workers left their counts, of a version that stores them."""

    def keep(geometry: Geometry | None = GEOMETRY, end: bool = True) -> SearchInfo:
        info = search("one")
        (info.folder / "counts").mkdir()
        recorder = MlflowRecorder(Store())
        recorder.search_started(info)
        for number, (quality, sops, macs, energy) in enumerate(WORK):
            file = info.folder / "counts" / f"trial-{number:05d}.json"
            file.write_text(counts_json(counts(sops, macs, geometry)))
            recorder.trial_started(number, candidate(steps=number + 1))
            recorder.trial_ended(number, "COMPLETE", "", {"quality": quality, "energy_nj": energy}, None)
        if end:
            recorder.search_ended("all trials done")
        else:
            recorder._writer.close()
        return info

    return keep


@pytest.fixture
def backwards(tmp_path: Path) -> Path:
    """Return a folder with an energy model under which the most expensive trial is the cheapest."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "backwards.py").write_text(BACKWARDS)
    return folder


@pytest.mark.parametrize("charged", [True, False])
def test_encoders_are_charged_under_every_model_where_the_search_charged_them(
    charged: bool, search: Callable[..., SearchInfo], candidate: Callable[..., Candidate], database: None
) -> None:
    options: dict[str, Value] = {} if charged else {"energy.horowitz-45nm.charge_encoder": False}
    info = replace(search("one"), options=options)
    work = counts(0, 100)
    encoder = LayerCount("coding.encode", "encoder", operations=Operations(adds=1000))
    (info.folder / "counts").mkdir()
    kept = replace(work, layers=(encoder, *work.layers))
    (info.folder / "counts" / "trial-00000.json").write_text(counts_json(kept))
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    recorder.trial_started(0, candidate())
    recorder.trial_ended(0, "COMPLETE", "", {"quality": 0.5, "energy_nj": 1.36}, None)
    recorder.search_ended("all trials done")

    lemaire = next(front for front in found().fronts if front.model == "lemaire-45nm")
    alone = load_registry(third_parties=False).energy_model("lemaire-45nm").energy_nj(work)
    # 1000 additions of 0.1 pJ
    assert lemaire.energies == {"0": pytest.approx(alone + 0.1 * charged)}


def test_a_time_that_a_model_does_not_give_is_not_known(
    search: Callable[..., SearchInfo], candidate: Callable[..., Candidate], database: None
) -> None:
    time = Objective("latency_us", maximize=False, worst=1e6, best=1.0, log=True)
    info = search("one", objectives=(QUALITY, ENERGY, time))
    (info.folder / "counts").mkdir()
    (info.folder / "counts" / "trial-00000.json").write_text(counts_json(counts(100, 0)))
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    recorder.trial_started(0, candidate())
    recorder.trial_ended(0, "COMPLETE", "", {"quality": 0.5, "energy_nj": 1.0, "latency_us": 5.0}, None)
    recorder.search_ended("all trials done")

    lemaire = next(front for front in found().fronts if front.model == "lemaire-45nm")
    assert lemaire.place("0") == "not known: latency_us is missing"


def found(*folders: Path) -> Stability:
    return stability(StoredSearch.open(Store(), "one"), load_registry(folders, third_parties=False))


def test_who_stays_and_who_joins_under_another_model(keep: Keep, backwards: Path) -> None:
    keep()
    here = found(backwards)
    fronts = {front.model: front for front in here.fronts}
    assert here.fronts[0].model == "horowitz-45nm"
    assert fronts["horowitz-45nm"].members == {"0", "1"}
    assert fronts["backwards"].energies == {"0": 10.0, "1": 5.0, "2": 2.5}
    assert fronts["backwards"].members == {"0", "1", "2"}
    assert [trial.number for trial in here.members] == [1, 2, 0]
    (agreement,) = (one for one in here.agreements if one.models == ("horowitz-45nm", "backwards"))
    # of the pairs (0, 1), (0, 2), (1, 2) both models order the first two alike
    assert agreement.tau == pytest.approx(1 / 3)
    assert agreement.trials == 3
    assert "Under backwards 2 of 2 members stay, trial 2 would join" in list(here.sentences())
    assert any("0.33 over the energies of 3 trials" in sentence for sentence in here.sentences())


def test_models_price_stored_counts_as_they_priced_them_in_the_search(keep: Keep) -> None:
    keep()
    registry = load_registry(third_parties=False)
    for front in found().fronts[1:]:
        model = registry.energy_model(front.model)
        whole = {str(number): model.energy_nj(counts(*WORK[number][1:3])) for number in range(3)}
        known = {str(number) for number in range(3) if not model.shortfall(counts(*WORK[number][1:3]))}
        assert front.energies == {name: whole[name] for name in known}
        assert set(front.problems) == {"0", "1", "2"} - known


def test_counts_that_do_not_suffice_are_no_guess(keep: Keep) -> None:
    keep(geometry=None)
    lemaire = next(front for front in found().fronts if front.model == "lemaire-45nm")
    assert lemaire.energies == {}
    assert lemaire.place("0") == "not known: no geometry stored"
    assert found().everywhere("0") == "not known"


def test_a_search_that_runs_has_no_counts_yet(keep: Keep) -> None:
    keep(end=False)
    here = found()
    assert here.fronts[0].members == {"0", "1"}
    assert {front.place("1") for front in here.fronts[1:]} == {"not known: no counts stored"}
    assert "Under lemaire-45nm no member can be priced: no counts stored (3)" in list(here.sentences())


@pytest.mark.parametrize(
    "document",
    [
        "[]",
        '{"trials": []}',
        '{"trials": {"x": {"samples": 1, "steps": 1, "layers": []}}}',
        '{"trials": {"0": {"samples": 0, "steps": 1, "layers": []}}}',
        '{"trials": {"0": {"samples": 1, "steps": 1, "layers": [{"layer": 3, "role": "synapse"}]}}}',
        '{"trials": {"0": {"samples": 1, "steps": 1, "layers": [{"layer": "a", "role": "synapse", "sops": [[1]]}]}}}',
    ],
)
def test_counts_that_a_stranger_wrote_count_as_none(keep: Keep, document: str) -> None:
    keep()
    run = StoredSearch.open(Store(), "one").run_id
    Store().client.log_text(run, document, "counts.json")
    assert StoredSearch.open(Store(), "one").counts == {}


def test_a_file_of_counts_that_was_damaged_is_left_out(keep: Keep, search: Callable[..., SearchInfo]) -> None:
    folder = search("one").folder / "counts"
    folder.mkdir()
    (folder / "trial-00009.json").write_text('{"samples": 1, "st')
    folder.rename(folder.with_name("before"))
    keep()
    (folder.with_name("before") / "trial-00009.json").rename(folder / "trial-00009.json")
    assert set(StoredSearch.open(Store(), "one").counts) == {"0", "1", "2"}


def test_layers_of_an_earlier_version_are_priced_where_they_suffice(
    search: Callable[..., SearchInfo], candidate: Callable[..., Candidate], database: None, backwards: Path
) -> None:
    info = search("one")
    info = replace(info, options={"energy_model": "old"})
    weights = info.folder / "trial-00000.pt"
    weights.write_bytes(b"weights")
    rows = [
        LayerEnergy("fc", "synapse", 1000, 100, 0, 0, 10, 10, 7.0, 7.0),
        LayerEnergy("site", "neuron", 0, 0, 40, 20, 8, 40, 1.0, 1.0),
    ]
    weights.with_suffix(".layers.json").write_text(json.dumps({"layers": [asdict(row) for row in rows]}))
    recorder = MlflowRecorder(Store())
    recorder.search_started(info)
    for number, quality in enumerate((0.9, 0.5)):
        recorder.trial_started(number, candidate(steps=number + 1))
        metrics = {"quality": quality, "energy_nj": 8.0 + number}
        recorder.trial_ended(number, "COMPLETE", "", metrics, weights if number == 0 else None)
    recorder.search_ended("all trials done")

    here = found(backwards)
    places = {front.model: front for front in here.fronts}
    assert places["old"].energies == {"0": 8.0, "1": 9.0}
    # 1000 accumulates and 40 additions of 0.9 pJ, 100 MACs of 4.6 pJ, 20 multiplications of 3.7 pJ
    assert places["horowitz-45nm"].energies == {"0": pytest.approx((1040 * 0.9 + 100 * 4.6 + 20 * 3.7) / 1000)}
    assert places["horowitz-45nm"].place("1") == "not known: no counts stored"
    assert places["lemaire-45nm"].place("0") == "not known: no geometry stored"
    assert "not known: without the messages" in places["loihi-1"].place("0")
    assert "not known to suffice" in places["backwards"].place("0")
    assert "leave out encoders" in list(here.sentences())[-1]


def test_a_model_that_raises_costs_its_own_answers(keep: Keep, backwards: Path) -> None:
    keep()
    (backwards / "backwards.py").write_text(BACKWARDS.replace("return {", "raise ValueError('no') or {"))
    front = next(front for front in found(backwards).fronts if front.model == "backwards")
    assert front.place("0") == "not known: ValueError: no"


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    load_commands()(["pareto", "one", "--stable", *arguments], standalone_mode=False)
    said = capsys.readouterr()
    return said.out, said.err


def test_every_format_has_places_energies_and_agreement(
    keep: Keep, backwards: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keep()
    folder = ["--plugins-dir", str(backwards)]
    rows: list[dict[str, Any]] = json.loads(printed(capsys, "--format", "json", *folder)[0])
    assert [row["trial"] for row in rows] == [1, 2, 0]
    assert [row["on_horowitz-45nm"] for row in rows] == ["yes", "no", "yes"]
    assert {row["on_backwards"] for row in rows} == {"yes"}
    assert [row["backwards_nj"] for row in rows] == [5.0, 2.5, 10.0]
    assert rows[1]["on_every_front"] == "no"
    assert [row["tau_horowitz-45nm_backwards"] for row in rows] == [pytest.approx(1 / 3)] * 3
    for format_ in ("csv", "markdown"):
        out, err = printed(capsys, "--format", format_, *folder)
        assert "tau_horowitz-45nm_backwards" in out
        assert "Kendall's tau between horowitz-45nm and backwards is 0.33" in err
    out, err = printed(capsys, *folder)
    assert "Kendall's tau between horowitz-45nm and backwards is 0.33" in out
    assert (err, "tau_" in out) == ("", False)


def test_the_api_returns_it_and_filters_hold(keep: Keep) -> None:
    keep()
    rows = spikefront.load_search("one").front(stable=True, min_quality=0.85)
    assert list(rows["trial"]) == [0]
    assert not math.isnan(rows["lemaire-45nm_nj"][0])
    assert rows.attrs["sentences"]
    with pytest.raises(UsageError, match="stable= and knee= can't be combined"):
        spikefront.pareto("one", stable=True, knee=True)


def test_the_report_has_it(keep: Keep, backwards: Path) -> None:
    keep()
    page = write_report(Store(), "one", "one.html", [backwards]).read_text(encoding="utf-8")
    assert "Under other energy models" in page
    assert ("690 pJ, not on its front" in page, "2.50 nJ</td>" in page) == (True, True)
    assert "Kendall&#39;s tau between horowitz-45nm and backwards is 0.33" in page


def test_counts_are_kept_whole_and_small() -> None:
    whole = Counts(
        samples=2,
        steps=3,
        layers=(
            LayerCount("conv", "synapse", sops=5, geometry=Geometry(1, 2, 3, 4, (3, 3), (2, 1), True), biases=4),
            LayerCount("site", "neuron", operations=Operations(1.5, 2.0, 0.25), events=0, sites=9, active=0),
            LayerCount("coding.decode", "readout"),
        ),
        delay=1,
    )
    text = counts_json(whole)
    assert Counts.from_dict(json.loads(text)) == whole
    assert '{"layer":"coding.decode","role":"readout"}' in text
