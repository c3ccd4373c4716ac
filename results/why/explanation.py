"""Answer to why a trial did not learn: its layers by epoch, the likely cause, and the nearest candidate that learnt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Final

from spikefront.results.why.causes import Case, Cause, cause_of
from spikefront.searchspace.errors import UsageError
from spikefront.searchspace.objectives import OF_THE_MACHINE
from spikefront.searchspace.retraining import ConvertedLayer, LayerEpoch, short
from spikefront.searchspace.units import format_quality

if TYPE_CHECKING:
    import pandas

    from spikefront.results.pictures.picture import Picture

_LARGEST: Final = 1e300
"""Above it MLflow has written an infinity."""
_SHOWN: Final = ("rate", "gradient")


@dataclass(frozen=True)
class Explanation:
    """Why a trial did not learn, or that it did.

    Attributes:
        name: the trial, as ``SEARCH/TRIAL``.
        case: what is known of it.
        curves: metrics that the store has of it, by epoch.
        traceback: of the exception that it raised; empty where there is none.
        left_out: why it was not trained again; empty where it was.
    """

    name: str
    case: Case
    curves: Mapping[int, Mapping[str, float]]
    traceback: str = ""
    left_out: str = ""

    @cached_property
    def cause(self) -> Cause:
        """The likely cause; its ``rule`` names the rule that found it."""
        return cause_of(self.case)

    @property
    def layers(self) -> pandas.DataFrame:
        """Return a row for each layer and epoch; see ``LayerEpoch`` for the columns. Empty without a retraining."""
        import pandas

        columns = [field.name for field in fields(LayerEpoch)]
        seen = self.case.seen
        return pandas.DataFrame([asdict(one) for one in seen.layers] if seen else [], columns=columns)

    @property
    def converted(self) -> pandas.DataFrame:
        """Return a row for each layer of a converted network; see ``ConvertedLayer``. Empty of any other."""
        import pandas

        columns = [field.name for field in fields(ConvertedLayer)]
        seen = self.case.seen
        return pandas.DataFrame([asdict(one) for one in seen.converted] if seen else [], columns=columns)

    @property
    def differences(self) -> pandas.DataFrame:
        """Return the settings that differ from the nearest trial that learnt, a row each; empty where none did."""
        import pandas

        near = self.case.near
        there = f"trial {near.trial.number}" if near else "nearest"
        rows = near.differences if near else ()
        texts = [tuple(_text(value) for value in row) for row in rows]
        return pandas.DataFrame(texts, columns=["setting", f"trial {self.case.trial.number}", there])

    def table(self) -> pandas.DataFrame:
        """Return rates and gradient norms of each layer after the first, the middle and the last epoch."""
        import pandas

        seen = self.case.seen
        if seen is None or not seen.layers:
            return pandas.DataFrame(columns=["layer"])
        chosen = sorted({1, (seen.epochs + 1) // 2, seen.epochs})
        cells = {(one.layer, one.epoch): one for one in seen.layers}
        rows = []
        for layer in dict.fromkeys(one.layer for one in seen.layers):
            row: dict[str, object] = {"layer": short(layer)}
            for field in _SHOWN:
                for epoch in chosen:
                    one = cells.get((layer, epoch))
                    row[f"{field} {epoch}"] = math.nan if one is None else getattr(one, field)
            rows.append(row)
        return pandas.DataFrame(rows)

    def picture(self) -> Picture:
        """Return a heat map of rates and gradient norms by layer and epoch.

        Raises:
            UsageError: when it was not trained again, or not for one step.
        """
        from spikefront.results.pictures.training import training_picture

        seen = self.case.seen
        if seen is None or not seen.layers:
            raise UsageError(f"trial {self.name} has no picture: {self.left_out or 'it ended before it was trained'}")
        return training_picture(seen, f"trial {self.name}, {self.case.flat.get('coding')}")

    def sentences(self) -> list[str]:
        """Return the answer: what it is, the likely cause, the nearest that learnt, and whether it was reproduced."""
        return [*filter(None, (self._head(), self._verdict(), self._near(), self._reproduced()))]

    def _head(self) -> str:
        case, flat = self.case, self.case.flat
        parts = " ".join(str(flat.get(name)) for name in ("coding", "neuron", "backbone"))
        told = f"Trial {self.name}: {parts}, T={flat.get('steps')}, {case.trial.state}"
        budget = flat.get("training.epochs")
        known = max(self.curves, default=0)
        told += f" after {known} of {budget} epochs" if known and known != budget else ""
        if not math.isnan(case.quality):
            told += f", quality {format_quality(case.quality)} (chance {format_quality(case.chance)})"
        return f"{told}."

    def _verdict(self) -> str:
        return str(self.cause) if self.cause.rule == "learnt" else f"Most likely cause: {self.cause}"

    def _near(self) -> str:
        near = self.case.near
        if near is None:
            return "No trial of the search learnt."
        if near.trial.number == self.case.trial.number:
            return ""
        quality = format_quality(near.trial.metrics["quality"])
        told = (
            f"Nearest that learnt: trial {near.trial.number}, quality {quality}, at a distance of {near.distance:.2f}"
        )
        number = len(near.differences)
        return f"{told}; {number} setting{'s differ' if number != 1 else ' differs'}."

    def _reproduced(self) -> str:
        """Return whether the retraining gave the metrics that are stored."""
        seen = self.case.seen
        if seen is None:
            return f"It was not trained again: {self.left_out}." if self.left_out else ""
        compared, other = 0, ""
        epochs = 0
        for at, metrics in enumerate(seen.history, 1):
            stored = self.curves.get(at if not seen.converted else max(self.curves, default=at), {})
            for name, value in metrics.items():
                known = stored.get(name)
                if known is None or name in OF_THE_MACHINE or abs(known) > _LARGEST or not math.isfinite(value):
                    continue
                compared += 1
                if known != value and not other:
                    other = f"{name} at epoch {at} is {value!r}, and {known!r} in the store"
            epochs += bool(stored)
        if other:
            return (
                f"The retraining does not reproduce the trial ({other}): another machine, number of threads or version."
            )
        if not compared:
            return "The store has no metrics of it to compare the retraining with."
        told = f"{epochs} epoch{'s' * (epochs != 1)}"
        return f"The retraining reproduces all {compared} stored metrics of {told} to the last digit."


def _text(value: object) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
