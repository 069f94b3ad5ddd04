"""The processes of a data-parallel run, as torchrun starts them, or this process alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor

from facecycle_cli.errors import TrainingError

_PATIENCE = timedelta(hours=2)
"""How long processes wait for each other: the first one may have to list a million clips."""


@dataclass(frozen=True)
class Processes:
    """Which process this is among those that share every step.

    Attributes:
        rank: its number.
        size: number of processes.
        local_rank: its number on this machine.
        local_size: number of processes on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def from_environment(cls) -> Processes:
        """The processes that torchrun has started, or a single one."""
        if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
            return cls()
        size = int(os.environ["WORLD_SIZE"])
        return cls(
            rank=int(os.environ["RANK"]),
            size=size,
            local_rank=int(os.environ.get("LOCAL_RANK", "0")),
            local_size=int(os.environ.get("LOCAL_WORLD_SIZE", size)),
        )

    @property
    def is_first(self) -> bool:
        """Whether this process writes and reports for all."""
        return self.rank == 0

    def device(self, wanted: torch.device) -> torch.device:
        """This process's own device if ``wanted`` is CUDA without a number.

        Raises:
            TrainingError: there are more processes than GPUs.
        """
        if self.size == 1 or wanted.type != "cuda":
            return wanted
        count = torch.cuda.device_count()
        if self.local_size > count:
            raise TrainingError(f"{self.local_size} processes on a machine with {count} GPUs")
        return torch.device("cuda", self.local_rank)

    @contextmanager
    def connected(self, device: torch.device) -> Iterator[None]:
        """A context in which the processes can communicate: by NCCL between GPUs, else by Gloo."""
        if self.size == 1:
            yield
            return
        if device.type == "cuda":
            torch.cuda.set_device(device)
        backend = "nccl" if device.type == "cuda" else "gloo"
        torch.distributed.init_process_group(backend, timeout=_PATIENCE)
        try:
            yield
        finally:
            torch.distributed.destroy_process_group()

    @contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """A context that the first process leaves before the rest enters it.

        What the first process writes in it (or finds to be wrong), the rest finds.
        """
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same for each of them; ``values`` is overwritten."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values

    def any(self, flags: tuple[bool, bool], device: torch.device) -> tuple[bool, bool]:
        """Two flags, each true if it is true in any process."""
        if self.size == 1:
            return flags
        first, second = self.sum(torch.tensor(flags, dtype=torch.int, device=device)).tolist()
        return first > 0, second > 0


def mean_of_all(x: Tensor, processes: int) -> Tensor:
    """The mean (1, ...) over the rows of all processes; gradients flow back to each of them."""
    mean = x.mean(dim=0, keepdim=True)
    if processes == 1:
        return mean
    from torch.distributed.nn.functional import all_reduce

    total: Tensor = all_reduce(mean)  # type: ignore[no-untyped-call]  # torch has no type for it
    return total / processes


def rows_of_all(x: Tensor, processes: int, *, gradient: bool = False) -> Tensor:
    """The rows of all processes, in the order of their ranks.

    Args:
        x: (N, ...), as many rows in each process.
        processes: that share the step.
        gradient: whether gradients flow back to the process of each row.
    """
    if processes == 1:
        return x
    if gradient:
        from torch.distributed.nn import functional

        return torch.cat(functional.all_gather(x))  # type: ignore[no-untyped-call]  # as above
    parts = [torch.empty_like(x) for _ in range(processes)]
    torch.distributed.all_gather(parts, x.contiguous())
    return torch.cat(parts)
