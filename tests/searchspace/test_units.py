from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikefront.searchspace import UsageError
from spikefront.searchspace.units import (
    format_duration,
    format_energy,
    format_quality,
    parse_count,
    parse_duration,
    parse_energy,
)


@pytest.mark.parametrize(
    ("text", "nanojoules"),
    [
        ("500nJ", 500.0),
        ("2uJ", 2_000.0),
        ("2 µJ", 2_000.0),
        ("2\u03bcJ", 2_000.0),  # the Greek letter
        ("1mJ", 1e6),
        ("0.5 J", 5e8),
        ("1e3pJ", 1.0),
        (".25nJ", 0.25),
    ],
)
def test_energies_are_read_in_nanojoules(text: str, nanojoules: float) -> None:
    assert parse_energy(text) == pytest.approx(nanojoules)


@pytest.mark.parametrize("text", ["", "500", "nJ", "-1nJ", "0nJ", "5 kJ", "5NJ", "1e999nJ", "nannJ", "5 nJ 3"])
def test_what_is_not_an_energy_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not an energy: give a number above 0 and a unit .*, like 500nJ"):
        parse_energy(text)


@pytest.mark.parametrize(
    ("nanojoules", "text"),
    [
        (0.0, "0.00 pJ"),
        (0.5, "500 pJ"),
        (1.0, "1.00 nJ"),
        (12.34, "12.3 nJ"),
        (999.4, "999 nJ"),
        (999.6, "1.00 µJ"),  # never 1000 nJ
        (1_234.0, "1.23 µJ"),
        (1e6, "1.00 mJ"),
        (5e12, "5000 J"),
    ],
)
def test_energies_are_written_with_three_digits(nanojoules: float, text: str) -> None:
    assert format_energy(nanojoules) == text


@pytest.mark.parametrize(
    ("nanojoules", "error", "text"),
    [
        (12.34, 0.21, "12.3 ± 0.2 nJ"),
        (1234.0, 30.0, "1.23 ± 0.03 µJ"),
        (0.76, 0.02, "760 ± 20 pJ"),
        (12.34, 0.004, "12.3 ± 0.004 nJ"),  # smaller than the digits show
        (12.34, 0.0, "12.3 ± 0.0 nJ"),
        (12.34, math.nan, "12.3 nJ"),
    ],
)
def test_errors_have_the_unit_and_the_decimals_of_the_energy(nanojoules: float, error: float, text: str) -> None:
    assert format_energy(nanojoules, error) == text


@given(st.floats(1e-3, 1e11))
def test_written_energies_read_back_to_half_a_percent(nanojoules: float) -> None:
    assert parse_energy(format_energy(nanojoules)) == pytest.approx(nanojoules, rel=0.0051)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7_200), ("30m", 1_800), ("90s", 90), ("1h30m", 5_400), ("1.5 h", 5_400), ("1d 2h", 93_600)],
)
def test_durations_are_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "0s", "-3m", "1h-3m", "2 weeks", "1e999h"])
def test_what_is_not_a_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a duration: give a number above 0 and a unit .*, like 90s or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (3, "3s"), (59.7, "1m00s"), (185, "3m05s"), (3_599.6, "1h00m"), (3_720, "1h02m"), (100_000, "1d04h")],
)
def test_durations_are_written_with_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(1, 10**6))
def test_written_durations_read_back_nearly(seconds: int) -> None:
    # Rounded to the second of the two units: half an hour at most from a day on, half a minute from an hour on.
    slack = 1_800 if seconds >= 86_370 else 30 if seconds >= 3_600 else 0
    assert abs(parse_duration(format_duration(seconds)) - seconds) <= slack


@pytest.mark.parametrize(("text", "number"), [("100k", 1e5), ("1.5M", 1.5e6), ("20000", 2e4), (" 3 k ", 3e3)])
def test_counts_are_read(text: str, number: float) -> None:
    assert parse_count(text) == pytest.approx(number)


@pytest.mark.parametrize("text", ["", "k", "0", "-3", "5G", "nan", "1e999"])
def test_other_counts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a count: give a number above 0"):
        parse_count(text)


@pytest.mark.parametrize(
    ("quality", "text"),
    [
        (0.96139, "0.9614"),
        (-0.05, "-0.0500"),
        (9.9, "9.9000"),
        (12.34567, "12.346"),
        (158.4, "158.40"),
        (-173.1234, "-173.12"),
        (123456.7, "123457"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_qualities_have_four_digits_behind_the_point_or_five_in_all(quality: float, text: str) -> None:
    assert format_quality(quality) == text
