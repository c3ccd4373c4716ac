"""Data-parallel training: each process takes its share of every batch, and all make the same step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes that train one network, joined by torch's default process group.

    The step equals that of a single process for a loss that is a mean over samples. Operations across the samples of a
    batch see a share only: batch norm normalises over ``batch / size`` samples.

    Attributes:
        rank: number of this process, from 0.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    def share(self, index: Tensor) -> tuple[Tensor, float]:
        """Return this process's samples of a batch, and the weight of their mean loss in the batch's loss.

        All take the whole batch if a share would have less than two samples, which batch norm needs.
        """
        if self.size == 1 or len(index) < 2 * self.size:
            return index, 1 / self.size
        own = index[self.rank :: self.size]
        return own, len(own) / len(index)

    @torch.no_grad()
    def combine(self, network: nn.Module, loss: Tensor, weight: float) -> Tensor:
        """Replace each gradient by that of the whole batch, and return the loss of the whole batch.

        Args:
            network: the network, with the gradients of this process's share.
            loss: mean over the share.
            weight: weight of the share.
        """
        if self.size == 1:
            return loss
        gradients = [parameter.grad for parameter in network.parameters() if parameter.grad is not None]
        # one message: each costs a round trip
        message = torch.cat([loss.reshape(1), *(gradient.reshape(-1) for gradient in gradients)]).mul_(weight)
        dist.all_reduce(message)
        parts = message[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view(gradient.shape))
        return message[0]

    @torch.no_grad()
    def agree(self, network: nn.Module) -> None:
        """Copy the buffers of the first process to all, such as the running statistics of batch norm."""
        if self.size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, src=0)


ALONE = Processes()
"""Training by one process."""
