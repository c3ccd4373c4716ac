from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikefront.plugins import Counts, EnergyModel, Geometry, LayerCount, Operations, load_registry
from spikefront.plugins.bases.prices import FLOAT32_45NM, INT32_45NM, LOIHI_1, ChipProfile, Profile
from spikefront.plugins.network.traffic import Traffic

DOCUMENT = (Path(__file__).parents[3] / "docs" / "energy.md").read_text(encoding="utf-8")
MODELS: dict[str, Profile | ChipProfile] = {
    "horowitz-45nm": FLOAT32_45NM,
    "lemaire-45nm": INT32_45NM,
    "loihi-1": LOIHI_1,
}


def test_multiply_accumulate_is_a_multiplication_and_an_addition() -> None:
    assert FLOAT32_45NM.mac_pj == pytest.approx(4.6)  # 3.7 + 0.9
    assert INT32_45NM.mac_pj == pytest.approx(3.2)  # 3.1 + 0.1


def test_each_model_names_the_technology_of_its_prices_and_no_two_share_one() -> None:
    entries = load_registry(third_parties=False).entries["energy"]
    found: dict[str, type[EnergyModel]] = {name: entry.plugin for name, entry in entries.items()}
    stated = ("technology", "source", "evidence", "leaves_out")
    assert {name: [getattr(model, one) for one in stated] for name, model in found.items()} == {
        name: [getattr(profile, one) for one in stated] for name, profile in MODELS.items()
    }
    assert len({profile.technology for profile in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_document_says_what_a_profile_costs_and_what_stands_behind_it(name: str) -> None:
    profile = MODELS[name]
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1] == profile.technology
    assert cells[-2:] == [profile.evidence, profile.source]
    if isinstance(profile, Profile):
        assert cells[2:4] == [f"{profile.add_pj:g}", f"{profile.multiply_pj:g}"]


@pytest.mark.parametrize(
    ("event", "picojoules", "nanoseconds"),
    [
        ("access to a neuron", f"{LOIHI_1.access.pj}", f"{LOIHI_1.access.ns}"),
        ("update", f"{LOIHI_1.update.pj}", f"{LOIHI_1.update.ns}"),
        ("spike", f"{LOIHI_1.spike.pj}", f"{LOIHI_1.spike.ns}"),
        ("message", f"{LOIHI_1.message.pj}", f"{LOIHI_1.message.ns}"),
    ],
)
def test_document_says_what_events_on_loihi_1_cost(event: str, picojoules: str, nanoseconds: str) -> None:
    assert f"| {event} | {picojoules} | {nanoseconds} |" in DOCUMENT


@pytest.mark.parametrize("name", MODELS)
def test_worked_example_of_the_document_is_what_the_model_says(name: str) -> None:
    geometry = Geometry(inputs=25, outputs=18, channels=2, weights=18, kernel=(3, 3), biased=True)
    sent = Traffic(messages=3, storage="conv")
    conv = LayerCount("conv", "synapse", sops=54, events=3, sites=50, geometry=geometry, traffic=sent)
    updates, visits = Operations(adds=72, multiplies=36), Traffic(accesses=54, updates=36)
    neurons = LayerCount("lif", "neuron", operations=updates, events=4, sites=36, traffic=visits)
    _, _, table = DOCUMENT.partition(f"| `{name}` | pJ |")
    found = re.search(r"\| \*\*sum\*\* \| \*\*([\d.]+)\*\* \|", table)
    assert found is not None

    model: EnergyModel = load_registry(third_parties=False).get("energy", name)()
    energy = model.energy_nj(Counts(samples=1, steps=2, layers=(conv, neurons)))
    assert 1000 * energy == pytest.approx(float(found[1]), abs=0.06)  # to the digit, but for rounding of the lines
