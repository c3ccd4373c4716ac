"""Command lines and study files drawn from a seed, over every option of every command."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import typer

from spikefront.commands.app import load_commands
from spikefront.runners.engine.settings import OPTIONS

STORED: Final = Path(__file__).parents[1] / "compatibility"
EXAMPLES: Final = Path(__file__).parents[2] / "examples"

ORDINARY: Final[Mapping[str, tuple[str, ...]]] = {
    "task": ("digits", "diabetes"),
    "config": ("ok.yaml",),
    "space": ("coding=latency", "steps=2..4", "neuron.*.threshold=0.5..1.0", "training.epochs=1", "coding=direct,rate"),
    "epochs": ("1", "15"),
    "objective": ("latency", "parameters"),
    "energy_model": ("horowitz-45nm",),
    "charge_encoder": (),
    "trials": ("1", "24"),
    "time": ("90s", "1h30m"),
    "target_hypervolume": ("0.9",),
    "patience": ("0.01",),
    "max_energy": ("500nJ", "2uJ"),
    "max_latency": ("8",),
    "max_params": ("100k",),
    "min_quality": ("0.9",),
    "sampler": ("tpe", "random", "nsga2"),
    "seed": ("0", "7"),
    "priors": (),
    "from_": ("before",),
    "cost_aware": (),
    "fair": (),
    "cuts": (),
    "early_stopping": (),
    "stopping": ("silent", "halving"),
    "rungs": ("0.15,0.45", "15%,45%"),
    "reduction": ("3",),
    "tell_stopped": ("partial", "pruned"),
    "epoch_timeout": ("1h",),
    "workers": ("1", "2"),
    "nice": ("0", "19"),
    "gpus_per_trial": ("0",),
    "address": ("auto",),
    "data_dir": ("data",),
    "plugins_dir": ("mine",),
    "name": ("first", "ünï"),
    "folder": ("searches", "new/deep"),
    "resume": ("before",),
    "force": (),
    "verbose": (),
    "logger": ("jsonl", "tensorboard"),
    "tracking_uri": ("sqlite:///mlflow.db", "sqlite:///other.db"),
    "experiment": ("Default",),
    # of commands about what was found
    "search": ("before", "killed"),
    "searches": ("before", "killed"),
    "where": ("parameters<=20000",),
    "coding": ("latency", "rate"),
    "order": ("energy", "quality"),
    "format_": ("table", "json", "csv"),
    "to": ("out.html", "out.zip"),
    "plot": ("out.svg",),
    "kind": ("coding",),
    "seeds": ("5",),
}
"""Values that make sense, by option. Every option of a search has some, or is a switch."""

NUMBERS: Final = (
    *("0", "-0", "1", "-1", "0.5", "1.0", "24.0", "1e3", "1e-300", "1e308", "1e309", "-1e309", "5e-324", "nan", "-nan"),
    *("inf", "-inf", "Infinity", "+1", " 1 ", "1_000", "0x10", "007", "1,5", "1 000", "٣", "５", "½", "²", "1" * 23),  # noqa: RUF001
    *("9" * 5000, "1e" + "9" * 30, "9223372036854775808", "4294967296", "true", "None", "1j", "1..2", "1.", "--", "-"),
)
QUANTITIES: Final = (
    *(
        "5nJ",
        "５nJ",  # noqa: RUF001
        "0nJ",
        "-5nJ",
        "1e400nJ",
        "1e-400J",
        "5 nJ",
        "5kJ",
        "5nj",
        "1e308J",
        "5 µJ",
        "5 μJ",
        "nanJ",
        "500",
    ),
    *("5nJ5nJ", "90", "90s", "0s", "-90s", "1e400s", "1e300d", "1h-30m", "1:30", "30m1h", "5parsec", "٩٠s", "0k", "5K"),  # noqa: RUF001
    *("1e400k", "1.5k", "0,1", "0.5,0.5", "0.45,0.15", "0.15,,0.45", ",", "150%", "1e-300", "0.15;0.45", "0.01"),
    ",".join(["0.5"] * 3000),
)
TEXTS: Final = (
    *(
        "",
        " ",
        "\t",
        ".",
        "..",
        "/",
        "~",
        "*",
        "a b",
        "a/b",
        "a\\b",
        "a'b",
        'a"b',
        "a'b\"c",
        "a;b",
        "$(id)",
        "%s",
        "%20",
    ),
    *("{}", "a\x1b[31mb", "a\rb", "a\nb", "a\x7fb", "a\u2028b", "a\u202eb", "\ufeff", "漢字", "\U0001f9e0", "a\udcffb"),
    *(
        "\ud800",
        "x" * 256,
        "é" * 150,
        "x" * 5000,
        "null",
        "a=b",
        "=",
        "a=",
        "=b",
        "coding=",
        "coding=nosuch",
        "nosuch=1",
    ),
    *("steps=1..", "steps=4..1", "steps=a..b", "steps=1..2..3", "steps=2..4,8", "steps=nan", "steps=1e5", "steps=٣"),
    *(
        "*=1",
        "[=1",
        "coding=*",
        "neuron.*.threshold=nan",
        "neuron.*.threshold=1e999",
        "training.epochs=0",
        "sampler=tpe",
    ),
    *("training.batch=" + "9" * 20, "stopping.halving.reduction=1", "stopping..=1", "sampler.tpe.x=1", "energy.x=1"),
    *("coding=" + "direct," * 3000, "a" * 3000 + "=1", "*a" * 40 + "=1", "localhost", "localhost:0", "localhost:٦٣٧٩"),
    *("sqlite://", "sqlite:///:memory:", "sqlite:////dev/null", "sqlite:////proc/x.db", "sqlite:///pipe", "file:runs"),
    *(
        "sqlite:///notes",
        "sqlite:///folder",
        "sqlite:///gone",
        "sqlite:///loop",
        "sqlite:///a?b.db",
        "sqlite:///a%zz.db",
    ),
    *(
        "sqlite:///a.db?timeout=x",
        "sqlite:///a.db?nosuch=1",
        "sqlite:///closed/x.db",
        "sqlite:///" + "x" * 300,
        "http://",
    ),
    *("http://127.0.0.1:99999", "http://[::1", "ftp://x", "postgresql+nosuch://x/y", "postgresql://u:p@s@h/db", "://"),
    *(
        "parameters<=",
        "a<b<c",
        "quality>nan",
        "energy<=5bananas",
        "parameters<=٣",
        "before/99",
        "before/x",
        "/0",
        "'/0",
    ),
)
PATHS: Final = (
    *(
        "folder",
        "notes",
        "empty",
        "pipe",
        "socket",
        "gone",
        "loop",
        "loop/x",
        "notes/x",
        "nosuch/deep",
        "closed",
        "bad.zip",
    ),
    *("closed/x", "/proc", "/proc/x", "/sys/x", "/proc/self/mem", "/", "~nosuch/x", "x" * 251, "x" * 256, "é" * 128),
    *("/".join(["x"] * 3000), "a\nb", "a\x1bb", "a\udcffb", " ", "broken", "bytes.yaml", "huge.yaml", "mine/../mine"),
    *(
        "searches",
        "searches/before/journal.log",
        "mlflow.db",
        "folder.html",
        "pipe.html",
        "gone.zip",
        "pipe.svg",
        "x" * 247,
    ),
)
DEVICES: Final = ("/dev/zero", "/dev/null", "/dev/full", "/dev/tty")
"""Never as a file to write: these tests may run as root."""

YAML: Final = (
    *("yes", "no", "off", "~", "null", "TRUE", ".nan", ".inf", "-.inf", "1e999", "1.0", "010", "0o10", "0x10", "1_000"),
    *(
        "1:30",
        "190:20:30",
        "2001-01-01",
        "2001-12-14t21:59:43.10-05:00",
        "!!python/object/apply:os.system ['touch owned']",
    ),
    *(
        "!!python/name:os.system",
        "!!binary aGVsbG8=",
        "!!set {a, b}",
        "!!omap [a: 1]",
        "!!int x",
        "!!float x",
        "!!bool x",
    ),
    *(
        "!!str 5",
        "!local x",
        "!",
        "[]",
        "{}",
        "[1, [2]]",
        "{a: {b: c}}",
        "[null]",
        "''",
        '"a\\0b"',
        '"a\\ud800b"',
        "=",
        "<<",
    ),
    *(
        '"\\x1b[31m"',
        "|\n  text\n  more",
        "*none",
        "&a [*a]",
        "&a {b: *a}",
        "'unclosed",
        "[unclosed",
        "@x",
        "- 1",
        "a: b",
    ),
    *("9" * 5000, "1e" + "9" * 400, "[" * 50 + "]" * 50, "[" * 3000 + "]" * 3000, "{a: " * 3000 + "}" * 3000, "1..4"),
    *("[" + "1, " * 20000 + "]", "[2..4, 8]", "２", "5nJ", "30m", "[0.15, 0.45]", "digits", "/proc/x", "nosuch", "a/b"),  # noqa: RUF001
)
KEYS: Final = (
    *("coding", "steps", "neuron", "backbone", "neuron.*.threshold", "training.epochs", "sampler.tpe.x", "nosuch", "*"),
    *("''", "1", "null", "yes", "2001-01-01", "[a]", "{a: b}", "&a x", "*b", "<<", '"a\\0b"', '"a\\ud800b"', ".nan"),
)
BOMB: Final = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}' if n else 'x'] * 9)}]\n" for n in range(10))
FILES: Final = (
    *(b"", b"#\n", b"---\ntask: digits\n---\ntask: diabetes\n", b"null\n", b"- task: digits\n", b"!!set {task}\n"),
    *(b"%YAML 3.0\n---\ntask: digits\n", b"task: digits\ntrials: 0\ntrials: 1\n", b"task: digits\n'task': diabetes\n"),
    *(b"task: digits\nspace: {steps: 2, steps: 3}\n", f"{BOMB}trials: *a9\n".encode(), f"{BOMB}space: *a9\n".encode()),
    *(
        b"task: digits\nspace: &s\n  steps: *s\n",
        b"<<: {task: digits}\n",
        b"<<: 5\ntask: digits\n",
        b"<<: &a {<<: *a}\n",
    ),
    *(
        b"task: digits\n<<: {trials: 0}\n<<: {trials: 1}\n",
        b"task:\tdigits\n",
        b"\ttask: digits\n",
        b"task: dig\0its\n",
    ),
    *(
        b"\0" * 100,
        b"task: digits\nname: caf\xe9\n",
        b"task: digits\nname: \xed\xa0\x80\n",
        b"PK\x03\x04" + b"\0" * 100,
    ),
    *(b"task: digits\nname: a\x07b\n", "task: digits\nname: a\u2028b\n".encode(), b"# " + b"x" * 300_000 + b"\n"),
    *(b"{" * 5000, b"[" * 200_000, b"a: " * 1000, b"? " * 3000, b"{{{{}}}}", b"? task\n: digits\n", b"[a]: 1\n"),
    *(b"!!python/object/apply:os.system ['touch owned']\n", b"task: digits\n" + b"k: 1\n" * 9000, b"task: digits: x\n"),
)
ENCODINGS: Final = ("utf-8",) * 8 + ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp037", "shift_jis")


@dataclass(frozen=True)
class Line:
    """A command line, and the study file that lies beside it."""

    arguments: list[str]
    study: bytes = b""
    variables: dict[str, str] = field(default_factory=dict)


class Generator:
    """Draws command lines: as many of ordinary values, of one hostile value, and of several."""

    def __init__(self, seed: int, verbs: frozenset[str] = frozenset()) -> None:
        self.random = random.Random(seed)
        found = _commands((), typer.main.get_command(load_commands()))
        self.commands = {words: options for words, options in found if not verbs or words[0] in verbs}

    def line(self) -> Line:
        if self.random.random() < 0.35:
            verb = self.random.choice(["run", "run", "run", "space"])
            return Line(
                [verb, "--config", "s.yaml", *self.random.choice([[], [], ["--task", "digits"]])], self._study()
            )
        words = self.random.choice([*self.commands, ("run",), ("run",), ("run",), ("run",), ("space",)])
        hostile = self.random.choice([0.0, 0.15, 0.5, 1.0])
        arguments = [*words, *(["--task", "digits"] if words in (("run",), ("space",)) else [])]
        options = self.commands[words]
        for option in self.random.sample(options, min(len(options), self.random.choice([1, 1, 1, 2, 3]))):
            arguments += self._option(option, hostile)
        if self.random.random() < 0.05:
            arguments.append(self.random.choice(["--nosuch", "-x", "--", "--help=1", "extra", "--trials", ""]))
        return Line(arguments, variables=self._variables(hostile) if self.random.random() < 0.1 else {})

    def _variables(self, hostile: float) -> dict[str, str]:
        name = self.random.choice(["MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID", "SPIKEFRONT_PLUGINS_DIR"])
        value = self._value("plugins_dir" if "PLUGINS" in name else "experiment", hostile)
        return {name: value.encode(errors="replace").decode()}

    def _option(self, option: Any, hostile: float) -> list[str]:
        value = self._value(option.name.removeprefix("flag_"), hostile)
        if option.param_type_name == "argument":
            return [value]
        flag = self.random.choice([*option.opts, *option.secondary_opts])
        if option.is_flag:
            return [flag + (self.random.choice(["=1", "="]) if self.random.random() < hostile / 4 else "")]
        return [f"{flag}={value}"] if self.random.random() < 0.5 else [flag, value]

    def _value(self, name: str, hostile: float) -> str:
        if self.random.random() >= hostile and ORDINARY.get(name):
            return self.random.choice(ORDINARY[name])
        kinds = [NUMBERS, QUANTITIES, TEXTS, PATHS, *([] if name in ("to", "plot", "file") else [DEVICES])]
        return self.random.choice(self.random.choice(kinds))

    def _study(self) -> bytes:
        if self.random.random() < 0.3:
            return self.random.choice(FILES)
        lines = ["task: digits"]
        keys = [
            *(declared.key for declared in OPTIONS.values()),
            *["space"] * 6,
            "config",
            "resume",
            "nosuch",
            "epoch-timeout",
        ]
        for key in self.random.sample(keys, self.random.choice([1, 1, 2, 3])):
            lines.append("space:" if key == "space" else f"{key}: {self._scalar(key)}")
            if key == "space":
                lines += [
                    f"  {self.random.choice(KEYS)}: {self._scalar('space')}" for _ in range(self.random.randint(1, 3))
                ]
        text = self.random.choice(["\n"] * 6 + ["\r\n", "\r", "\x85"]).join(lines) + "\n"
        return text.encode(self.random.choice(ENCODINGS), errors="replace")

    def _scalar(self, key: str) -> str:
        ordinary = ORDINARY.get("from_" if key == "from" else key)
        if ordinary and key != "space" and self.random.random() < 0.3:
            return self.random.choice(ordinary)
        return self.random.choice(YAML) if self.random.random() < 0.7 else json.dumps(self._value(key, 1.0))


def _commands(verb: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield verb, [parameter for parameter in command.params if parameter.name != "help"]
        return
    for name, each in inner.items():
        yield from _commands((*verb, name), each)
