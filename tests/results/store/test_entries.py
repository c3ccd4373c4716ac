"""Names, values and batches within what MLflow takes."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.validation import (
    _validate_batch_log_data,
    _validate_batch_log_limits,
    _validate_param_keys_unique,
)

from spikefront.results.store.entries import batches, name_for, param_texts, text_for

TEXT = st.text(st.characters(), max_size=400) | st.text("./ab\\\0", max_size=8)


@given(st.dictionaries(TEXT, TEXT, max_size=20))
def test_mlflow_takes_every_name_and_value(params: dict[str, str]) -> None:
    found = [Param(name, value) for name, value in param_texts(params).items()]
    assert len(found) == len(params), "no two params become one"
    _validate_batch_log_data([Metric(name_for(name), 0.5, 0, 0) for name in params], found, ())
    _validate_param_keys_unique(found)


def test_names_and_values_that_mlflow_takes_stay_as_they_are() -> None:
    params = {"coding.gac.kernel_size": 3, "neuron.λ": 0.5, "space.a: b-c": "x/y"}
    assert param_texts(params) == {name: str(value) for name, value in params.items()}
    assert name_for("space.--set steps=4") == "space.--set steps_4"


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    first, second = (name_for("coding." + "x" * 300 + end) for end in "ab")
    assert len(first) == len(second) == 250
    assert first[:240] == second[:240] == "coding." + "x" * 233
    assert first != second
    assert name_for("coding." + "x" * 300 + "a") == first


def test_values_are_cut_and_hold_nothing_that_a_database_refuses() -> None:
    assert text_for("x" * 7000) == "x" * 5000
    assert text_for("a\0b\ud800c") == "a?b?c"
    assert text_for(0.1) == "0.1"


def test_what_one_call_does_not_take_is_written_in_several_and_the_tags_last() -> None:
    metrics = [Metric(f"m{number}", 0.5, 0, number) for number in range(2500)]
    params = [Param(f"p{number}", "x" * 5000) for number in range(250)]
    tags = [RunTag(f"t{number}", "y") for number in range(120)]
    calls = list(batches(metrics, params, tags))
    for call in calls:
        _validate_batch_log_limits(*call)
        assert sum(len(param.value) for param in call[1]) <= 300_000
    together = [list(chain.from_iterable(kind)) for kind in zip(*calls, strict=True)]
    assert together == [metrics, params, tags]
    assert all(not call[2] or position >= len(calls) - 2 for position, call in enumerate(calls))
    assert list(batches(metrics[:9], params[:9], tags[:9])) == [(metrics[:9], params[:9], tags[:9])]
    assert list(batches((), (), tags[:9])) == [((), (), tags[:9])]
