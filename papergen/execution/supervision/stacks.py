"""Where ranks stand, read from the stacks that they wrote to their logs: who waits for the others, and who hangs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from papergen.core.files import last_lines

_HEAD = re.compile(r"^Current thread 0x\w+.*\(most recent call first\):")
# faulthandler's words. The kernel gives a signal to the main thread, which is "current"; others are "Thread 0x...".
# Newer Pythons put the thread's name between the number and the bracket.
_FRAME = re.compile(r'^  File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$')

_COLLECTIVE = re.compile(r"torch/(distributed/|nn/parallel/distributed\.py|autograd/graph\.py)")
"""Code that waits for other ranks; in a backward pass the reduction happens below autograd."""
_OUTSIDE = re.compile(
    r"/(ssl|socket|selectors|subprocess)\.py|/(urllib|http|httpx|httpcore|requests|urllib3|huggingface_hub|fsspec)/"
    r"|importlib|torch/cuda/"
)
"""Code that waits for something other than a rank: the network, a file server, a GPU, a program."""
_NEAR = 8
"""Frames from the innermost one in which such code is looked for: between `recv` and its caller lie a few of ssl's."""

Standing = Literal["waits for the others", "waits outside", "elsewhere"]


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The main thread of one rank, innermost frame first."""

    frames: Sequence[tuple[str, int, str]]
    """File, line, function."""

    @property
    def standing(self) -> Standing:
        """What it waits for, as far as the code it is in tells."""
        near = [file for file, _, _ in self.frames[:_NEAR]]
        if any(_COLLECTIVE.search(file) for file in near):
            return "waits for the others"
        if any(_OUTSIDE.search(file) for file in near):
            return "waits outside"
        return "elsewhere"

    @property
    def place(self) -> str:
        """`train (mine.py:14)`: the innermost frame."""
        file, line, name = self.frames[0]
        return f"{name} ({Path(file).name}:{line})"

    @property
    def shown(self) -> str:
        """The innermost frames, one a line."""
        lines = [f'  File "{file}", line {line}, in {name}' for file, line, name in self.frames[:_NEAR]]
        return "\n".join([f"in {self.place}", *lines])

    @property
    def collective(self) -> str:
        """The outermost function of torch.distributed that it is in: `all_reduce`."""
        # torch.distributed wraps its functions for logging (c10d_logger.py): "wrapper" says nothing.
        names = [name for file, _, name in self.frames if _COLLECTIVE.search(file) and name != "wrapper"]
        return names[-1] if names else self.place


def last_stack(lines: Sequence[str]) -> Stack | None:
    """The last stack of the main thread in a rank's log; None when there is none."""
    heads = [index for index, line in enumerate(lines) if _HEAD.match(line)]
    frames = []
    for line in lines[heads[-1] + 1 :] if heads else ():
        found = _FRAME.match(line)
        if found is None:
            break
        frames.append((found["file"], int(found["line"]), found["name"]))
    return Stack(frames=frames) if frames else None


def who_hangs(stacks: Mapping[int, Stack]) -> tuple[int | None, str] | None:
    """The rank that keeps the others waiting and how to say so; rank None: all wait for each other; None: no evidence.

    Call it when no rank has used the processor for a while. A rank that waits for the network is no evidence.
    """
    waiting = {rank: stack for rank, stack in stacks.items() if stack.standing == "waits for the others"}
    if not waiting or any(stack.standing == "waits outside" for stack in stacks.values()):
        return None
    shown = ", ".join(f"rank {rank} in {stack.collective}" for rank, stack in sorted(waiting.items())[:4])
    others = sorted(set(stacks) - set(waiting))
    if others:
        return others[0], f"hangs in {stacks[others[0]].place} while the others wait for it ({shown})"
    return None, f"the ranks wait for each other and none goes on ({shown}): did all call the same operations?"


def who_stands_still(stacks: Mapping[int, Stack], before: Mapping[int, Stack]) -> tuple[int, str] | None:
    """The first rank that stands where it stood before, outside any wait for something else; None: no evidence.

    Call it when all ranks are overdue by the pace they promised and none has used the processor for a while.
    """
    if any(stack.standing == "waits outside" for stack in stacks.values()):
        return None
    for rank, stack in sorted(stacks.items()):
        if stack.standing == "elsewhere" and rank in before and before[rank].frames == stack.frames:
            return rank, f"hangs in {stack.place}"
    return None


def stack_lines(log: Path) -> list[str]:
    """As much of a rank's log as holds the stacks that it was asked for."""
    return last_lines(log, num_lines=400, num_bytes=32768)
