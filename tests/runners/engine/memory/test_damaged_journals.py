"""Damaged and foreign journals: what is read is what was written, or one line says which line of the file is wrong."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from spikefront.plugins import load_registry
from spikefront.runners.engine.memory.journal import read_attributes
from spikefront.runners.engine.memory.opening import create_study, reopen_study
from spikefront.runners.engine.memory.records import seal
from spikefront.runners.engine.memory.resume import about, resumed_settings
from spikefront.runners.engine.memory.study import StudyRecord
from spikefront.runners.engine.parts import make_sampler
from spikefront.runners.engine.proposing.start import front_of
from spikefront.runners.engine.settings import SearchSettings
from spikefront.searchspace import ENERGY, Objective, Space, State, UsageError

SEEDS = 5
REGISTRY = load_registry(third_parties=False)
OBJECTIVES = (Objective("quality", maximize=True, worst=0.0, best=1.0), ENERGY)
STORED = Path(__file__).parents[3] / "compatibility" / "stored.zip"
SAID = re.compile(r".*journal\.log, line [1-9][0-9]*: [^\n]+; [^\n]+")

Lines = list[bytes]
Damage = Callable[[Lines, random.Random], Lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    """Return the lines of a journal with trials in all states, some evaluated again by a second driver."""
    folder = tmp_path_factory.mktemp("whole")
    settings = SearchSettings("digits", name="s", folder=folder, space="coding=latency,rate")
    space = Space(REGISTRY, "digits", settings.narrowings)
    sampler = make_sampler(settings, REGISTRY)
    record = StudyRecord(create_study(settings, OBJECTIVES, sampler, about(settings, REGISTRY, space)), OBJECTIVES)
    record.begin_with(space.fitted([{"coding": "rate"}]))
    states: list[State] = ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    for number in range(6):
        trial = record.ask()
        record.chosen(trial, space.suggest(trial))
        record.note_state(number, "halving", [{"rung": 0, "quality": 0.5}])
        if number < 4:
            record.tell(
                number, states[number], "x", {"quality": 0.5 + number / 10, "energy_nj": 10.0 + number}, epoch=3
            )
    record = StudyRecord(reopen_study(settings, sampler), OBJECTIVES)
    record.take_up()
    trial = record.ask()
    record.chosen(trial, space.suggest(trial))
    record.tell(trial.number, "COMPLETE", "", {"quality": 0.9, "energy_nj": 5.0}, epoch=3)
    return settings.journal.read_bytes().splitlines(keepends=True)


def _place(lines: Lines, rng: random.Random) -> int:
    """Choose a line that others follow: what the last is cut to is what a kill leaves."""
    return rng.randrange(len(lines) - 1)


def _line(change: Callable[[bytes, random.Random], bytes]) -> Damage:
    """Return the damage that changes one line."""

    def damage(lines: Lines, rng: random.Random) -> Lines:
        place = _place(lines, rng)
        return [*lines[:place], change(lines[place], rng), *lines[place + 1 :]]

    return damage


def _record(change: Callable[[dict[str, Any], random.Random], object]) -> Damage:
    """Return the damage that changes one record, and leaves it JSON."""

    def change_line(line: bytes, rng: random.Random) -> bytes:
        record = json.loads(line)
        changed = change(record, rng)
        return json.dumps(record if changed is None else changed, separators=(",", ":")).encode() + b"\n"

    return _line(change_line)


def _leaf(record: Any, rng: random.Random) -> tuple[Any, Any]:
    """Return a container within a record, and one of its keys."""
    key = rng.choice(list(record) if isinstance(record, dict) else range(len(record)))
    inner = record[key]
    return _leaf(inner, rng) if isinstance(inner, (dict, list)) and inner and rng.random() < 0.8 else (record, key)


def _put(value: object) -> Callable[[dict[str, Any], random.Random], None]:
    def put(record: dict[str, Any], rng: random.Random) -> None:
        container, key = _leaf(record, rng)
        container[key] = value

    return put


def _drop(record: dict[str, Any], rng: random.Random) -> None:
    container, key = _leaf(record, rng)
    del container[key]


def _rename(record: dict[str, Any], rng: random.Random) -> None:
    key = rng.choice(list(record))
    record[f"{key}_"] = record.pop(key)


def _flip(line: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(line) - 1)
    return line[:place] + bytes([line[place] ^ 1 << rng.randrange(8)]) + line[place + 1 :]


def _lost(lines: Lines, rng: random.Random) -> Lines:
    place = _place(lines, rng)
    return lines[:place] + lines[place + 1 :]


def _lost_of(text: bytes) -> Damage:
    def damage(lines: Lines, rng: random.Random) -> Lines:
        place = rng.choice([at for at, line in enumerate(lines[:-1]) if text in line])
        return lines[:place] + lines[place + 1 :]

    return damage


def _twice(lines: Lines, rng: random.Random) -> Lines:
    place = _place(lines, rng)
    return [*lines[: place + 1], *lines[place:]]


def _moved(lines: Lines, rng: random.Random) -> Lines:
    place = _place(lines, rng)
    rest = lines[:place] + lines[place + 1 :]
    to = rng.choice([at for at in range(len(lines)) if at != place])
    return [*rest[:to], lines[place], *rest[to:]]


DAMAGE: dict[str, Damage] = {
    "garbage": _line(lambda line, rng: rng.randbytes(40).replace(b"\n", b" ") + b"\n"),
    "text": _line(lambda line, rng: b"hello\n"),
    "cut": _line(lambda line, rng: line[: rng.randrange(1, len(line) - 1)] + b"\n"),
    "joined": _line(lambda line, rng: line[:-1]),
    "empty": _line(lambda line, rng: b"\n"),
    "zeros": _line(lambda line, rng: b"\0" * len(line[:-1]) + b"\n"),
    "null": _line(lambda line, rng: b"null\n"),
    "list": _line(lambda line, rng: b"[1,2]\n"),
    "object": _line(lambda line, rng: b"{}\n"),
    "deep": _line(lambda line, rng: b"[" * 100_000 + b"]" * 100_000 + b"\n"),
    "digits": _line(lambda line, rng: b'{"op_code":' + b"9" * 5000 + b"}\n"),
    "latin-1": _line(lambda line, rng: b'{"op_code":0,"study_name":"\xe4"}\n'),
    "flipped": _line(_flip),
    "a key less": _record(_drop),
    "a key renamed": _record(_rename),
    "another type": _record(_put([])),
    "text for a value": _record(_put("x")),
    "null for a value": _record(_put(None)),
    "NaN": _record(_put(float("nan"))),
    "infinity": _record(_put(float("-inf"))),
    "a huge number": _record(_put(10**400)),
    "a negative number": _record(_put(-1)),
    "unknown operation": _record(lambda record, rng: record.update(op_code=rng.choice([1, 7, 10, 11, -1, 2.0, "2"]))),
    "unknown trial": _record(lambda record, rng: record.update(trial_id=rng.choice([6, 99, "0", None, 10**30]))),
    "lost": _lost,
    "lost trial": _lost_of(b'"op_code":4'),
    "lost outcome": _lost_of(b'"outcome"'),
    "lost candidate": _lost_of(b'{"candidate"'),
    "lost parameter": _lost_of(b'"param_name"'),
    "lost end": _lost_of(b'"op_code":6'),
    "begins late": lambda lines, rng: lines[rng.randrange(1, len(lines)) :],
    "twice": _twice,
    "moved": _moved,
    "backwards": lambda lines, rng: lines[::-1],
    "two journals": lambda lines, rng: lines * 2,
    "binary": lambda lines, rng: [rng.randbytes(4000)],
    "renamed study": lambda lines, rng: [lines[0].replace(b'"study_name":"', b'"study_name":"x'), *lines[1:]],
    "byte order mark": lambda lines, rng: [b"\xef\xbb\xbf" + lines[0], *lines[1:]],
    "UTF-16": lambda lines, rng: [b"".join(lines).decode().encode("utf-16")],
    "CR LF": lambda lines, rng: [line[:-1] + b"\r\n" for line in lines],
}

SURE = (
    "lost trial",
    "lost outcome",
    "lost candidate",
    "begins late",
    "two journals",
    "garbage",
    "cut",
    "empty",
    "null",
)
"""Kinds of damage that are found without seals, too."""


def write(folder: Path, lines: Lines) -> Path:
    journal = folder / "s" / "journal.log"
    journal.parent.mkdir(parents=True, exist_ok=True)
    journal.write_bytes(b"".join(lines))
    return journal


def read(folder: Path) -> tuple[object, ...]:
    """Read all of a search, as ``--resume`` and ``--from`` do."""
    settings = resumed_settings({"resume": "s", "folder": folder})
    front = front_of(folder / "s")
    study = reopen_study(settings, make_sampler(settings, REGISTRY))
    record = StudyRecord(study, OBJECTIVES)
    trials = [
        (
            trial.number,
            trial.state,
            trial.params,
            trial.values,
            trial.user_attrs,
            trial.system_attrs,
            trial.distributions,
        )
        for trial in study.get_trials(deepcopy=False)
    ]
    sessions = study.user_attrs["sessions"][:-1]  # without that of this reading
    return settings, front, trials, record.earlier, sessions, read_attributes(folder / "s")["search"]


@pytest.fixture(scope="module")
def right(whole: Lines, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what is read of the undamaged journal."""
    folder = tmp_path_factory.mktemp("right")
    write(folder, whole)
    return read(folder)


def attempt(folder: Path) -> tuple[str, Any]:
    """Return the line that refuses a journal, or what is read of it."""
    try:
        return "", read(folder)
    except UsageError as error:
        return error.on_command_line(), None


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_found_in_its_line_or_does_not_matter(kind: str, whole: Lines, right: Any, tmp_path: Path) -> None:
    said = []
    for seed in range(SEEDS):
        write(tmp_path, DAMAGE[kind](list(whole), random.Random(f"{kind} {seed}")))
        text, found = attempt(tmp_path)
        assert SAID.fullmatch(text) if text else found[1:] == right[1:], (seed, text)
        said.append(text)
    assert any(said)


@pytest.mark.parametrize("search", ["before", "killed"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_of_an_earlier_version_s_journal_is_one_line(kind: str, search: str, tmp_path: Path) -> None:
    with ZipFile(STORED) as archive:
        lines = archive.read(f"searches/{search}/journal.log").splitlines(keepends=True)
    for seed in range(SEEDS):
        write(tmp_path, DAMAGE[kind](list(lines), random.Random(f"{kind} {seed}")))
        text, _ = attempt(tmp_path)
        assert "\n" not in text
        assert kind not in SURE or SAID.fullmatch(text), (seed, text)


def test_a_trial_that_was_never_created_does_not_give_its_records_to_others(whole: Lines, tmp_path: Path) -> None:
    at = [place for place, line in enumerate(whole) if b'"op_code":4' in line][2]
    write(tmp_path, whole[:at] + whole[at + 1 :])
    with pytest.raises(
        UsageError, match=rf"journal\.log, line {at + 1}: was written as line {at + 2}: lines before it"
    ):
        read_attributes(tmp_path / "s")


def test_every_line_is_sealed(whole: Lines) -> None:
    for number, line in enumerate(whole, 1):
        record = json.loads(line)
        assert record.pop("line") == number
        del record["crc"]
        assert seal(record, number) == line


def test_a_journal_of_a_later_version_is_refused_and_names_the_cure(whole: Lines, tmp_path: Path) -> None:
    record = json.loads(whole[1])
    record["user_attr"]["search"]["format"] = 3
    del record["line"], record["crc"]
    write(tmp_path, [whole[0], seal(record, 2), *whole[2:]])
    with pytest.raises(UsageError, match=r"line 2: the journal has format 3, and .* reads up to 2: take the version"):
        read_attributes(tmp_path / "s")


def test_a_last_line_that_was_cut_off_is_as_if_it_had_not_been_written(whole: Lines, tmp_path: Path) -> None:
    write(tmp_path, whole[:-1])
    right = read(tmp_path)
    for cut in (1, len(whole[-1]) // 2, len(whole[-1]) - 1):
        write(tmp_path, [*whole[:-1], whole[-1][:cut]])
        assert read(tmp_path) == right


def test_the_journal_of_another_program_is_refused(tmp_path: Path) -> None:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    (tmp_path / "s").mkdir()
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "s" / "journal.log")))
    optuna.create_study(storage=storage, study_name="s").optimize(lambda trial: trial.suggest_float("x", 0, 1), 2)
    with pytest.raises(UsageError, match=r"journal\.log, line 2: .*nothing before it says what was searched"):
        read_attributes(tmp_path / "s")
