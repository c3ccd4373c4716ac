"""Plugins of libraries that are not installed: not offered, and named with what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import spikefront
from spikefront.commands.app import load_commands
from spikefront.plugins import load_registry
from spikefront.searchspace import Space, UnknownName, UsageError, from_flat, parse_set

OF_YOURS = """
from spikefront.plugins import Neuron, hookimpl

class Mine(Neuron):
    name = "mine"
    library = "no_such_library"

@hookimpl
def register_neurons(register):
    register(Mine)
"""


@pytest.fixture
def without_snntorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "snntorch", None)  # so Python refuses to import it


CURE = "needs snntorch, which is not installed: pip install 'spikefront\\[snntorch\\]'"


@pytest.mark.usefixtures("without_snntorch")
def test_what_is_not_installed_is_not_offered_and_named_with_its_extra(capsys: pytest.CaptureFixture[str]) -> None:
    registry = load_registry(third_parties=False)
    assert not [name for names in registry.entries.values() for name in names if name.startswith("snntorch-")]
    assert registry.problems == {}
    with pytest.raises(UsageError, match=f"^neuron 'snntorch-leaky' {CURE}$"):
        registry.get("neuron", "snntorch-leaky")
    with pytest.raises(UsageError, match=f"^neuron 'snntorch-leaky' {CURE}$"):
        Space(registry, "digits", [parse_set("neuron=lif,snntorch-leaky")])
    with pytest.raises(UsageError, match=f"^coding 'snntorch-rate' {CURE}$"):
        from_flat({"task": "digits", "coding": "snntorch-rate"}, registry)

    load_commands()(["plugins", "--kind", "neuron"], standalone_mode=False)
    printed = capsys.readouterr()
    assert "not offered: neuron 'snntorch-leaky' needs snntorch" in printed.err
    assert "snntorch-rate" not in printed.err
    assert "snntorch-leaky" not in printed.out


@pytest.mark.usefixtures("without_snntorch")
def test_a_candidate_of_it_is_refused_in_one_line() -> None:
    with pytest.raises(UsageError, match=CURE):
        spikefront.judge({"task": "digits", "coding": "direct", "neuron": "snntorch-leaky"})


def test_a_plugin_of_yours_says_what_it_needs_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(OF_YOURS)
    registry = load_registry([tmp_path], third_parties=False)
    with pytest.raises(UsageError, match=r"neuron 'mine' needs no_such_library, .* pip install no_such_library$"):
        registry.get("neuron", "mine")
    with pytest.raises(UnknownName, match=r"^unknown coding 'mine'"):  # of another kind
        registry.get("coding", "mine")
