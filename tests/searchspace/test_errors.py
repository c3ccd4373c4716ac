"""Messages about names."""

from __future__ import annotations

from spikefront.searchspace import UnknownName


def test_a_few_names_are_all_listed() -> None:
    assert str(UnknownName("coding", "latncy", ["rate", "latency"])) == (
        "unknown coding 'latncy'. Did you mean 'latency'? Known: latency, rate."
    )


def test_of_many_names_the_near_ones_are_listed() -> None:
    names = [f"name-{number:02d}" for number in range(50)] + ["steps"]

    assert str(UnknownName("x", "stpes", names)) == "unknown x 'stpes'. Did you mean 'steps'? Known: steps (51 in all)."


def test_of_many_names_with_none_near_some_are_listed() -> None:
    text = str(UnknownName("x", "?", [f"name-{number:02d}" for number in range(50)]))

    assert "Did you mean" not in text
    assert text.endswith("name-19 (50 in all).")


def test_nothing_known_says_so() -> None:
    assert str(UnknownName("coding", "a", [])) == "unknown coding 'a'. Known: none."
