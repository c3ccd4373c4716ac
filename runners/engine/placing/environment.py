"""Environment variables of the processes that search and train."""

from __future__ import annotations

from typing import Final

WORKER_ENVIRONMENT: Final = {
    # glibc returns freed activations of 10 to 25 MB to the kernel at every step; kept, a training step is up to twice
    # as fast
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TRIM_THRESHOLD_": str(8 * 2**30),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
    "OMP_WAIT_POLICY": "PASSIVE",
}
"""What a process that trains must be started with."""

DRIVER_ENVIRONMENT: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_prestart_worker_first_driver": "0",  # Tune never takes these workers over; starting them only competes
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # MLflow is the record; no CSV, JSON and TensorBoard files per trial
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # a missing metric is one failed trial, not the end of the search
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # EndOfSearch handles Ctrl-C, and can say so
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own snapshot is never read
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
}
"""What the driver sets before it starts Ray."""
