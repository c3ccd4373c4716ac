from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikefront.plugins import Counts, EnergyModel, Geometry, LayerCount, Operations, load_registry
from spikefront.plugins.bases.prices import FLOAT32_45NM, INT32_45NM, LOIHI_1, Profile

DOCUMENT = (Path(__file__).parents[3] / "docs" / "energy.md").read_text(encoding="utf-8")
MODELS = {"horowitz-45nm": FLOAT32_45NM, "lemaire-45nm": INT32_45NM, "loihi-1": LOIHI_1}


def test_multiply_accumulate_is_a_multiplication_and_an_addition() -> None:
    assert FLOAT32_45NM.mac_pj == pytest.approx(4.6)  # 3.7 + 0.9
    assert INT32_45NM.mac_pj == pytest.approx(3.2)  # 3.1 + 0.1


def test_each_model_names_the_technology_of_its_prices_and_no_two_share_one() -> None:
    entries = load_registry(third_parties=False).entries["energy"]
    found: dict[str, type[EnergyModel]] = {name: entry.plugin for name, entry in entries.items()}
    assert {name: (model.technology, model.source) for name, model in found.items()} == {
        name: (profile.technology, profile.source) for name, profile in MODELS.items()
    }
    assert len({profile.technology for profile in MODELS.values()}) == len(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_document_says_what_a_profile_costs_and_whether_that_was_measured(name: str) -> None:
    profile: Profile = MODELS[name]
    row = next(line for line in DOCUMENT.splitlines() if line.startswith(f"| `{name}` |"))
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells[1:4] == [profile.technology, f"{profile.add_pj:g}", f"{profile.multiply_pj:g}"]
    assert cells[-2:] == ["yes" if profile.measured else "no", profile.source]


@pytest.mark.parametrize("name", MODELS)
def test_worked_example_of_the_document_is_what_the_model_says(name: str) -> None:
    geometry = Geometry(inputs=25, outputs=18, channels=2, weights=18, kernel=(3, 3), biased=True)
    conv = LayerCount("conv", "synapse", sops=54, events=3, sites=50, geometry=geometry)
    neurons = LayerCount("lif", "neuron", operations=Operations(adds=72, multiplies=36), events=4, sites=36)
    _, _, table = DOCUMENT.partition(f"| `{name}` | pJ |")
    found = re.search(r"\| \*\*sum\*\* \| \*\*([\d.]+)\*\* \|", table)
    assert found is not None

    model: EnergyModel = load_registry(third_parties=False).get("energy", name)()
    energy = model.energy_nj(Counts(samples=1, steps=2, layers=(conv, neurons)))
    assert 1000 * energy == pytest.approx(float(found[1]), abs=0.06)  # to the digit, but for rounding of the lines
