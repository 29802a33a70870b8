"""The gradient of a batch: computed by several threads on a CPU, in one piece on an accelerator."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from model import GPT2, cross_entropy

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Workers:
    """Computes the gradient of a batch: in one piece on an accelerator, on a CPU by threads that share the weights."""

    def __init__(self, model: GPT2, count: int, rows: int, device: str, compiled: bool) -> None:
        self.model, self.rows, self.device, self.count = model, rows, device, count
        self.replicas = [model]
        for _ in range(count - 1):
            replica = copy.deepcopy(model)
            for mine, shared in zip(replica.parameters(), model.parameters(), strict=True):
                mine.data = shared.data
            self.replicas.append(replica)
        self.losses = [self._loss_function(replica, compiled) for replica in self.replicas]
        self.pool = ThreadPoolExecutor(count)

    def _loss_function(self, replica: GPT2, compiled: bool) -> Loss:
        def loss(ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            with torch.autocast(self.device, torch.bfloat16):
                return replica.loss(ids, targets)

        if not compiled or self.device == "cpu":
            return torch.compile(loss) if compiled else loss
        # On an accelerator the blocks are compiled one by one: their code is the same, so it is compiled once.
        for block in replica.h:
            block.compile()
        head = torch.compile(cross_entropy)

        def loss_by_blocks(ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            with torch.autocast(self.device, torch.bfloat16):
                return head(replica.features(ids), replica.wte.weight, targets)

        return loss_by_blocks

    def gradient(self, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Leave the mean gradient of the batch in the model's parameters and return its mean loss in nats.

        On an accelerator this does not wait for the device: the loss is returned as a tensor on it.
        """
        counted = int((targets != -100).sum())
        parts = [
            (part, wanted, int((wanted != -100).sum()) / counted)
            for part, wanted in zip(ids.split(self.rows), targets.split(self.rows), strict=True)
        ]
        total, lock = torch.zeros((), device=self.device), threading.Lock()

        def work(loss: Loss) -> None:
            while True:
                with lock:
                    if not parts:
                        return
                    part, wanted, share = parts.pop()
                value = loss(*(t.to(self.device, non_blocking=True) for t in (part, wanted))) * share
                value.backward()
                with lock:
                    total.add_(value.detach())

        if self.device == "cpu":
            list(self.pool.map(work, self.losses))
        else:
            work(self.losses[0])
        for replica in self.replicas[1:]:
            for mine, other in zip(self.model.parameters(), replica.parameters(), strict=True):
                if other.grad is None:
                    continue
                mine.grad = other.grad if mine.grad is None else mine.grad.add_(other.grad)
                other.grad = None
        return total
