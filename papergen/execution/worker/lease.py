"""Which attempt at a trial may write: the one whose name stands in the trial's lease, a file that all machines see.

A cluster that loses sight of a machine starts its jobs again elsewhere, while the first attempt may go on computing.
The later attempt puts its name into the lease; the earlier one finds it there, or no lease at all once the trial is
over, and gives up.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from papergen.core.files import write_atomic

LEASE_VARIABLE = "PAPERGEN_LEASE"
"""Environment variable that says to all processes of an attempt which it is, and where the lease lies."""

LOST = "another attempt at this trial has begun elsewhere, or it was ended; this one gives up"


@dataclass(frozen=True)
class Lease:
    """One attempt's view of a trial's lease; without `path` no other can begin before this one is over."""

    attempt: str = ""
    path: Path | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """The lease that `to_environment` handed to this process or one of its ancestors."""
        attempt, _, path = os.environ.get(LEASE_VARIABLE, "").partition(" ")
        return cls(attempt, Path(path) if path else None)

    def to_environment(self) -> None:
        """Hand it to all processes that this one starts."""
        assert self.attempt.strip(" ") == self.attempt != "", "the name ends at the first space"
        os.environ[LEASE_VARIABLE] = f"{self.attempt} {self.path}"

    def take(self) -> None:
        """Be the attempt that may write."""
        assert self.path is not None, "there is nothing to take"
        write_atomic(self.path, self.attempt)

    def is_held(self) -> bool:
        """Whether this attempt may write. It is opened each time, which no file server caches (NFS)."""
        if self.path is None:
            return True
        try:
            return self.path.read_text() == self.attempt
        except FileNotFoundError:
            return False
        except OSError:  # a file server that does not answer now has not said that it is lost
            return True
