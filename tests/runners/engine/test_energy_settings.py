"""Settings of a search's energy model: from the command line, Python and study files to workers, journal and store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikefront.plugins import Registry, load_registry
from spikefront.runners.engine.memory.opening import create_study
from spikefront.runners.engine.memory.resume import resumed_settings
from spikefront.runners.engine.plan import SearchPlan
from spikefront.runners.engine.search import trainable_for
from spikefront.runners.engine.settings import SearchSettings
from spikefront.runners.engine.study_file import read_settings
from spikefront.runners.judging.judge import judge
from spikefront.runners.judging.layers import layers_json
from spikefront.searchspace import UnknownName, UsageError

CHIP = '''
from dataclasses import dataclass
from typing import Annotated

from spikefront.plugins import Choice, EnergyModel, Float, hookimpl


@dataclass(frozen=True, slots=True)
class ChipConfig:
    """Which chip."""

    node: Annotated[str, Choice(("28nm", "14nm"))] = "28nm"
    """Process."""
    add_pj: Annotated[float, Float(0.1, 10.0)] = 2.0
    """An addition."""


class Chip(EnergyModel):
    """A table of prices by process."""

    name, technology, source, Config = "chip-table", "two processes", "by definition", ChipConfig

    def layer_energy_nj(self, counts):
        scale = {"28nm": 1.0, "14nm": 0.5}[self.config.node] * self.config.add_pj / 1000 / counts.samples
        return {layer.layer: scale * (layer.sops + 5 * layer.macs) for layer in counts.layers}


@hookimpl
def register_energy_models(register):
    register(Chip)
'''
SET = ("energy.chip-table.node=14nm", "energy.chip-table.add_pj=4")
WHOLE = "chip-table(node=14nm, add_pj=4.0)"


@pytest.fixture
def chips(plugin_folder: Callable[[str], Path]) -> Path:
    return plugin_folder(CHIP)


@pytest.fixture
def with_chips(chips: Path) -> Registry:
    return load_registry((chips,), third_parties=False)


def plan(settings: SearchSettings, registry: Registry) -> SearchPlan:
    return SearchPlan(settings, registry)


def test_a_price_table_is_set_by_flag_by_study_file_and_in_python(
    tmp_path: Path, chips: Path, with_chips: Registry
) -> None:
    study = tmp_path / "study.yaml"
    study.write_text("energy_model: chip-table\nspace: {energy.chip-table.node: 14nm, energy.chip-table.add_pj: 4}\n")
    ways: tuple[dict[str, Any], ...] = (
        {"energy_model": "chip-table", "space": SET},
        {"energy_model": "chip-table", "space": {"energy.chip-table.node": "14nm", "energy.chip-table.add_pj": 4}},
        {"config": study},
        {"energy_model": WHOLE},
        {"energy_model": "chip-table(node=14nm)", "space": SET[1]},
    )
    for given in ways:
        settings = read_settings({"task": "digits", "folder": tmp_path, "plugins_dir": chips, **given})
        found = plan(settings, with_chips)
        assert str(found.energy_model) == WHOLE
        options = found.info().options
        assert options["energy_model"] == found.info().energy_model == "chip-table"
        assert (options["energy.chip-table.node"], options["energy.chip-table.add_pj"]) == ("14nm", 4.0)


def test_workers_get_the_settings(tmp_path: Path, with_chips: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SearchSettings("digits", folder=tmp_path, energy_model="chip-table", space=SET)
    given: dict[str, Any] = {}
    monkeypatch.setattr("ray.tune.with_parameters", lambda trainable, **more: given.update(more))
    trainable_for(plan(settings, with_chips), None)  # type: ignore[arg-type]
    assert given["settings"].energy_model == WHOLE
    assert str(with_chips.energy_model(given["settings"].energy_model)) == WHOLE


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"space": "energy.chip-table.nod=14nm"}, UnknownName, r"'nod'\. Did you mean 'node'\?"),
        ({"space": "energy.chip-table.node=9nm"}, UnknownName, r"'9nm'\. Did you mean .* 14nm, 28nm"),
        ({"space": "energy.chip-table.add_pj=40"}, UsageError, r"add_pj: 40 is outside 0\.1\.\.10"),
        ({"space": "energy.chip-table.add_pj=1..2"}, UsageError, "is set for the whole search: give one value"),
        ({"space": "energy.chip-tabel.node=14nm"}, UnknownName, r"'chip-tabel'\. Did you mean 'chip-table'\?"),
        ({"space": "energy=chip-table"}, UsageError, "is chosen by energy_model='chip-table'$"),
        ({"energy_model": "chip-table(node=9nm)"}, UsageError, "9nm"),
        ({"energy_model": "loihi-1(node=9nm)"}, UnknownName, "unknown setting of loihi-1: 'node'"),
        (
            {"energy_model": "loihi-1", "space": "energy.chip-table.node=14nm"},
            UsageError,
            r"this search has no energy 'chip-table'; choose it: energy_model='chip-table'$",
        ),
        (
            {"objective": "edp"},
            UsageError,
            "edp'? needs an energy model with times, such as loihi-1: chip-table has none",
        ),
        ({"objective": "latency_us:1..9"}, UsageError, "needs an energy model with times"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, with_chips: Registry, options: dict[str, Any], error: type[UsageError], message: str
) -> None:
    settings = SearchSettings("digits", folder=tmp_path, **{"energy_model": "chip-table", **options})
    with pytest.raises(error, match=message):
        plan(settings, with_chips)


def test_a_model_with_times_may_be_searched_for_them(tmp_path: Path, with_chips: Registry) -> None:
    settings = SearchSettings("digits", folder=tmp_path, energy_model="loihi-1", objective=("edp", "latency-us"))
    assert [axis.metric for axis in plan(settings, with_chips).objectives[2:]] == ["edp_uj_s", "latency_us"]


def test_a_resumed_search_keeps_the_settings_that_it_began_with(
    tmp_path: Path, chips: Path, with_chips: Registry
) -> None:
    more: dict[str, Any] = {"energy_model": "chip-table", "space": SET, "plugins_dir": chips}
    began = plan(SearchSettings("digits", name="s", folder=tmp_path, **more), with_chips)
    create_study(began.settings, began.objectives, began.sampler, began.about)
    again = {"resume": "s", "folder": tmp_path}
    assert str(plan(resumed_settings(again), with_chips).energy_model) == WHOLE
    with pytest.raises(UsageError, match="has the space that it began with; leave out space="):
        resumed_settings({**again, "space": "energy.chip-table.node=28nm"})
    with pytest.raises(UsageError, match="energy_model= can't be changed when a search is resumed"):
        resumed_settings({**again, "energy_model": "chip-table(node=28nm)"})


def test_a_search_without_the_encoders_work_keeps_to_that(tmp_path: Path, with_chips: Registry) -> None:
    settings = SearchSettings("digits", name="s", folder=tmp_path, charge_encoder=False)
    began = plan(settings, with_chips)
    whole = "horowitz-45nm(charge_encoder=False)"
    assert str(began.energy_model) == whole
    assert began.info().options["energy.horowitz-45nm.charge_encoder"] is False
    create_study(began.settings, began.objectives, began.sampler, began.about)
    assert str(plan(resumed_settings({"resume": "s", "folder": tmp_path}), with_chips).energy_model) == whole
    by_name = SearchSettings("digits", folder=tmp_path, space="energy.horowitz-45nm.charge_encoder=False")
    assert str(plan(by_name, with_chips).energy_model) == whole
    with pytest.raises(
        UsageError, match=r"energy model 'chip-table' can't leave the encoder out: let its config inherit"
    ):
        plan(SearchSettings("digits", folder=tmp_path, charge_encoder=False, energy_model="chip-table"), with_chips)


def test_an_encoder_that_is_not_charged_is_still_known(with_chips: Registry) -> None:
    flat = {"task": "digits", "coding": "latency", "backbone": "mlp", "steps": 3}
    flat |= {"training.epochs": 1, "training.subset": 64}
    charged = judge(flat, registry=with_chips).metrics
    free = judge(flat, registry=with_chips, energy_model="horowitz-45nm(charge_encoder=False)").metrics
    assert charged["encoder_nj"] == free["encoder_nj"] > 0
    assert charged["energy_nj"] - free["energy_nj"] == pytest.approx(charged["encoder_nj"])


def test_prices_follow_the_settings(with_chips: Registry) -> None:
    flat = {"task": "digits", "coding": "latency", "backbone": "mlp", "steps": 2}
    flat |= {"training.epochs": 1, "training.subset": 64}
    found = judge(flat, registry=with_chips, energy_model=WHOLE)
    default = judge(flat, registry=with_chips, energy_model="chip-table")
    operations = found.metrics["sops"] + 5 * found.metrics["macs"]
    assert found.metrics["energy_nj"] == pytest.approx(0.002 * operations)
    assert default.metrics["energy_nj"] == pytest.approx(found.metrics["energy_nj"])  # half the scale, twice the price
    cheap = with_chips.energy_model("chip-table(node=14nm)")
    assert cheap.energy_nj(found.counts) == pytest.approx(found.metrics["energy_nj"] / 2)
    assert found.silent is not None
    assert f'"energy_model": "{WHOLE}"' in layers_json(found.counts, found.silent, with_chips.energy_model(WHOLE))
