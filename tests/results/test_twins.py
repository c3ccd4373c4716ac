"""How members stand against their twins, as MLflow has it."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient

from spikefront.results.store.connection import Store
from spikefront.results.store.recorder import MlflowRecorder
from spikefront.results.transfer import export_search, import_search
from spikefront.results.twins import Twins, compare, verdict
from spikefront.results.verdicts import Order
from spikefront.searchspace import OptionError, UsageError
from spikefront.searchspace.records import LayerEnergy, Repeat

RECORDS = [LayerEnergy("stem", "synapse", 1.0, 2.0, 0.0, 0.0, 3.0, 4.0, energy_nj=3.0, silent_nj=1.0)]
LAYERS = [asdict(layer) for layer in RECORDS]


@pytest.fixture
def ended(database: None, search: Callable[..., Any], candidate: Callable[..., Any], tmp_path: Path) -> None:
    """Write a search whose front are trials 0, 1 and 2; only trial 1 has left weights and layers."""
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    weights = tmp_path / "trial-00001.pt"
    weights.write_bytes(b"weights")
    weights.with_suffix(".layers.json").write_text(json.dumps({"layers": LAYERS}))
    weights.with_suffix(".picture.png").write_bytes(b"a picture")
    weights.with_suffix(".part").write_bytes(b"half a file")
    for number, (quality, energy) in enumerate([(0.5, 10.0), (0.8, 100.0), (0.9, 1e3), (0.4, 5e3)]):
        recorder.trial_started(number, candidate())
        metrics = {"quality": quality, "energy_nj": energy, "spike_rate": 0.1}
        recorder.trial_ended(number, "COMPLETE", "", metrics, weights if number == 1 else None)
    recorder.search_ended("all trials done")


NOISE = (0.002, -0.002, 0.0)
"""Of three seeds: nothing, twice, and 2 times the noise beside the differences that the tests decide."""


def twins_at(ann: float, few: float) -> dict[str, float]:
    found = {"ann.quality": ann, "ann.energy_nj": 50.0, "ann.macs": 7.0}
    return found | {
        "quantised.quality": few,
        "quantised.energy_nj": 20.0,
        "quantised.macs": 6.0,
        "quantised.bits": 3.0,
    }


def tell(twins: Twins, trial: int, own: float, ann: float, few: float, seeds: Sequence[int], **options: Any) -> None:
    """Record repeats of a member and of its twins that vary in different ways."""
    take = twins.record(3, options.get("stream", io.StringIO()))
    metrics = next(one.metrics for one in twins.members if one.number == trial)
    for row, seed in enumerate(seeds):
        mine = {"quality": own + NOISE[row], "energy_nj": metrics["energy_nj"] * (1 + NOISE[row])}
        if twins.split == "validation":
            take(Repeat(str(trial), seed, mine))
        take(Repeat(str(trial), seed, twins_at(ann - NOISE[row], few + NOISE[row - 1])))


def half(layers: Sequence[LayerEnergy], energy_nj: float) -> float:
    """Return something that tells layers and energy apart."""
    return energy_nj / 100 if layers else math.nan


@pytest.mark.usefixtures("ended")
def test_what_a_worker_leaves_beside_weights_is_kept_with_them_and_moves_with_the_search(tmp_path: Path) -> None:
    def kept(uri: str) -> dict[str, set[str]]:
        client = MlflowClient(uri)
        runs = client.search_runs(["0"], "tags.pareto = 'true'")
        return {
            run.data.tags["trial.number"]: {entry.path for entry in client.list_artifacts(run.info.run_id)}
            for run in runs
        }

    files = {"candidate.json", "layers.json", "trial-00001.pt", "picture.png"}
    expected = {"0": {"candidate.json"}, "1": files, "2": {"candidate.json"}}
    assert kept(Store().uri) == expected
    other = f"sqlite:///{tmp_path}/other.db"
    export_search(Store(), "digits-1", "moved.zip")
    import_search(Store(other), "moved.zip")
    assert kept(other) == expected
    run = next(iter(MlflowClient(other).search_runs(["0"], "tags.`trial.number` = '1'")))
    assert json.loads(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/layers.json")) == {"layers": LAYERS}


@pytest.mark.usefixtures("ended")
def test_a_front_that_is_not_confirmed_is_compared_under_fresh_seeds_for_members_and_twins() -> None:
    twins = Twins(Store())
    assert (twins.split, list(twins.seeds)) == ("validation", [4, 5, 6])  # the search used seed 3
    pairs = [(trial, seed) for seed in (4, 5, 6) for trial in ("0", "1", "2")]
    assert twins.missing() == (pairs, pairs)
    said = io.StringIO()
    tell(twins, 0, 0.5, 0.9, 0.8, (4, 5, 6), stream=said)
    tell(twins, 1, 0.8, 0.85, 0.7, (4, 5, 6))
    twins.has_none("2", "no ANN of the same")
    assert said.getvalue().splitlines()[:2] == [
        "[1/3] trial 0, seed 4: itself 0.5020 for 10.0 nJ",
        "[2/3] trial 0, seed 4: ANN 0.8980 for 50.0 nJ, 3 bits 0.8000 for 20.0 nJ",
    ]
    assert twins.missing() == ([], [])
    frame, told = twins.conclude(half)
    assert list(frame["trial"]) == [0, 1, 2]  # the cheapest first
    assert list(frame["twin"]) == ["trades", "loses", "none"]
    assert frame["quality"].tolist() == pytest.approx([0.5, 0.8, 0.9])
    assert frame["quantised_energy_nj"].tolist()[:2] == [20.0, 20.0]
    assert frame["break_even_rate"].tolist()[1] == 0.2
    assert math.isnan(frame["break_even_rate"][0])  # its layers are not known
    assert frame["seeds"].tolist()[:2] == [3, 3]
    assert told[0].startswith("Of 2 members, 1 lose to a twin (trial 1)")
    assert told[0].endswith("1 trade quality for energy; 0 are undecided.")
    assert told[1].startswith(
        "Compared on the validation split, under fresh seeds 4, 5, 6 for members and twins; after"
    )
    assert told[2:] == ["Trial 2 has no twin: no ANN of the same."]

    client = MlflowClient(Store().uri)
    (loser,) = client.search_runs(["0"], "tags.twin = 'loses' and metrics.`twin.ann.quality` > 0.8")
    assert loser.data.tags["trial.number"] == "1"
    assert (loser.data.tags["twin.split"], loser.data.tags["twin.seeds"]) == ("validation", "4,5,6")
    assert loser.data.metrics["twin.quantised.bits"] == 3
    assert loser.data.metrics["twin.member.quality"] == pytest.approx(0.8)
    again = Twins(Store(), "digits-1")
    assert again.missing() == ([], [])
    assert again.conclude(half)[0].to_json() == frame.to_json()
    document = again.search.artifact("twins.json")
    assert (document["split"], document["seeds"]) == ("validation", [4, 5, 6])
    assert [(one["trial"], one["verdict"]) for one in document["members"]] == [(0, "trades"), (1, "loses"), (2, "none")]
    assert document["members"][1]["ann"]["p_worse"] < 0.05 < document["members"][1]["ann"]["p_better"]


@pytest.mark.usefixtures("ended")
def test_a_front_that_is_confirmed_is_compared_with_its_repeats_on_the_test_split() -> None:
    client, runs = Store().client, {one.number: one.run_id for one in Twins(Store()).members}
    for trial in (0, 1):  # no repeat of trial 2 succeeded
        for seed in (4, 5, 6, 7):
            client.log_metric(runs[trial], "test.quality", 0.8 + NOISE[seed % 3], step=seed)
            client.log_metric(runs[trial], "test.energy_nj", 100.0, step=seed)
    twins = Twins(Store())
    assert (twins.split, twins.seeds) == ("test", [4, 5, 6, 7])
    assert twins.missing() == ([], [(trial, seed) for seed in (4, 5, 6, 7) for trial in ("0", "1")])
    assert Twins(Store(), seeds=2).seeds == [4, 5]
    with pytest.raises(OptionError, match=r"^seeds=5 is more than the 4 .* confirm --search digits-1 --seeds 5$"):
        Twins(Store(), seeds=5)
    tell(twins, 0, math.nan, 0.9, 0.8, (4, 5, 6))
    tell(twins, 1, math.nan, 0.7, 0.6, (4, 5, 6))
    frame, told = twins.conclude(half)
    assert dict(zip(frame["trial"], frame["twin"], strict=True)) == {0: "loses", 1: "trades"}
    assert frame["quality"].tolist() == pytest.approx([0.8 + sum(NOISE) / 3] * 2)
    assert told[1] == "Compared on the test split, under seeds 4, 5, 6, 7 of the confirmation."
    assert told[-1].startswith("The twins of trial 2 failed: the member has no repeat to compare with")
    assert twins.missing()[1] == [("0", 7), ("1", 7)]


@pytest.mark.usefixtures("ended")
def test_what_is_within_the_spread_is_undecided_and_one_seed_decides_nothing() -> None:
    twins = Twins(Store())
    tell(twins, 0, 0.8, 0.801, 0.6, (4, 5, 6))
    frame, _ = twins.conclude(half)
    assert frame["twin"][0] == "undecided"
    one = Twins(Store(), seeds=1)
    tell(one, 1, 0.8, 0.99, 0.1, (4,))
    frame, told = one.conclude(half)
    assert set(frame["twin"]) == {"undecided"}
    assert "One seed decides nothing: no test can be made; 3 or more do: --seeds 3." in told


@pytest.mark.usefixtures("ended")
def test_comparisons_of_earlier_versions_stay_as_they_are_until_seeds_are_asked_for() -> None:
    client, trials = Store().client, {one.number: one for one in Twins(Store()).members}
    for number, stands in ((0, "trades"), (1, "loses")):
        for name, value in twins_at(0.9, 0.8).items():
            client.log_metric(trials[number].run_id, f"twin.{name}", value)
        client.set_tag(trials[number].run_id, "twin", stands)
    twins = Twins(Store())
    assert {trial for trial, _ in twins.missing()[1]} == {"2"}
    frame, told = twins.conclude(half)
    assert list(frame["twin"]) == ["trades", "loses"]
    assert frame["quality"].tolist() == [0.5, 0.8]  # as selected
    assert any(
        line.startswith("Trial 0, 1: compared by an earlier version with the member as selected") for line in told
    )
    assert {trial for trial, _ in Twins(Store(), seeds=3).missing()[1]} == {"0", "1", "2"}


@pytest.mark.usefixtures("ended")
def test_what_failed_is_tried_again() -> None:
    twins = Twins(Store())
    said = io.StringIO()
    take = twins.record(9, said)
    for seed in twins.seeds:
        take(Repeat("0", seed, {}, "RuntimeError: the device is full"))
    for trial in (1, 2):
        tell(twins, trial, 0.9, 0.1, 0.1, (4, 5, 6))
    assert said.getvalue().startswith("[1/9] trial 0, seed 4: failed (RuntimeError: the device is full)\n")
    frame, told = twins.conclude(half)
    assert list(frame["trial"]) == [1, 2]
    assert told[-1] == "The twins of trial 0 failed: RuntimeError: the device is full."
    assert {trial for trial, _ in Twins(Store()).missing()[1]} == {"0"}


@pytest.mark.parametrize(
    ("quality", "energy", "expected"),
    [
        (0.90, 5.0, "wins"),  # a draw with the ANN, and cheaper
        (0.89, 1.0, "trades"),  # cheap, and worse than the ANN
        (0.80, 4.0, "trades"),
        (0.80, 6.0, "loses"),  # to the network of few bits
        (0.95, 99.0, "trades"),
        (0.90, 10.0, "loses"),  # a draw with the ANN
        (0.85, 5.0, "loses"),  # a draw with the other
    ],
)
@pytest.mark.parametrize("maximize", [True, False])
def test_verdicts_by_hand_where_nothing_varies(quality: float, energy: float, expected: str, maximize: bool) -> None:
    sign = 1 if maximize else -1
    twins = {
        "ann.quality": 0.90 * sign,
        "ann.energy_nj": 10.0,
        "quantised.quality": 0.85 * sign,
        "quantised.energy_nj": 5.0,
    }
    own = {"quality": quality * sign, "energy_nj": energy}
    assert compare({1: own, 2: own}, {1: twins, 2: twins}, (1, 2), maximize=maximize)["verdict"] == expected
    assert compare({1: own}, {1: twins}, (1,), maximize=maximize)["verdict"] == "undecided"


@pytest.mark.parametrize(
    ("quality", "thrift", "expected"),
    [
        ((1, 1), (1, 1), "wins"),
        ((1, None), (1, 1), "undecided"),
        ((-1, None), (-1, 1), "loses"),  # whatever the other one does
        ((1, 1), (1, None), "undecided"),
        ((1, 1), (-1, 1), "trades"),
        ((0, 1), (0, 1), "loses"),
    ],
)
def test_a_verdict_needs_no_more_than_what_decides_it(
    quality: tuple[Order, Order], thrift: tuple[Order, Order], expected: str
) -> None:
    assert verdict(quality, thrift) == expected


def test_a_search_that_runs_has_no_twins_yet(
    database: None, search: Callable[..., Any], candidate: Callable[..., Any]
) -> None:
    recorder = MlflowRecorder(Store())
    recorder.search_started(search())
    recorder._writer.close()
    with pytest.raises(
        UsageError, match=r"search 'digits-1' has left no front\.json: .* spikefront run --resume digits-1"
    ):
        Twins(Store())
