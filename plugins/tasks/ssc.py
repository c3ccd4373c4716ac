"""SSC: the 35 words of Google Speech Commands, as spikes of 700 units of a cochlea.

Counts in 100 equal times, see ``plugins.data.spike_files``. Official: ``ssc_train.h5``, ``ssc_valid.h5`` and
``ssc_test.h5``. 75,466 recordings train: their counts take 5.3 GB of the node's cache, or 1.1 GB with
``task.ssc.pool=5``.

Needs the extra ``sequences``. The files are looked for in ``--data-dir`` and its folders ``ssc`` and ``SSC``.
**Not run on the real data**: they can't be had where this was written; the tests write such files.

Source: Cramer, Stradmann, Schemmel & Zenke, "The Heidelberg spiking data sets for the systematic evaluation of spiking
neural networks", IEEE TNNLS 33 (2022). Licence CC BY 4.0.
"""

from __future__ import annotations

from collections.abc import Callable

from spikefront.plugins import Task, hookimpl
from spikefront.plugins.data.spike_files import SpikeTask


class SSC(SpikeTask):
    """Spoken words as spikes of a cochlea of 700 units (needs the extra sequences); classification."""

    name = "ssc"
    words = 35
    validates = "ssc_valid.h5"
    held_out = "the official validation file; who speaks is not looked at"


@hookimpl
def register_tasks(register: Callable[[type[Task]], None]) -> None:
    register(SSC)
