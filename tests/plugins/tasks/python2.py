"""Pickles as Python 2 wrote them, which the archives of CIFAR hold."""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any, ClassVar

import numpy as np


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, and arrays under NumPy's name of that time, as in the archives."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)

    def save_bytes(self: Any, value: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    def save_global(self: Any, value: Any, name: str | None = None) -> None:
        names = {np.ndarray: "numpy\nndarray\n", np.dtype: "numpy\ndtype\n"}
        self.write(pickle.GLOBAL + names.get(value, "numpy.core.multiarray\n_reconstruct\n").encode())
        self.memoize(value)

    dispatch[bytes] = save_bytes
    dispatch[type(np.empty(0).__reduce__()[0])] = save_global
    dispatch[type] = save_global


def python2_pickle(value: object) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(value)
    return file.getvalue()
