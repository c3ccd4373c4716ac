"""Networks that were written for other libraries as fixed backbones: a ``torch.nn.Module``, or a NIR file.

Weights, poolings, batch norms and sums are taken over, and the training begins with their values. Neurons are replaced
by sites, so that a search tries its own in their places.
"""

from __future__ import annotations

import copy
import zlib
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from spikefront.plugins.adapters.translation import Step, Translation
from spikefront.plugins.contracts import Backbone, Sites


class TranslatedBackbone(Backbone):
    """A backbone that another library describes."""

    convertible: ClassVar[bool] = False
    layouts = frozenset({"images", "features", "sequences"})

    def __init__(self, config: Any = None, *, input_shape: tuple[int, ...], outputs: int, sites: Sites) -> None:
        super().__init__(config, input_shape=input_shape, outputs=outputs, sites=sites)
        steps = self.steps(input_shape, outputs)
        self.layers = Translation(steps, input_shape, sites, self.name).layers(outputs)

    @classmethod
    def refuse_task(cls, input_shape: tuple[int, ...], outputs: int) -> None:
        cls(input_shape=input_shape, outputs=outputs, sites=lambda *_, **__: nn.Identity())

    def steps(self, input_shape: tuple[int, ...], outputs: int) -> list[Step]:
        """Return the network's layers, in the order of its forward pass."""
        raise TypeError(f"{type(self).__name__} must define steps(input_shape, outputs)")


class ModuleBackbone(TranslatedBackbone):
    """A ``torch.nn.Module`` of snnTorch, SpikingJelly or plain torch as a backbone; define ``make``.

    Its forward takes one input. Known are convolutions, linear layers, batch norm behind these, pooling, dropout,
    flattening, sums of two layers' outputs, and neurons of snnTorch (``Leaky``, ``Synaptic``, ``Alpha``, ``Lapicque``)
    and SpikingJelly (``BaseNode``). A loop over time counts once. A plugin may have hyperparameters as any has.
    """

    def make(self, input_shape: tuple[int, ...], outputs: int) -> nn.Module:
        """Return the module; its weights are where the training begins.

        Args:
            input_shape: shape of one input at one step, for example ``(1, 8, 8)``.
            outputs: number of outputs.
        """
        raise TypeError(f"{type(self).__name__} must define make(input_shape, outputs)")

    def steps(self, input_shape: tuple[int, ...], outputs: int) -> list[Step]:
        from spikefront.plugins.adapters.traced import traced

        return traced(copy.deepcopy(self.make(input_shape, outputs)), self.name)


class NirBackbone(TranslatedBackbone):
    """The network in a NIR file as a backbone; set ``file``.

    Attributes:
        file: path of the file. Its content is part of the plugin's version.
    """

    library: ClassVar[str] = "nir"
    file: ClassVar[Path]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "file" in vars(cls) and Path(cls.file).is_file():
            cls.revision = zlib.crc32(Path(cls.file).read_bytes())

    def steps(self, input_shape: tuple[int, ...], outputs: int) -> list[Step]:
        from spikefront.plugins.adapters.nir_files import read_steps

        return read_steps(Path(self.file), input_shape, self.name)
