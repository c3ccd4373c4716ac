"""The search space: the configs of all plugins, composed into one conditional, define-by-run space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from types import MappingProxyType

from spikefront.searchspace.answers import Ask, Odometer, Suggester, answering, suggested_by, unless_single
from spikefront.searchspace.candidate import (
    DEFAULTS,
    FAMILIES,
    JOINT_FAMILIES,
    PINNED_FAMILIES,
    STEPS,
    Candidate,
    Schedule,
    from_flat,
    identity,
)
from spikefront.searchspace.catalogue import SearchCatalogue as SearchCatalogue
from spikefront.searchspace.domains import (
    Choice,
    Domain,
    Int,
    Value,
    contains,
    describe,
    held,
)
from spikefront.searchspace.errors import UnknownName, UsageError
from spikefront.searchspace.fields import Field, fields_of
from spikefront.searchspace.narrowing import Narrowing, intersect, members, overlap
from spikefront.searchspace.priors import Prior, Priors
from spikefront.searchspace.rows import Row, conditions_of, default_name, steps_row


class Space:
    """All candidates of a search.

    Args:
        catalogue: names, configs and what goes together.
        task: name of the task searched on.
        narrowings: what to keep, in order; later ones narrow further.
        seed: seed that every candidate is trained under.

    Raises:
        UnknownName: when a narrowing matches nothing.
        UsageError: when a narrowing widens, or nothing is left.
    """

    def __init__(
        self, catalogue: SearchCatalogue, task: str, narrowings: Iterable[Narrowing] = (), seed: int = 0
    ) -> None:
        self._catalogue = catalogue
        self.task = task
        self.seed = seed
        self._narrowings = tuple(narrowings)
        if task not in catalogue.options("task"):
            raise UnknownName("task", task, catalogue.options("task"))
        self._check_patterns()
        self._names = {family: self._names_of(family) for family in FAMILIES}
        self._steps = {coding: self.steps_domain(coding) for coding in self._names["coding"]}
        self._combinations = self._combine()
        self._fitting: dict[tuple[object, ...], tuple[str, ...]] = {}
        self._check_domains()

    def _names_of(self, family: str) -> tuple[str, ...]:
        """Names kept in a family, including those that do not go with the rest."""
        if family == "task":
            return (self.task,)
        named = self._is_narrowed(family)
        if family in PINNED_FAMILIES and not named:
            return (DEFAULTS[family],)
        names = sorted(self._catalogue.options(family))
        for value in (value for one in self._narrowings if one.matches(family) for value in one.values):
            self._catalogue.refuse_missing(family, value)
        domain = self._narrow(family, Choice([n for n in names if named or not self._catalogue.named_only(family, n)]))
        assert isinstance(domain, Choice)
        return tuple(map(str, domain.choices))

    def steps_domain(self, coding: str) -> Domain | None:
        """Return the part of a coding's steps that the narrowings keep; None when nothing is left."""
        narrowings = [narrowing for narrowing in self._narrowings if narrowing.matches("steps")]
        named = any(narrowing.bounds is None for narrowing in narrowings)
        known = self._catalogue.open_steps if named else self._catalogue.steps
        domain: Domain = known(coding, self.task)
        for narrowing in narrowings:
            kept = intersect(narrowing, domain)
            if kept is None:
                return None
            domain = kept
        return domain

    def _combine(self) -> list[dict[str, str]]:
        """Enumerate the names that go together; raise ``UsageError`` when one that the user named goes with none."""
        problems: dict[tuple[str, str], tuple[int, str]] = {}  # the most specific for each name
        good = []
        for names in product(*(self._names[family] for family in JOINT_FAMILIES)):
            chosen = dict(zip(JOINT_FAMILIES, names, strict=True))
            problem = self._problem(chosen)
            if problem is None:
                good.append(chosen)
            else:
                for item in chosen.items():
                    if problem[0] > problems.get(item, (-1, ""))[0]:
                        problems[item] = problem
        for family in JOINT_FAMILIES:
            if self._is_narrowed(family) or not good:
                for name in self._names[family]:
                    if not any(chosen[family] == name for chosen in good):
                        raise UsageError(problems[family, name][1])
        return good

    def _problem(self, chosen: Mapping[str, str]) -> tuple[int, str] | None:
        """Return why these names can't be one network, and how specific that reason is; None when they can."""
        coding = chosen["coding"]
        if self._steps[coding] is None:
            domain, opened = self._catalogue.steps(coding, self.task), self._catalogue.open_steps(coding, self.task)
            more = "" if opened == domain else f", and takes {describe(opened)} where they are named one by one"
            return 0, f"coding {coding!r} is searched over steps {describe(domain)}{more}; none are kept"
        if (problem := self._catalogue.problem(chosen)) is not None:
            return 1, problem
        for family in (family for family in FAMILIES if family not in JOINT_FAMILIES):
            misfits = [self._catalogue.misfit(family, name, chosen) for name in self._names[family]]
            if misfits[0] is not None and all(misfits):
                return 3, misfits[0]
        return None if (clash := self._clash(chosen)) is None else (2, clash)

    def _clash(self, chosen: Mapping[str, str]) -> str | None:
        """Return which hyperparameter was narrowed to values that the coding excludes, or None."""
        coding = chosen["coding"]
        steps = min(members(self._steps[coding]))
        for family in (family for family in JOINT_FAMILIES if family not in ("task", "coding")):
            needed = self._catalogue.domains(family, chosen[family], coding, steps)
            for field in fields_of(self._catalogue.options(family)[chosen[family]]):
                name = f"{family}.{chosen[family]}.{field.name}"
                if field.name in needed and self._is_narrowed(name):
                    kept = self._narrow(name, field.domain)
                    if overlap(kept, needed[field.name]) is None:
                        return f"coding {coding!r} needs {name} {describe(needed[field.name])}, not {describe(kept)}"
        return None

    def _allowed(self, family: str, chosen: Mapping[str, str]) -> tuple[str, ...]:
        if family not in JOINT_FAMILIES:
            misfit = self._catalogue.misfit
            return tuple(name for name in self._names[family] if not chosen or misfit(family, name, chosen) is None)
        key = (family, *chosen.items())
        if key not in self._fitting:  # a search asks the same questions for every candidate
            fits = [combo for combo in self._combinations if all(combo[name] == chosen[name] for name in chosen)]
            self._fitting[key] = tuple(sorted({combo[family] for combo in fits}))
        return self._fitting[key]

    @property
    def combinations(self) -> Sequence[Mapping[str, str]]:
        """Names of task, coding, neuron and backbone that go together."""
        return self._combinations

    @property
    def codings(self) -> tuple[str, ...]:
        """Names of the codings that are searched."""
        return self._allowed("coding", {})

    def converts(self, coding: str) -> bool:
        """Return whether a coding converts an ANN, so that networks over fewer steps are parts of that over more."""
        return not self._catalogue.applies("training.surrogate", coding)

    def _check_patterns(self) -> None:
        names = {row_name for row_name, _, _ in self._all_fields()} | ({*FAMILIES, "steps"} - {"task"})
        for narrowing in self._narrowings:
            if not any(narrowing.matches(name) for name in names):
                raise UnknownName(f"hyperparameter in {narrowing.source}:", narrowing.pattern, names)
        hulls = [self._catalogue.open_steps(coding, self.task) for coding in self._catalogue.options("coding")]
        hull = Int(min(domain.low for domain in hulls), max(domain.high for domain in hulls))
        for narrowing in self._narrowings:
            if narrowing.matches("steps"):
                narrowing.apply(hull, "steps")  # raises when it reaches outside every coding

    def _all_fields(self) -> Iterable[tuple[str, str, Field]]:
        for family in FAMILIES:
            for name, config in self._catalogue.options(family).items():
                if family != "task" or name == self.task:
                    for field in fields_of(config):
                        yield f"{family}.{name}.{field.name}", name, field
        for field in fields_of(Schedule):
            yield f"training.{field.name}", "", field

    def _is_narrowed(self, name: str) -> bool:
        return any(narrowing.matches(name) for narrowing in self._narrowings)

    def _narrow(self, name: str, domain: Domain) -> Domain:
        for narrowing in self._narrowings:
            if narrowing.matches(name):
                domain = narrowing.apply(domain, name)
        return domain

    def _domain_of(self, name: str, field: Field, tighter: Domain | None = None) -> Domain:
        """Domain searched for one field: its own, narrowed; a pinned one is its default until it is narrowed."""
        domain = self._narrow(name, field.domain)
        if tighter is not None:
            kept = overlap(domain, tighter)
            assert kept is not None  # _problem or _check_domains refused it
            domain = kept
        if field.pinned and not self._is_narrowed(name):
            return Choice([held(domain, field.default)])
        return domain

    def _check_domains(self) -> None:
        """Raise ``UsageError`` for a narrowing that widens, or leaves a hyperparameter no value at some T."""
        for field in fields_of(Schedule):
            self._narrow(f"training.{field.name}", field.domain)
        for family in FAMILIES:
            for name in self._allowed(family, {}):
                for field in fields_of(self._catalogue.options(family)[name]):
                    self._narrow(f"{family}.{name}.{field.name}", field.domain)
        for coding in self._allowed("coding", {}):
            for steps in sorted(members(self._steps[coding])):
                self._check_coding(coding, steps)

    def _check_coding(self, coding: str, steps: int) -> None:
        tighter = self._catalogue.domains("coding", coding, coding, steps)
        for field in fields_of(self._catalogue.options("coding")[coding]):
            name = f"coding.{coding}.{field.name}"
            if field.name in tighter and self._is_narrowed(name):
                domain = self._narrow(name, field.domain)
                if overlap(domain, tighter[field.name]) is None:
                    raise UsageError(
                        f"{name}: {describe(domain)} is outside {describe(tighter[field.name])}, its range at "
                        f"{steps} steps; narrow steps too"
                    )

    # Walking

    def walk(self, ask: Ask, pinned: Mapping[str, Value] = MappingProxyType({})) -> Candidate:
        """Return a candidate, from the value of each active parameter in turn.

        Args:
            ask: returns a value. A choice whose options depend on earlier choices has a name with these choices in it
                (``neuron|coding=css``), since Optuna needs the options of one name to stay the same. It is not called
                for parameters with one possible value.
            pinned: values in place of those that the space holds, by flat name; they are not asked for.
        """
        flat: dict[str, Value] = {"seed": self.seed}
        chosen: dict[str, str] = {}

        def valued(name: str, asked: str, domain: Domain, default: Value) -> Value:
            return pinned[name] if name in pinned else unless_single(ask, asked, domain, default)

        for family in FAMILIES:
            if family not in JOINT_FAMILIES and not self._catalogue.applies(family, chosen["coding"]):
                continue  # from_flat takes the default
            flat[family] = chosen[family] = str(pinned.get(family) or self._choose(family, chosen, ask))
            if family == "coding":
                flat["steps"] = pinned.get("steps") or self._ask_steps(chosen["coding"], ask)
            tighter: Mapping[str, Domain] = {}
            steps = flat.get("steps")
            if isinstance(steps, int):
                tighter = self._catalogue.domains(family, chosen[family], chosen["coding"], steps)
            values: dict[str, Value] = {}
            for field in fields_of(self._catalogue.options(family)[chosen[family]]):
                name = f"{family}.{chosen[family]}.{field.name}"
                if not field.active(values):
                    continue
                domain = self._domain_of(name, field, tighter.get(field.name))
                varies = field.name in tighter and isinstance(domain, Choice)
                asked = name
                if varies:
                    asked += f"|steps={steps}" if family == "coding" else f"|coding={chosen['coding']}"
                drawn = valued(name, asked, domain, field.default)
                flat[name] = values[field.name] = drawn if name in pinned else field.snapped(drawn, domain)
        schedule: dict[str, Value] = {}
        for field in fields_of(Schedule):
            if field.active(schedule):
                name = f"training.{field.name}"
                schedule[field.name] = flat[name] = valued(name, name, self._domain_of(name, field), field.default)
        return from_flat(flat, self._catalogue)

    def _choose(self, family: str, chosen: Mapping[str, str], ask: Ask) -> Value:
        allowed = self._allowed(family, chosen)
        name = family
        if allowed != self._allowed(family, {}):
            name += "|" + ",".join(f"{key}={chosen[key]}" for key in JOINT_FAMILIES if key in chosen and key != "task")
        return unless_single(ask, name, Choice(allowed), default_name(family, allowed))

    def _ask_steps(self, coding: str, ask: Ask) -> Value:
        domain = self._steps[coding]
        assert domain is not None
        # Optuna needs the options and the scale behind one name to stay the same; a range on a log scale is shared
        name = "steps" if isinstance(domain, Int) and domain.log else f"steps|coding={coding}"
        return unless_single(ask, name, domain, STEPS)

    def suggest(self, trial: Suggester, pinned: Mapping[str, Value] = MappingProxyType({})) -> Candidate:
        """Return the candidate that an Optuna trial suggests; one that was queued may have ``Prior.pinned`` besides."""
        return self.walk(suggested_by(trial), pinned)

    def candidates(self) -> Iterator[tuple[dict[str, Value], Candidate]]:
        """Yield every candidate once, with the suggestions of which ``suggest`` makes it.

        Beside a continuous range the candidates never end.
        """
        odometer = Odometer()
        while True:
            candidate = self.walk(odometer.ask)
            yield odometer.answers, candidate
            if not odometer.advance():
                return

    def identity(self, flat: Mapping[str, Value]) -> frozenset[tuple[str, object]]:
        """Return what equal candidates have in common, of a flat candidate that an earlier version may have written."""
        try:
            return identity(from_flat(flat, self._catalogue).flat())
        except UsageError:  # a plugin has changed since
            return identity(flat)

    def default(self, **choices: str) -> Candidate:
        """Return the candidate of all defaults, with some choices fixed by family (``coding="sac"``).

        Raises:
            UsageError: when a fixed choice is not in this space.
        """
        for family, name in choices.items():
            if family not in FAMILIES:
                raise UnknownName("choice", family, FAMILIES)
            if name not in self._allowed(family, {}):
                raise UsageError(f"{family} {name!r} is not in this space: {', '.join(self._allowed(family, {}))}")

        candidate = self.walk(answering(choices, {}))
        flat = candidate.flat()
        if any(flat[family] != name for family, name in choices.items()):
            problem = self._problem({family: str(flat[family]) for family in JOINT_FAMILIES} | choices)
            assert problem is not None
            raise UsageError(problem[1])
        return candidate

    def priors(self) -> list[Prior]:
        """Return each coding's defaults, then the settings of its publication and its starting points that fit."""
        return self._priors().found

    def priors_left_out(self) -> list[str]:
        """Return the published settings and starting points that this space has no room for, with what they need."""
        return self._priors().left_out

    def _priors(self) -> Priors:
        names = {name for name, _, field in self._all_fields() if field.pinned and not self._is_narrowed(name)}
        names |= {family for family in PINNED_FAMILIES if not self._is_narrowed(family)}

        def held(name: str, wanted: Mapping[str, Value]) -> bool:
            if name == "steps":
                coding = str(wanted["coding"])
                domain, opened = self._steps[coding], self._catalogue.open_steps(coding, self.task)
                searched = self._is_narrowed(name) or (domain is not None and contains(domain, wanted[name]))
                return not searched and contains(opened, wanted[name])
            return name in names or any(name.startswith(f"{family}.{wanted.get(family)}.") for family in names)

        return Priors(self, self._catalogue, self._allowed("coding", {}), held)

    def fitted(self, settings: Iterable[Mapping[str, Value]]) -> list[Prior]:
        """Return some candidates as this space has them.

        Args:
            settings: parts of flat candidates. What is missing takes its default, and what was narrowed away the
                nearest value that is left. One with a coding that is not in this space is left out, and so is a
                duplicate.
        """
        found: dict[Candidate, Prior] = {}
        for wanted in settings:
            asked: dict[str, Value] = {}
            candidate = self.walk(answering(wanted, asked))
            if wanted.get("coding", candidate.coding.name) == candidate.coding.name:
                found.setdefault(candidate, Prior(candidate, asked))
        return list(found.values())

    # Describing

    def rows(self) -> list[Row]:
        """List the hyperparameters that exist in this space, searched and pinned, in the order they are chosen."""
        settings = fields_of(self._catalogue.options("task")[self.task])
        rows = [self._row(f"task.{self.task}.{field.name}", field, "always") for field in settings]
        for family in (family for family in FAMILIES if family != "task"):
            names = self._allowed(family, {})
            default = default_name(family, names)
            rows.append(Row(family, ", ".join(names), default, "always", f"which {family}", len(names) > 1))
            if family == "coding":
                steps = ((name, self._steps[name]) for name in names)
                rows += [steps_row(name, domain) for name, domain in steps if domain is not None]
            for name in names:
                fields = fields_of(self._catalogue.options(family)[name])
                for field in fields:
                    active = ", ".join([f"{family}={name}", *conditions_of(field, fields)])
                    rows.append(self._row(f"{family}.{name}.{field.name}", field, active))
        for field in fields_of(Schedule):
            active = ", ".join(conditions_of(field, fields_of(Schedule), "training.")) or "always"
            rows.append(self._row(f"training.{field.name}", field, active))
        return rows

    def _row(self, name: str, field: Field, active: str) -> Row:
        domain = self._domain_of(name, field)
        return Row(name, describe(domain), held(domain, field.default), active, field.doc, not domain.single())
