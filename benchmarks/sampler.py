"""What one trial costs the study at 100, 300, 1,000 and 2,000 trials: asking the sampler, and telling it.

Run: python benchmarks/sampler.py [--trials 2000]

Candidates of the whole space of digits, each told at once with metrics computed from its hyperparameters: one in
three COMPLETE, the others PRUNED. Two objectives, the default sampler, the journal on this disk. Beside it stands
Optuna's own TPE on the same study. "ask" is everything until the candidate is in the journal.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import optuna
from synthetic import Cost, SyntheticSearch  # a file beside this one

AT = (100, 300, 1000, 2000)
SAMPLE = 30  # trials that are averaged
ASK_BOUND_MS = 5.0  # at 1,000 trials
RECORDS = 200


def block(search: SyntheticSearch, count: int) -> list[Cost]:
    """Return the costs of so many trials."""
    return [search.trial() for _ in range(count)]


def stock(search: SyntheticSearch, count: int) -> list[Cost]:
    """Return the costs of so many trials that Optuna's own sampler proposes."""
    costs, sampler, study = [], optuna.samplers.TPESampler(seed=count), search.record.study
    for _ in range(count):  # with a new study each time: the sampler caches its trials until Study.ask is called
        search.record.study = optuna.load_study(study_name=study.study_name, storage=study._storage, sampler=sampler)
        costs += block(search, 1)
    return costs


def line(name: str, costs: list[Cost]) -> str:
    """Write one line of figures: means, since every trial pays."""
    ask, cpu, tell = (statistics.mean(getattr(cost, field) for cost in costs) for field in ("ask", "ask_cpu", "tell"))
    return f"{name:12s} ask {ask:6.1f} ms (processor {cpu:6.1f} ms), tell {tell:4.1f} ms"


def journal_record(search: SyntheticSearch) -> float:
    """Return the milliseconds of one record that is on the disk when the call returns."""
    started = time.perf_counter()
    for number in range(RECORDS):
        search.record.study.set_user_attr("benchmark", number)
    return 1000 * (time.perf_counter() - started) / RECORDS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=max(AT), help="the largest number of trials measured at")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        search = SyntheticSearch(Path(folder), trials=arguments.trials + 1000)
        study, done = search.record.study, 0
        print(f"sampler, {search.hyperparameters} hyperparameters, 2 objectives, mean of {SAMPLE} trials", flush=True)
        for count in (count for count in AT if count <= arguments.trials):
            done += len(block(search, count - done - SAMPLE // 2))
            bound = f" (bound {ASK_BOUND_MS:.0f} ms)" if count == 1000 else ""
            print(f"  {count:5d} trials: {line('spikefront', block(search, SAMPLE))}{bound}", flush=True)
            print(f"  {count:5d} trials: {line('Optuna TPE', stock(search, SAMPLE // 3))}", flush=True)
            search.record.study = study
            done += SAMPLE + SAMPLE // 3
        size = search.settings.journal.stat().st_size / done / 1000
        print(f"  journal: {journal_record(search):.2f} ms per record, {size:.1f} kB per trial", flush=True)


if __name__ == "__main__":
    main()
