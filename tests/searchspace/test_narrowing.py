from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.searchspace import (
    Choice,
    Domain,
    Float,
    Int,
    Narrowing,
    UnknownName,
    UsageError,
    parse_mapping,
    parse_set,
)
from spikefront.searchspace.domains import contains
from spikefront.searchspace.errors import OptionError
from spikefront.searchspace.narrowing import overlap

DOMAINS: list[Domain] = [
    Float(0.3, 2.0),
    Float(1e-4, 1.0, log=True),
    Int(1, 16, log=True),
    Int(-3, 9, step=3),
    Float(0, 1, step=0.25),
    Choice((True, False)),
    Choice((1, 3, 5)),
    Choice(("hard", "soft")),
]

numbers = st.one_of(st.integers(-5, 20), st.floats(-1, 3)).map(str)
texts = st.one_of(numbers, st.sampled_from(["true", "False", "hard", "soft", "nan", "inf"]))


@given(
    domain=st.sampled_from(DOMAINS),
    values=st.lists(texts, min_size=1, max_size=3),
    bounds=st.none() | st.tuples(texts, texts),
)
def test_narrowing_never_widens(domain: Domain, values: list[str], bounds: tuple[str, str] | None) -> None:
    try:
        kept = Narrowing("x", () if bounds else tuple(values), bounds, "--set").apply(domain, "x")
    except UsageError:
        return
    assert isinstance(kept, (Choice, Float, Int))
    ends = kept.choices if isinstance(kept, Choice) else (kept.low, kept.high)
    assert ends
    assert all(contains(domain, value) for value in ends)
    if isinstance(kept, Int) and isinstance(domain, Int):
        assert (kept.step, kept.log) == (domain.step, domain.log)
    if isinstance(kept, Float) and isinstance(domain, Float):
        assert (kept.step, kept.log) == (domain.step, domain.log)


@given(low=st.floats(0.3, 2.0), high=st.floats(0.3, 2.0))
def test_range_keeps_exactly_what_lies_between(low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    assert parse_set(f"x={low!r}..{high!r}").apply(Float(0.3, 2.0), "x") == Float(low, high)


@pytest.mark.parametrize(
    ("text", "domain", "kept"),
    [
        ("x=0.5..1.0", Float(0.3, 2.0), Float(0.5, 1.0)),
        ("x = 2 .. 8", Int(1, 16, log=True), Int(2, 8, log=True)),
        ("x=4", Int(1, 16), Choice([4])),
        ("x=1e-3,0.5", Float(1e-4, 1.0, log=True), Choice([1e-3, 0.5])),
        ("x=soft, hard,soft", Choice(("hard", "soft")), Choice(["soft", "hard"])),
        ("x=true", Choice((True, False)), Choice([True])),
        ("x=3", Choice((1, 3, 5)), Choice([3])),
    ],
)
def test_text_is_read_in_the_domains_own_type(text: str, domain: Domain, kept: Domain) -> None:
    assert parse_set(text).apply(domain, "x") == kept


def test_star_stands_for_any_part() -> None:
    narrowing = parse_set("neuron.*.threshold=0.5")
    assert narrowing.matches("neuron.lif.threshold")
    assert not narrowing.matches("neuron.lif.reset")
    assert not narrowing.matches("coding.latency.threshold")


@pytest.mark.parametrize("text", ["", "steps", "steps=", "=4", " = "])
def test_set_needs_a_name_and_a_value(text: str) -> None:
    rule = "must read NAME=VALUE, NAME=VALUE,VALUE or NAME=LOW..HIGH"
    with pytest.raises(OptionError) as error:
        parse_set(text)
    assert str(error.value) == f"space={text!r} {rule}"
    shown = text if text.strip() and " " not in text else repr(text)
    assert error.value.on_command_line() == f"--set {shown} {rule}"


@pytest.mark.parametrize(
    ("text", "domain", "error", "message"),
    [
        ("x=,", Int(1, 3), UsageError, r"^space='x=,': x has no value$"),
        (
            "x=9",
            Int(1, 3),
            UsageError,
            r"^space='x=9': n\.x: 9 is outside 1\.\.3; a space can be narrowed, never widened$",
        ),
        ("x=0.1..1", Float(0.3, 2), UsageError, r"n\.x: 0\.1 is outside 0\.3\.\.2; .* never widened$"),
        ("x=2..4", Int(1, 3), UsageError, r"n\.x: 4 is outside 1\.\.3"),
        ("x=2", Int(1, 9, step=2), UsageError, r"n\.x: 2 is outside 1\.\.9 \(step 2\)"),
        ("x=3..1", Int(1, 3), UsageError, r"n\.x: 3\.\.1 is reversed; write 1\.\.3$"),
        ("x=..3", Int(1, 3), UsageError, r"n\.x: '' is not a number in 1\.\.3$"),
        ("x=many", Float(0, 1), UsageError, r"n\.x: 'many' is not a number in 0\.\.1$"),
        ("x=1.5", Int(1, 3), UsageError, r"n\.x: '1\.5' is not a number in 1\.\.3$"),
        ("x=a..b", Choice(("a", "b")), UsageError, r"n\.x: a\.\.b is a range, but this is a choice of a, b$"),
        ("x=hrad", Choice(("hard", "soft")), UnknownName, r"'hrad'\. Did you mean 'hard'\? Known: hard, soft\.$"),
    ],
)
def test_mistake_is_named(text: str, domain: Domain, error: type[UsageError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_set(text).apply(domain, "n.x")


def test_mistake_is_named_as_a_flag_on_the_command_line() -> None:
    with pytest.raises(UsageError) as error:
        parse_set("x=9").apply(Int(1, 3), "n.x")
    assert error.value.on_command_line() == (
        "--set x=9: n.x: 9 is outside 1..3; a space can be narrowed, never widened"
    )


def test_mapping_reads_scalars_lists_and_ranges() -> None:
    space = {"steps": 4, "coding": ["sac", "rate"], "neuron.*.threshold": "0.5..1.0", "neuron.lif.detach_reset": False}
    assert parse_mapping(space, "study.yaml") == [
        Narrowing("steps", ("4",), None, "study.yaml"),
        Narrowing("coding", ("sac", "rate"), None, "study.yaml"),
        Narrowing("neuron.*.threshold", (), ("0.5", "1.0"), "study.yaml"),
        Narrowing("neuron.lif.detach_reset", ("False",), None, "study.yaml"),
    ]


@pytest.mark.parametrize("value", [None, {"low": 1}, [1, None], [[1]]])
def test_mapping_refuses_what_is_not_a_value(value: object) -> None:
    with pytest.raises(
        UsageError, match=r"^study\.yaml: space: steps: .* is not a value, a list of values or LOW\.\.HIGH$"
    ):
        parse_mapping({"steps": value}, "study.yaml")


def test_mapping_refuses_an_empty_list() -> None:
    with pytest.raises(UsageError, match=r"^study\.yaml: steps has no value$"):
        parse_mapping({"steps": []}, "study.yaml")


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (Int(1, 16, log=True), Int(2, 8), Int(2, 8, log=True)),
        (Int(1, 13, step=3), Int(2, 20, step=2), Int(4, 10, step=6)),
        (Int(1, 9, step=2), Int(2, 8, step=2), None),
        (Int(1, 9), Int(3, 9, step=3), Int(3, 9, step=3)),
        (Int(1, 3), Int(5, 9), None),
        (Float(0, 1), Float(0.5, 2), Float(0.5, 1)),
        (Float(0, 1, step=0.25), Float(0.3, 0.9), Choice((0.5, 0.75))),
        (Float(0.3, 0.9), Float(0, 1, step=0.25), Choice((0.5, 0.75))),
        (Float(0, 1, step=0.25), Float(0, 1, step=0.5), Choice((0.0, 0.5, 1.0))),
        (Choice((1, 2, 3)), Int(2, 9), Choice((2, 3))),
    ],
)
def test_overlap_is_what_both_domains_hold(one: Domain, other: Domain, common: Domain | None) -> None:
    assert overlap(one, other) == common


def test_words_that_differ_in_case_alone_are_told_apart() -> None:
    assert parse_set("x=Relu").apply(Choice(("relu", "Relu")), "x") == Choice(("Relu",))
    assert parse_set("x=TRUE").apply(Choice((True, False)), "x") == Choice((True,))
