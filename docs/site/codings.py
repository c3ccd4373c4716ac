"""Pages of codings, each made from its plugin: what it computes, its spikes over time, its hyperparameters."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spikefront.plugins import Coding, Registry, load_registry
from spikefront.plugins.registry import Entry
from spikefront.searchspace import describe, fields_of

if TYPE_CHECKING:
    from stage import Stage

DOCS: Final = Path(__file__).parents[1]
_TASKS: Final = {"static": "digits", "events": "n-mnist", "sequences": "mnist1d", "spikes": "shd"}
"""A task of each kind of input, for pictures and commands."""


def write_codings(stage: Stage, *, pictures: bool = True) -> None:
    """Write a page for each coding that is built in, with a picture that is drawn now, and links to it."""
    registry = load_registry(third_parties=False)
    for name, entry in sorted(registry.entries["coding"].items()):
        alt = draw(stage.pages, name, task_of(entry.plugin)) if pictures else ""
        path = entry.plugin.__module__.removeprefix("spikefront.").replace(".", "/") + ".py"
        stage.write(f"codings/{name}.md", page(name, entry, registry, alt), at=f"docs/codings/{name}.md")
        stage.shown.setdefault(f"docs/codings/{name}.md", f"codings/{name}.md")
        assert path in stage.files, path
    names = "|".join(map(re.escape, registry.entries["coding"]))
    more = r"## \1\n\n*[Hyperparameters, neurons, commands](codings/\1.md).*"
    stage.changed["docs/codings.md"] = lambda text: re.sub(rf"(?m)^## ({names})$", more, text)


def task_of(coding: type[Coding]) -> str:
    """Return a built-in task with inputs that a coding takes, digits where it can be."""
    return next(task for kind, task in _TASKS.items() if kind in coding.inputs)


def draw(pages: Path, name: str, task: str) -> str:
    """Draw what a coding makes of an image and of a ramp, as ``spikefront space`` does, and return what that shows."""
    from spikefront.commands.space import space

    folder = pages / "codings" / "pictures"
    space(task, space={"coding": name}, pictures=folder)
    (alt,) = re.findall(rf'src="{name}.png" alt="([^"]+)"', (folder / "index.html").read_text(encoding="utf-8"))
    (folder / "index.html").unlink()
    return str(alt)


def page(name: str, entry: Entry, registry: Registry, alt: str) -> str:
    """Return the page of a coding, as Markdown that stands in ``docs/codings``."""
    coding = entry.plugin
    path = coding.__module__.removeprefix("spikefront.").replace(".", "/") + ".py"
    task = task_of(coding)
    lines = [f"# {name}", "", entry.summary, ""]
    if alt:
        lines += [f"![{alt}](pictures/{name}.png)", ""]
        lines += ["*An image and a ramp of values, step by step; [how to read it](../codings.md).*", ""]
    lines += [f"*From [{path}](../../{path}):*", "", _prose(sys.modules[coding.__module__].__doc__ or ""), ""]
    lines += ["## Hyperparameters", "", *_hyperparameters(coding.Config), ""]
    lines += ["## What it goes with", "", *_company(name, coding, registry), ""]
    lines += ["## Try it", "", "```sh", f"spikefront run --task {task} --set coding={name} --trials 6"]
    lines += [f"spikefront space --task {task} --set coding={name} --pictures pictures", "```", ""]
    if more := [f"- [{title}](../{file})" for file, title in about(name)]:
        lines += ["## More", "", *more, ""]
    return "\n".join(lines)


def about(name: str) -> Iterator[tuple[str, str]]:
    """Yield the pages whose heading names a coding, and the heading."""
    for file in sorted(DOCS.glob("*.md")):
        heading = file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
        if re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", heading, re.IGNORECASE):
            yield file.name, heading


def _prose(docstring: str) -> str:
    """Return a module's docstring as Markdown: code is marked as it is there."""
    return docstring.replace("``", "`").strip()


def _hyperparameters(config: Any) -> Iterator[str]:
    fields = fields_of(config)
    if not fields:
        yield "None but the number of time steps."
        return
    yield "| name | values | default | what |"
    yield "| --- | --- | --- | --- |"
    for field in fields:
        condition = f" Where `{field.when.field}` is {_words(field.when.values)}." if field.when else ""
        pinned = " Held at its default unless `--set` opens it." if field.pinned else ""
        what = f"{' '.join(_prose(field.doc).split())}{condition}{pinned}"
        yield f"| `{field.name}` | {describe(field.domain)} | {_cell(field.default)} | {_cell(what)} |"


def _company(name: str, coding: type[Coding], registry: Registry) -> Iterator[str]:
    low, high = coding.step_range.low, coding.step_range.high
    yield f"- Time steps: {low} to {high}."
    yield f"- Inputs: {_words(sorted(coding.inputs))}."
    neurons = registry.entries["neuron"]
    goes = [
        each
        for each in sorted(neurons)
        if coding.neurons is None or each in coding.neurons
        if registry.misfit("neuron", each, {"coding": name}) is None
    ]
    yield f"- Neurons: {_words([f'`{each}`' for each in goes])}."
    for pattern, domain in coding.requires.items():
        yield f"- Holds `{pattern}` to {describe(domain)}."
    if coding.trained_by == "conversion":
        yield "- A trained ANN is converted to it; the ANN is trained once for all candidates that share it."
    for found, kind in ((coding.published, "Published settings"), (coding.starting_points, "Starting points")):
        if found:
            yield f"- {kind} for `--priors`: {len(found)}; {coding.source}."


def _words(values: Any) -> str:
    return ", ".join(map(str, values))


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")
