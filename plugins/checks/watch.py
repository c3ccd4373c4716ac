"""Contexts that see each operation of torch that runs inside."""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any, Final

from torch.utils._python_dispatch import TorchDispatchMode

_COMPILER: Final = "torch._dynamo"


class OperationWatch(TorchDispatchMode):
    """Context whose ``__torch_dispatch__`` is called instead of each operation inside.

    torch exempts it from compilation, for which it imports its compiler at the first call: a second, 800 modules and
    140 MB with Triton in each process. Here that is done only in processes that have the compiler, where something may
    be compiled; elsewhere calls are shorter, too.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def __init_subclass__(cls, **options: Any) -> None:
        plain = vars(cls).get("__torch_dispatch__")
        super().__init_subclass__(**options)  # type: ignore[no-untyped-call]
        if plain is None:
            return
        exempt = vars(cls)["__torch_dispatch__"]

        @wraps(plain)
        def dispatch(self: Any, *args: Any, **kwargs: Any) -> Any:
            return (exempt if _COMPILER in sys.modules else plain)(self, *args, **kwargs)

        cls.__torch_dispatch__ = dispatch  # type: ignore[method-assign]


__all__ = ["OperationWatch"]
