"""Params, metrics and tags as MLflow takes them: names and values within its rules, batches within its limits."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from mlflow.entities import Metric, Param, RunTag

_LONGEST_NAME: Final = 250
_LONGEST_VALUE: Final = 5_000
"""MLflow takes tags of 8,000 and params of 6,000 characters; a traceback can be longer."""
SHORT_VALUE: Final = 250
"""What the servers of MLflow's first versions take of a param."""

_MOST_PAIRS: Final = 100
_MOST_METRICS: Final = 800
"""Params, tags and metrics of one call: MLflow takes 100, 100 and 1,000, and no more than 1,000 together."""
_LARGEST: Final = 300_000
"""Bytes of the texts of one call; MLflow's server takes a million of the whole."""

E = TypeVar("E", "Metric", "Param", "RunTag")

Point = tuple[int, int, Mapping[str, float]]
"""Metrics of one moment: time in milliseconds, step, values by name."""


def param_texts(params: Mapping[str, object]) -> dict[str, str]:
    """Return params by the names that MLflow has them under; those of two params never become the same one."""
    found: dict[str, str] = {}
    for name, value in params.items():
        key = name_for(name)
        found[key if key not in found else _marked(key, name)] = text_for(value)
    return found


def name_for(name: str) -> str:
    """Return a name that MLflow takes: other characters become ``_``, a long one ends with a digest of the whole."""
    clean = re.sub(r"[^\w\-. :]", "_", name)
    if clean.startswith("..") or clean in ("", "."):  # MLflow takes it for a path
        clean = f"_{clean}"
    return clean if len(clean) <= _LONGEST_NAME else _marked(clean, name)


def _marked(clean: str, name: str) -> str:
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{clean[: _LONGEST_NAME - 9]}_{digest}"


def text_for(value: object) -> str:
    """Return a value as text that every database takes: cut, without NUL and halves of characters."""
    return str(value)[:_LONGEST_VALUE].encode(errors="replace").decode().replace("\0", "?")


def batches(
    metrics: Sequence[Metric], params: Sequence[Param], tags: Sequence[RunTag]
) -> Iterator[tuple[Sequence[Metric], Sequence[Param], Sequence[RunTag]]]:
    """Yield all in as few calls as MLflow allows, the tags last: with its state a trial is whole."""
    some_params = list(_parts(params, _MOST_PAIRS, _LARGEST))
    some_metrics = list(_parts(metrics, _MOST_METRICS, _LARGEST))
    some_tags = list(_parts(tags, _MOST_PAIRS, _LARGEST))
    for position in range(max(len(some_params), len(some_metrics)) - 1):
        yield _at(some_metrics, position), _at(some_params, position), ()
    last = max(0, max(len(some_params), len(some_metrics)) - 1)
    yield _at(some_metrics, last), _at(some_params, last), _at(some_tags, 0)
    for pairs in some_tags[1:]:
        yield (), (), pairs


def _at(parts: Sequence[Sequence[E]], position: int) -> Sequence[E]:
    return parts[position] if position < len(parts) else ()


def _parts(entries: Sequence[E], most: int, largest: int) -> Iterator[Sequence[E]]:
    part: list[E] = []
    size = 0
    for entry in entries:
        own = len(json.dumps(str(entry.value))) + len(entry.key)
        if part and (len(part) == most or size + own > largest):
            yield part
            part, size = [], 0
        part.append(entry)
        size += own
    if part:
        yield part
