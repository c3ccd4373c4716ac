"""The contract of a surrogate gradient."""

from __future__ import annotations

from torch import Tensor

from spikefront.plugins.contracts.plugin import SelfConfigured


class Surrogate(SelfConfigured):
    """A surrogate gradient: the derivative of the Heaviside step during training.

    A surrogate is its own config, a frozen dataclass::

        @dataclass(frozen=True, slots=True)
        class Box(Surrogate):
            \"\"\"1 where ``|x| < w``, else 0.\"\"\"

            name = "box"
            w: Annotated[float, Float(0.1, 2.0)] = 0.5
            \"\"\"Half-width w.\"\"\"

            def __call__(self, x):
                return (x.abs() < self.w).to(x.dtype)
    """

    def __call__(self, x: Tensor) -> Tensor:
        """Return the derivative at each element.

        Args:
            x: membrane potential minus threshold, any shape; must not be changed.

        Returns:
            A new tensor of the shape, dtype and device of ``x``.
        """
        raise TypeError(f"{type(self).__name__} must define __call__(x)")
