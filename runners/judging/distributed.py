"""Several processes train one network: each takes its share of every batch, and all take the same step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train one network, of which this is one; torch's default process group joins them.

    The step equals that of a single process for a loss that is a mean over samples. What mixes the samples of a batch
    sees a share only: batch norm normalises over ``batch / size`` samples.

    Attributes:
        rank: this process, from 0.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, index: Tensor) -> tuple[Tensor, float]:
        """Return which samples of a batch this process takes, and the weight of its mean loss in the batch's.

        All take the whole of a batch that leaves less than two samples to one of them, as batch norm needs two.
        """
        if self.size == 1 or len(index) < 2 * self.size:
            return index, 1 / self.size
        mine = index[self.rank :: self.size]
        return mine, len(mine) / len(index)

    @torch.no_grad()
    def combine(self, network: nn.Module, loss: Tensor, weight: float) -> Tensor:
        """Replace each gradient by that of the whole batch, and return the loss of the whole batch.

        Args:
            network: whose gradients are those of this process's share.
            loss: mean over the share.
            weight: of the share.
        """
        if self.size == 1:
            return loss
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        # one message: each costs a round trip, however short it is
        message = torch.cat([loss.reshape(1), *(gradient.reshape(-1) for gradient in gradients)]).mul_(weight)
        dist.all_reduce(message)
        parts = message[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
        return message[0]

    @torch.no_grad()
    def agree(self, network: nn.Module) -> None:
        """Give all processes the buffers of the first, such as the running statistics of batch norm."""
        if self.size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, src=0)


ALONE = Processes()
"""A network that one process trains."""
