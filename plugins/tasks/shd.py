"""SHD: the digits from zero to nine in English and German, spoken by 12 people, as spikes of 700 units of a cochlea.

Counts in 100 equal times, see ``plugins.data.spike_files``. Official: ``shd_train.h5`` and ``shd_test.h5``, without a
file that validates; two speakers are in the latter alone. So **speakers validate who do not train**, the last one in
six of those of ``shd_train.h5``: recordings of one speaker are alike, and quality on them would say little about
others. The test file is read by the final confirmation only.

Needs the extra ``sequences``. The files are looked for in ``--data-dir`` and its folders ``shd`` and ``SHD``.
**Not run on the real data**: they can't be had where this was written; the tests write such files.

Source: Cramer, Stradmann, Schemmel & Zenke, "The Heidelberg spiking data sets for the systematic evaluation of spiking
neural networks", IEEE TNNLS 33 (2022). Licence CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.spike_files import SpikeTask


class SHD(SpikeTask):
    """Spoken digits as spikes of a cochlea of 700 units (needs the extra sequences); classification."""

    name = "shd"
    words = 20
    held_out = "the last one in six speakers who train: a random split would validate on speakers that train, too"


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(SHD)
