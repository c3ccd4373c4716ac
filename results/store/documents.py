"""Checks of the JSON documents of a search: one that was damaged, or that a stranger wrote, counts as missing."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields
from typing import Any, Final

from spikefront.results.store import schema
from spikefront.searchspace.domains import Value
from spikefront.searchspace.json_values import is_count, is_number, is_table, is_text, is_value
from spikefront.searchspace.records import LayerEnergy
from spikefront.searchspace.trial import Trial, read_name


def checked(name: str, document: object) -> dict[str, Any]:
    """Return a document of a search as it is, and an empty one in the place of what the file of that name never holds.

    Args:
        name: name of the artifact.
        document: what its JSON says.
    """
    return document if isinstance(document, dict) and _HOLDS.get(name, _is_any)(document) else {}


def front_members(front: Mapping[str, Any]) -> list[Trial]:
    """Return the members that ``front.json`` lists, in its order.

    Args:
        front: its content, as ``checked`` returns it.
    """
    named = [(*read_name(str(member["trial"])), member) for member in front["front"]]
    return [
        Trial(number, "COMPLETE", one["candidate"], one["metrics"], run_id=one["run_id"] or "", cut=cut)
        for number, cut, one in named
    ]


def points_of(document: Mapping[str, Any]) -> dict[int, dict[int, dict[str, float]]]:
    """Return the metrics of points that ``points.json`` has, by the numbers of their trials and T'.

    Args:
        document: its content, as ``checked`` returns it.
    """
    trials = document.get("trials", {})
    return {int(number): {int(cut): of for cut, of in points.items()} for number, points in trials.items()}


def candidate_of(content: bytes) -> dict[str, Value]:
    """Return the flat form of a candidate that ``candidate.json`` has; an empty one where the file is damaged."""
    found = parsed(content)
    return found if is_table(found, is_value) else {}


def parsed(content: bytes | bytearray) -> Any:
    """Return what JSON says, or None where it is damaged."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def layers_of(document: object) -> list[LayerEnergy]:
    """Return the energies by layer that ``layers.json`` lists; none where it is damaged.

    Args:
        document: what its JSON says.
    """
    layers = document.get("layers") if isinstance(document, dict) else None
    if not _are_members(layers, lambda one: _LAYER_AT_FIRST <= one.keys() <= _LAYER and _is_layer(one)):
        return []
    return [LayerEnergy(**layer) for layer in layers or []]


def _is_layer(one: dict[str, Any]) -> bool:
    return all((is_text if name in ("layer", "role") else is_number)(value) for name, value in one.items())


def _is_any(document: object) -> bool:
    return True


def _are_members(value: object, holds: Callable[[dict[str, Any]], bool]) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) and holds(one) for one in value)


def _is_member(one: dict[str, Any], measured: str, *metrics: str) -> bool:
    """Return whether a member has a trial, a candidate, and metrics of which some are needed."""
    is_measured = is_table(one.get(measured), is_number, *metrics)
    return is_measured and _is_name(one.get("trial")) and is_table(one.get("candidate"), is_value)


def _is_name(value: object) -> bool:
    """Return whether a value is a ``Trial.label``."""
    if isinstance(value, str):
        with suppress(ValueError):
            return read_name(value)[1] > 0
        return False
    return isinstance(value, int) and is_count(value) and value < _NUMBERS


def _is_front(document: dict[str, Any]) -> bool:
    def holds(one: dict[str, Any]) -> bool:
        return _is_member(one, "metrics", "quality", "energy_nj") and (
            one.get("run_id", 0) is None or is_text(one.get("run_id"))
        )

    return _are_members(document.get("front"), holds)


def _is_confirmed(document: dict[str, Any]) -> bool:
    def is_spread(value: object) -> bool:
        return is_table(value, is_number)

    def holds(one: dict[str, Any]) -> bool:
        if not _is_member(one, "selected") or not is_table(one.get("test"), is_spread, "quality"):
            return False
        is_whole = all(name in spread for name, spread in one["test"].items())
        return is_whole and isinstance(one.get("stays"), bool) and is_decided(one)

    def is_decided(one: dict[str, Any]) -> bool:
        if "verdict" not in one:  # of an earlier version, by the means alone
            return one["stays"] or _is_name(one.get("beaten_by"))
        numbers = all(one.get(name) is None or is_number(one[name]) for name in ("probability", "p"))
        rival = one.get("rival") is None or _is_name(one["rival"])
        return numbers and rival and one["verdict"] in ("stays", "undecided", "falls")

    seeds = document.get("seeds", [])
    is_whole = (
        isinstance(seeds, list) and is_text(document.get("rule", "")) and _is_selection(document.get("selection"))
    )
    return is_whole and _are_members(document.get("members"), holds) and _has_failures(document)


def _is_selection(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, dict) or not is_count(value.get("members")):
        return False
    numbers = {name: one for name, one in value.items() if name.startswith(("flatters", "more_data"))}
    return is_table(numbers, is_number, "flatters", "more_data")


def _is_twins(document: dict[str, Any]) -> bool:
    def holds(one: dict[str, Any]) -> bool:
        twins = [one[name] for name in ("ann", "quantised") if name in one]
        if (
            not _is_member(one, "metrics", "quality", "energy_nj")
            or not is_text(one.get("verdict"))
            or not is_text(one.get("reason", ""))
        ):
            return False
        compared = [*twins, *([one["member"]] if "member" in one else [])]
        are_whole = all(is_table(each, is_number, "quality", "energy_nj") for each in compared)
        return not twins or (len(twins) == 2 and are_whole and "bits" in one["quantised"])

    seeds = document.get("seeds", [])
    is_whole = isinstance(seeds, list) and all(map(is_count, seeds)) and is_text(document.get("split", ""))
    return is_whole and _are_members(document.get("members"), holds) and _has_failures(document)


def _is_counts(document: dict[str, Any]) -> bool:
    def holds(one: object) -> bool:
        if not isinstance(one, dict) or not (is_count(one.get("samples")) and is_count(one.get("steps"))):
            return False
        return one["samples"] > 0 and _are_members(one.get("layers"), is_layer)

    def is_layer(one: dict[str, Any]) -> bool:
        return is_text(one.get("layer")) and is_text(one.get("role")) and all(map(is_plain, one.values()))

    def is_plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(one is None or is_value(one) or _is_pair(one) for one in value.values())
        return value is None or is_value(value)

    trials = document.get("trials")
    return is_table(trials, holds) and all(map(_is_counted, trials or ()))


def _is_points(document: dict[str, Any]) -> bool:
    def holds(one: object) -> bool:
        if not isinstance(one, dict) or not all(map(_is_cut, one)):
            return False
        return is_table(one, lambda metrics: is_table(metrics, is_number))

    trials = document.get("trials")
    return is_table(trials, holds) and all(map(_is_number, trials or ()))


def _is_counted(text: str) -> bool:
    number, at, cut = text.partition("@")
    return _is_number(number) and (not at or _is_cut(cut))


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) < 10


def _is_cut(text: str) -> bool:
    return _is_name(f"0@{text}")


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_count, value))


def _is_environment(document: dict[str, Any]) -> bool:
    texts = [document.get(name) or "" for name in ("platform", "python", "command", "git_commit")]
    return all(map(is_text, texts)) and is_table(document.get("packages", {}), is_text)


def _is_recommended(document: dict[str, Any]) -> bool:
    said = document.get("answer")
    is_said = isinstance(said, list) and all(map(is_text, said)) and is_text(document.get("rule", ""))
    return (
        is_said
        and _are_members(document.get("members"), _is_repeated)
        and _are_members(document.get("segments"), _is_segment)
    )


def _is_probed(document: dict[str, Any]) -> bool:
    def holds(one: dict[str, Any]) -> bool:
        costs = all(one.get(name) is None or is_number(one[name]) for name in ("costs", "costs_low", "costs_high"))
        measured = {name: one.get(name) for name in ("quality", "quality_low", "quality_high")}
        words = all(map(is_text, (one.get("variant"), one.get("network"))))
        return costs and words and is_count(one.get("seeds")) and is_table(measured, is_number)

    said = document.get("answer")
    is_said = isinstance(said, list) and all(map(is_text, said))
    return is_said and is_table(document.get("candidate"), is_value) and _are_members(document.get("variants"), holds)


def _is_repeated(one: dict[str, Any]) -> bool:
    def is_repeat(value: object) -> bool:
        return is_table(value, is_number, "quality", "energy_nj")

    number, _, cut = str(one.get("trial", "")).partition("@")
    has_name = is_text(one.get("trial")) and number.isdecimal() and (cut or "0").isdecimal() and len(number) < 10
    has_metrics = is_table(one.get("selected"), is_number) and is_table(one.get("candidate"), is_value)
    splits = [one.get("validation"), one.get("test")]
    has_repeats = all(is_table(split, is_repeat) and all(seed.isdecimal() for seed in split or ()) for split in splits)
    return has_name and has_metrics and has_repeats


def _is_segment(one: dict[str, Any]) -> bool:
    numbers = [one.get("start_nj"), one.get("end_nj", 1.0), one.get("probability", 1.0)]
    names = [one.get("trials"), one.get("tied")]
    lists = all(isinstance(each, list) and bool(each) and all(map(is_text, each)) for each in names)
    return all(map(is_number, numbers)) and is_text(one.get("coding")) and lists


def _has_failures(document: dict[str, Any]) -> bool:
    return is_table(document.get("failed", {}), is_text)


_NUMBERS: Final = 10**9
"""Numbers of trials are below."""
_LAYER: Final = {each.name for each in fields(LayerEnergy)}
_LAYER_AT_FIRST: Final = {each.name for each in fields(LayerEnergy) if each.default is MISSING}
"""The counts that earlier versions wrote too."""

_HOLDS: Final[Mapping[str, Callable[[dict[str, Any]], bool]]] = {
    schema.COUNTS_FILE: _is_counts,
    schema.ENVIRONMENT_FILE: _is_environment,
    schema.FRONT_FILE: _is_front,
    schema.POINTS_FILE: _is_points,
    schema.CONFIRMED_FILE: _is_confirmed,
    schema.TWINS_FILE: _is_twins,
    schema.RECOMMENDED_FILE: _is_recommended,
    schema.PROBED_FILE: _is_probed,
}
