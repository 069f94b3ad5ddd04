"""The processes of a data-parallel run, as torchrun starts them, or just this one."""

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
"""The first process may list a million clips while the others wait for it."""


@dataclass(frozen=True)
class Processes:
    """Who this process is among those that share every step.

    Attributes:
        rank: its number.
        size: how many there are.
        local_rank: its number on this machine.
        local_size: how many there are on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @classmethod
    def from_environment(cls) -> Processes:
        """What torchrun has set, or a single process."""
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
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def device(self, wanted: torch.device) -> torch.device:
        """This process's own device where ``wanted`` is CUDA without a number.

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
        """The processes can talk to each other inside: NCCL between GPUs, else Gloo."""
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

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same for each of them; ``values`` is overwritten."""
        if self.size > 1:
            torch.distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            torch.distributed.barrier()
