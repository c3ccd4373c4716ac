"""The archive of a search: one ZIP file of JSON and the artifacts' own files, and its checks.

``search.json`` is its head; each run has ``runs/<key>/run.json``, where the key is ``search``, the trial's number with
at least four digits, or for a point ``0012@4``, and its artifacts in ``runs/<key>/artifacts/``. Nothing in it is
executed or unpickled, and whoever wrote it: a file that no export writes is refused as a whole.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final, NoReturn, Self

from spikefront.results.store import schema
from spikefront.results.store.documents import checked, front_members, parsed
from spikefront.searchspace.errors import UsageError, shown
from spikefront.searchspace.trial import read_name

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

HEAD: Final = "search.json"
SEARCH_KEY: Final = "search"

_FORMAT: Final = "spikefront search"
_VERSION: Final = 1
_MEMBER: Final = re.compile(r"runs/(search|[0-9]{4,9}(?:@[1-9][0-9]{0,5})?)/(run\.json|artifacts/[^\\\x00-\x1f\x7f]+)")
_STATUSES: Final = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")
_NOT_FINITE: Final = ("nan", "inf", "-inf")

_LARGEST_JSON: Final = 1 << 24
"""Most bytes of the JSON of a run, or of another file that is read at once: some 200,000 values of metrics."""
_LARGEST: Final = 1 << 30
_MOST_PACKED: Final = 100
"""Bytes of all files together that any archive may have, and how many times its own size a larger one."""
_LONGEST_NAME: Final = 250
_LONGEST_PARAM: Final = 6000
_LONGEST_TAG: Final = 8000
"""Most characters that MLflow takes."""
_LONGEST_PART: Final = 255
_LONGEST_PATH: Final = 1000
"""Most bytes of a file's name, and of all its path, that file systems take."""
_LAST_STEP: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Record:
    """A run as the archive has it.

    Attributes:
        run_id: its id in the MLflow that it comes from.
        name: as MLflow shows it.
        status: one of MLflow's.
        start_time: in milliseconds.
        end_time: in milliseconds; None while it runs.
        params: by name.
        tags: by name.
        metrics: all that was ever written: name, value, time in milliseconds, step.
    """

    run_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int, int]]

    def to_json(self) -> str:
        """Return it as JSON: finite numbers keep all their bits, others become text that ``float`` reads.

        Raises:
            UsageError: when it is more than an archive can have.
        """
        metrics = [(name, value if math.isfinite(value) else repr(value), *rest) for name, value, *rest in self.metrics]
        text = json.dumps(asdict(replace(self, metrics=())) | {"metrics": metrics}, indent=1, allow_nan=False)
        if len(text) > _LARGEST_JSON:
            raise UsageError(
                f"run {self.run_id} has {len(metrics):,} values of metrics, {len(text):,} bytes, and an archive takes "
                f"{_LARGEST_JSON:,} of a run; copy the database itself"
            )
        return text

    @classmethod
    def from_json(cls, content: bytes | bytearray) -> Record:
        """Read it back.

        Raises:
            ValueError: when it is damaged, or holds what MLflow does not take; the text says what.
        """
        found = json.loads(content, parse_constant=_refuse_constant)
        if not isinstance(found, dict) or found.keys() != {*cls.__slots__}:
            raise ValueError(f"it must have exactly {', '.join(cls.__slots__)}")
        for name, most in (("params", _LONGEST_PARAM), ("tags", _LONGEST_TAG)):
            if not isinstance(found[name], dict):
                raise ValueError(f"its {name} are no table")
            for key, value in found[name].items():
                _refuse_text(key, _LONGEST_NAME, 1)
                _refuse_text(value, most)
        _refuse_text(found["run_id"], _LONGEST_NAME, 1)
        _refuse_text(found["name"], _LONGEST_NAME)
        if found["status"] not in _STATUSES:
            raise ValueError(f"status {shown(found['status'])} is unknown")
        for name in ("start_time", "end_time"):
            if name == "start_time" or found[name] is not None:
                _refuse_whole(name, found[name], schema.LATEST_MS)
        if not isinstance(found["metrics"], list):
            raise ValueError("its metrics are no list")
        return cls(**{**found, "metrics": [_metric(row) for row in found["metrics"]]})


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number of JSON")


def _refuse_text(value: object, most: int, least: int = 0) -> None:
    if not isinstance(value, str) or not least <= len(value) <= most:
        raise ValueError(f"{shown(value)} is not text of {least} to {most:,} characters, as MLflow takes it")
    if "\0" in value or value.encode(errors="ignore").decode() != value:
        raise ValueError(f"{shown(value)} has characters that no database takes")


def _refuse_whole(name: str, value: object, most: int) -> None:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} {shown(value)} is not a whole number from 0 to {most}")


def _metric(row: object) -> tuple[str, float, int, int]:
    if not isinstance(row, list) or len(row) != 4:
        raise ValueError("a metric is not name, value, time and step")
    name, value, at, step = row
    _refuse_text(name, _LONGEST_NAME, 1)
    _refuse_whole("time", at, schema.LATEST_MS)
    _refuse_whole("step", step, _LAST_STEP)
    try:
        number = float(value) if type(value) in (int, float) or value in _NOT_FINITE else None
    except (OverflowError, TypeError):
        number = None
    if number is None or (not isinstance(value, str) and not math.isfinite(number)):
        raise ValueError(f"{name} {shown(value)} is not a number")
    return name, number, at, step


def head_json(search: str, keys: Sequence[str]) -> str:
    """Return the head of the archive of a search that has these runs, the search's own first."""
    return json.dumps({"format": _FORMAT, "version": _VERSION, "search": search, "runs": list(keys)}, indent=2)


def key_of(tags: Mapping[str, str]) -> str:
    """Return the key of the run of a trial or point.

    Raises:
        ValueError: when its tags have no number.
    """
    return _key(*read_name(schema.name_of_run(tags)))


def _key(number: int, cut: int) -> str:
    return f"{number:04d}@{cut}" if cut else f"{number:04d}"


class _Foreign(Exception):
    """Content that no export writes."""


class SearchArchive:
    """An archive of a search, opened and checked as a whole. In memory is one of its runs at a time.

    Args:
        file: the archive.

    Raises:
        UsageError: when it can't be read, is damaged, or holds what no export writes.

    Attributes:
        search: name of the search.
        keys: keys of its runs, the search's own first.
        artifacts: paths of the artifacts of each run.
    """

    def __init__(self, file: Path) -> None:
        # torch comes with it, and an export needs neither
        from spikefront.plugins.data.zips import Unreadable, open_zip

        if os.path.exists(file) and not os.path.isfile(file):  # a device may have no end
            raise UsageError(f"archive {file} can't be read: it is not a regular file; check its name")
        try:
            file.open("rb").close()
        except OSError as error:
            raise UsageError(f"archive {file} can't be read: {error.strerror or error}; check its name") from error
        self._zip: ZipFile | None = None
        try:
            self._zip = open_zip(file)
            self._entries = {entry.filename: entry for entry in self._zip.infolist()}
            self._check(file.stat().st_size)
        except (_Foreign, Unreadable) as error:
            self.close()
            raise UsageError(
                f"{file} is not an archive of a search, or it is damaged ({error}); export it again"
            ) from error

    def close(self) -> None:
        """Close the file."""
        if self._zip is not None:
            self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def record(self, key: str) -> Record:
        """Return a run."""
        name = f"runs/{key}/run.json"
        try:
            return Record.from_json(self._read(name))
        except (ValueError, RecursionError) as error:
            reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
            raise _Foreign(f"{name} is not a run: {reason}") from error

    def extract(self, key: str, path: str, folder: Path) -> Path:
        """Write an artifact of a run below a folder, and return the file."""
        from spikefront.plugins.data.zips import pieces

        assert self._zip is not None
        entry = self._entries[f"runs/{key}/artifacts/{path}"]
        copy = folder / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        with copy.open("wb") as target:
            for piece in pieces(self._zip, entry, entry.file_size):
                target.write(piece)
        return copy

    def _check(self, size: int) -> None:
        from spikefront.plugins.data.zips import Unreadable, pieces

        assert self._zip is not None
        entries = self._zip.infolist()
        if HEAD not in self._entries:
            raise _Foreign(f"it has no {HEAD}")
        if len(self._entries) < len(entries):
            raise _Foreign("a name in it stands for two files")
        members: dict[str, list[str]] = {}
        for entry in entries:
            if entry.filename != HEAD:
                key, path = _split(entry)
                members.setdefault(key, []).extend([path.removeprefix("artifacts/")] if path != "run.json" else [])
        claimed = sum(entry.file_size for entry in entries)
        if claimed > max(_LARGEST, _MOST_PACKED * size):
            raise _Foreign(f"its files claim {claimed:,} bytes")
        _refuse_files_as_folders(self._entries)
        for entry in entries:
            try:
                for _ in pieces(self._zip, entry, entry.file_size):
                    pass
            except Unreadable as error:
                raise _Foreign(f"{shown(entry.filename)}: {error}") from error
        self.search, self.keys = self._head()
        if members.keys() != {*self.keys}:
            raise _Foreign("its runs are not those that it lists")
        self.artifacts: Mapping[str, Sequence[str]] = members
        self._check_family()

    def _read(self, name: str) -> bytearray:
        from spikefront.plugins.data.zips import Unreadable, read_member

        assert self._zip is not None
        if name not in self._entries:
            raise _Foreign(f"{name} is missing")
        try:
            return read_member(self._zip, self._entries[name], _LARGEST_JSON)
        except Unreadable as error:
            raise _Foreign(f"{name}: {error}") from error

    def _head(self) -> tuple[str, list[str]]:
        head = parsed(self._read(HEAD))
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
            raise _Foreign(f"{HEAD} does not say {_FORMAT!r}")
        version = head.get("version")
        if type(version) is not int or version != _VERSION:
            raise _Foreign(f"its version is {shown(version)}, and only {_VERSION} is known")
        search, keys = head.get("search"), head.get("runs")
        if not isinstance(search, str) or not search.isprintable() or not 0 < len(search) <= _LONGEST_NAME:
            raise _Foreign(f"{shown(search)} is not a name of a search")
        if (
            not isinstance(keys, list)
            or not all(isinstance(key, str) for key in keys)
            or keys[:1] != [SEARCH_KEY]
            or len({*keys}) < len(keys)
        ):
            raise _Foreign("its runs are not those that it lists")
        return search, keys

    def _check_family(self) -> None:
        """Check that the runs are one search, its trials and their points."""
        ids: dict[str, str] = {}
        for key in self.keys:
            record = self.record(key)
            role = "search" if key == SEARCH_KEY else "point" if "@" in key else "trial"
            if record.tags.get(schema.SEARCH) != self.search or record.tags.get(schema.ROLE) != role:
                raise _Foreign(f"run {key} is not a {role} of {self.search!r}")
            try:
                if role == "search":
                    schema.objectives_of(record.tags)
                else:
                    self._check_trial(key, record, ids)
            except ValueError as error:
                raise _Foreign(f"run {key}: {error}") from error
            ids[key] = record.run_id
        if len({*ids.values()}) < len(ids):
            raise _Foreign("two of its runs have one id")
        if schema.FRONT_FILE in self.artifacts[SEARCH_KEY]:
            self._check_front(ids)

    @staticmethod
    def _check_trial(key: str, record: Record, ids: Mapping[str, str]) -> None:
        trial = schema.make_trial("", record.end_time, record.start_time, record.tags, record.params, {})
        number = record.tags[schema.POINT_TRIAL if trial.cut else schema.NUMBER]
        is_its = number == str(trial.number) and _key(trial.number, trial.cut) == key
        if not is_its or record.tags.get(schema.PARENT) != ids[SEARCH_KEY]:
            raise _Foreign(f"run {key} belongs to another search")
        if trial.cut and record.tags.get(schema.POINT_RUN, "") != ids.get(_key(trial.number, 0)):
            raise _Foreign(f"run {key} is a point of no trial that is there")

    def _check_front(self, ids: Mapping[str, str]) -> None:
        """Check that the front is one, and that its members are the trials of the archive."""
        front = checked(schema.FRONT_FILE, parsed(self._read(f"runs/{SEARCH_KEY}/artifacts/{schema.FRONT_FILE}")))
        if not front:
            raise _Foreign(f"{schema.FRONT_FILE} is not a front")
        for member in front_members(front):
            own = ids.get(_key(member.number, member.cut))
            if member.run_id != own and (own is not None or member.run_id in ids.values()):
                raise _Foreign(f"{schema.FRONT_FILE} has another run for trial {member.name}")


def _split(entry: ZipInfo) -> tuple[str, str]:
    """Return key and path of a member, which must stay in its place and be a plain file."""
    name = entry.filename
    match = _MEMBER.fullmatch(name)
    parts = PurePosixPath(name).parts
    is_plain = stat.S_IFMT(entry.external_attr >> 16) in (0, stat.S_IFREG)
    if match is None or ".." in parts or "/".join(parts) != name or not is_plain:
        raise _Foreign(f"{shown(name[:80])} does not belong there")
    sizes = [len(part.encode(errors="replace")) for part in parts]
    if max(sizes) > _LONGEST_PART or sum(sizes) > _LONGEST_PATH:
        raise _Foreign(f"{shown(name[:80])} is too long a path")
    return match[1], match[2]


def _refuse_files_as_folders(names: Mapping[str, ZipInfo]) -> None:
    for name in names:
        for parent in PurePosixPath(name).parents:
            if str(parent) in names:
                raise _Foreign(f"{shown(str(parent))} is a file and a folder")
