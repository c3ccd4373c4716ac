from __future__ import annotations

from dataclasses import dataclass, make_dataclass
from typing import Annotated, Any

import pytest

from spikefront.searchspace import (
    PINNED,
    Choice,
    Float,
    Int,
    Snap,
    UnknownName,
    UsageError,
    When,
    build,
    fields_of,
    validate,
)
from spikefront.searchspace.fields import existing, settled


@dataclass(frozen=True, slots=True)
class Config:
    mode: Annotated[str, Choice(("fast", "exact"))] = "fast"
    """How it is
    computed."""
    gain: Annotated[float, Float(0.5, 2.0), When("mode", ("exact",))] = 1.0
    taps: Annotated[int, Int(1, 9, step=2), PINNED] = 3
    """Odd."""


def test_field_says_all_there_is_to_know() -> None:
    mode, gain, taps = fields_of(Config)
    assert (mode.name, mode.default, mode.doc, mode.pinned, mode.when) == (
        "mode",
        "fast",
        "How it is computed.",
        False,
        None,
    )
    assert (gain.domain, gain.doc, gain.when) == (Float(0.5, 2.0), "", When("mode", ("exact",)))
    assert (taps.domain, taps.pinned) == (Int(1, 9, step=2), True)


def test_field_is_active_only_under_its_condition() -> None:
    mode, gain, _ = fields_of(Config)
    assert mode.active({})
    assert gain.active({"mode": "exact"})
    assert not gain.active({"mode": "fast"})


def test_class_without_source_has_no_docs() -> None:
    made = make_dataclass("Made", [("width", Annotated[int, Int(0, 1)], 0)])
    assert [(field.name, field.doc) for field in fields_of(made)] == [("width", "")]


def test_config_must_be_a_dataclass() -> None:
    class Plain:
        pass

    with pytest.raises(TypeError, match=r"Plain must be a dataclass of Annotated\[type, domain\] fields"):
        fields_of(Plain)


def test_field_must_have_a_domain() -> None:
    @dataclass
    class Bare:
        width: int = 3

    with pytest.raises(TypeError, match=r"Bare\.width must read 'Annotated\[type, Float\|Int\|Choice"):
        fields_of(Bare)


def test_field_must_have_a_default() -> None:
    @dataclass
    class Open:
        width: Annotated[int, Int(1, 3)]

    with pytest.raises(TypeError, match=r"Open\.width must read"):
        fields_of(Open)


def test_default_must_lie_in_its_domain() -> None:
    @dataclass
    class Wild:
        width: Annotated[int, Int(1, 3)] = 4

    with pytest.raises(UsageError, match=r"Wild\.width, default: 4 is outside 1\.\.3"):
        fields_of(Wild)


@dataclass(frozen=True)
class Snapping:
    tau: Annotated[float, Float(1.1, 10.0, log=True), Snap((2.0, 4.0), within=0.05)] = 3.0
    """Tau."""


@pytest.mark.parametrize(
    ("drawn", "kept"), [(2.0, 2.0), (1.91, 2.0), (2.09, 2.0), (2.11, 2.11), (4.19, 4.0), (3.0, 3.0), (1.89, 1.89)]
)
def test_draws_near_a_cheap_value_are_that_value(drawn: float, kept: float) -> None:
    (field,) = fields_of(Snapping)
    assert field.snapped(drawn, field.domain) == kept
    assert field.snapped(drawn, Float(1.5, 5.0)) == drawn  # a user asked for this range


def test_cheap_value_outside_of_the_range_is_refused() -> None:
    @dataclass(frozen=True)
    class Beyond:
        tau: Annotated[float, Float(1.1, 3.0), Snap((2.0, 4.0))] = 2.0

    with pytest.raises(UsageError, match=r"Beyond\.tau, Snap: 4\.0 is outside 1\.1\.\.3"):
        fields_of(Beyond)


def test_condition_must_name_an_earlier_field() -> None:
    @dataclass
    class Early:
        gain: Annotated[float, Float(0, 1), When("mode", ("exact",))] = 0.0
        mode: Annotated[str, Choice(("fast", "exact"))] = "fast"

    with pytest.raises(TypeError, match=r"Early\.gain: When\('mode'\) must name an earlier field"):
        fields_of(Early)


def test_build_fills_in_defaults() -> None:
    assert build(Config, {"taps": 5}, "x") == Config(mode="fast", gain=1.0, taps=5)


def test_build_offers_the_nearest_name() -> None:
    with pytest.raises(
        UnknownName,
        match=r"unknown hyperparameter of coding\.x 'tap'\. Did you mean 'taps'\? Known: gain, mode, taps\.",
    ):
        build(Config, {"tap": 5}, "coding.x")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"taps": 4}, r"coding\.x\.taps: 4 is outside 1\.\.9 \(step 2\)"),
        ({"taps": 3.0}, r"coding\.x\.taps: 3\.0 is outside"),
        ({"gain": "loud"}, r"coding\.x\.gain: 'loud' is outside 0\.5\.\.2"),
        ({"mode": "slow"}, r"coding\.x\.mode: 'slow' is outside fast, exact"),
    ],
)
def test_build_refuses_what_lies_outside(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(Config, values, "coding.x")


def test_config_built_by_hand_is_checked_too() -> None:
    validate(Config(taps=9), "x")
    with pytest.raises(UsageError, match=r"x\.taps: 11 is outside"):
        validate(Config(taps=11), "x")


def test_unknown_name_without_any_known_says_none() -> None:
    assert str(UnknownName("coding", "x", [])) == "unknown coding 'x'. Known: none."


Deep = make_dataclass(
    "Deep",
    [
        ("a", Annotated[str, Choice(("x", "y"))], "x"),
        ("b", Annotated[str, Choice(("p", "q")), When("a", ("y",))], "q"),
        ("c", Annotated[float, Float(0, 1), When("b", ("q",))], 0.5),
    ],
    frozen=True,
)


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"a": "x", "b": "q", "c": 0.1}, ["a"]),
        ({"a": "y", "b": "p", "c": 0.1}, ["a", "b"]),
        ({"a": "y", "b": "q", "c": 0.1}, ["a", "b", "c"]),
    ],
)
def test_field_whose_parent_does_not_exist_does_not_exist(values: dict[str, Any], names: list[str]) -> None:
    assert list(existing(fields_of(Deep), values)) == names


def test_fields_that_do_not_exist_are_settled_at_their_defaults() -> None:
    assert settled(Deep(a="x", b="p", c=0.9)) == Deep(a="x")
    assert settled(Deep(a="y", b="p", c=0.9)) == Deep(a="y", b="p")
    assert settled(Deep(a="y", b="q", c=0.9)) == Deep(a="y", b="q", c=0.9)


def test_config_is_built_on_the_grid_of_a_step() -> None:
    stepped = make_dataclass("Stepped", [("x", Annotated[float, Float(0, 1, step=0.1)], 0.0)], frozen=True)
    assert build(stepped, {"x": 0.1 + 0.2}, "s") == build(stepped, {"x": 0.3}, "s")
    with pytest.raises(UsageError, match=r"^s\.x: 0\.35 is outside 0\.\.1 \(step 0\.1\)$"):
        build(stepped, {"x": 0.35}, "s")
