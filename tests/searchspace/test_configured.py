from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.searchspace import Choice, Float, Int, UsageError, When
from spikefront.searchspace.configured import name_of, read_config, write_configured
from spikefront.searchspace.fields import settings_of

NODES = ("14nm", "7nm (low a=b)", "half-pitch")


@dataclass(frozen=True, slots=True)
class Chip:
    """Settings of each type, one of which depends on another."""

    node: Annotated[str, Choice(NODES)] = "14nm"
    volts: Annotated[float, Float(0.1, 3.0)] = 0.75
    banks: Annotated[int, Int(1, 64)] = 4
    memory: Annotated[bool, Choice((False, True))] = False
    word: Annotated[int, Int(1, 64), When("memory", (True,))] = 8


configs = st.builds(
    Chip, node=st.sampled_from(NODES), volts=st.floats(0.1, 3.0), banks=st.integers(1, 64), memory=st.booleans()
)


@given(configs, st.integers(1, 64))
def test_a_config_comes_back_from_its_text_bit_by_bit(config: Chip, word: int) -> None:
    config = replace(config, word=word if config.memory else 8)
    text = write_configured("chip-table", settings_of(config))
    assert name_of(text) == "chip-table"
    assert read_config(text, Chip) == config


def test_text_is_as_short_as_can_be() -> None:
    assert write_configured("loihi-1", {}) == "loihi-1"
    assert read_config("chip-table", Chip) == read_config("chip-table()", Chip) == Chip()
    assert read_config("chip-table ( banks = 8,memory=on )", Chip) == Chip(banks=8, memory=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chip-table(bnks=8)", r"unknown setting of chip-table: 'bnks'\. Did you mean 'banks'\?"),
        ("chip-table(banks=0)", r"chip-table\.banks: 0 is outside 1\.\.64"),
        ("chip-table(node=9nm)", "unknown value of chip-table.node: '9nm'"),
        ("chip-table(banks=8", r"must read chip-table\(NAME=VALUE, NAME=VALUE\)"),
        ("chip-table(8)", r"must read chip-table\(NAME=VALUE, NAME=VALUE\)"),
    ],
)
def test_text_that_makes_no_sense_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_config(text, Chip)
