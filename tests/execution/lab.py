"""Trials of throw-away experiments, and a way to see that no process of theirs is left."""

from __future__ import annotations

import os
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from papergen.core.files import write_json
from papergen.execution.launcher import Ended, Event, Job, Launcher
from papergen.execution.settings import RunSettings, Timeouts
from papergen.store.records import Trial

HEAD = """
import os, signal, subprocess, sys, time
from papergen import Metric, Params as Base
from pydantic import Field

class Params(Base):
    size: int = Field(default=1, description="Any whole number.")

METRICS = (Metric(name="score", label="Score"),)

def run(params, ctx):
"""

TIMEOUTS = Timeouts(settle_s=1.0, grace_s=1.0, linger_s=1.0, early_s=2.0, silent_s=4.0, check_s=0.2)
"""Timeouts that a test can wait for."""


def quick(**changes: Any) -> RunSettings:
    """Settings with `TIMEOUTS`, and these changed: fields of RunSettings or of Timeouts."""
    waits = {name: changes.pop(name) for name in list(changes) if hasattr(TIMEOUTS, name)}
    return RunSettings(timeouts=replace(TIMEOUTS, **waits), **changes)


QUICK = quick()

TRAINING = """
from papergen.ml.training.loop import train
from papergen.ml.training.settings import TrainingSettings

def told(done, total, values):
    ctx.step(done, total, **values)
    if done == 40 and ctx.rank == ctx.world_size - 1:
        (ctx.scratch / "fault").touch()
        time.sleep(1000)

settings = TrainingSettings(
    world_size=ctx.world_size, n_layer=1, n_embd=16, n_head=2, vocab_size=300, block_size=32, batch_size=4,
    max_steps=1000, warmup_steps=2, corpus="text.txt", eval_every=20, save_every=10,
)
train(
    settings, seed=0, rank=ctx.rank, world_size=ctx.world_size, local_rank=ctx.local_rank, device="cpu",
    folder=ctx.folder, project=ctx.project, checkpoints=ctx.scratch / "checkpoints", resume=True,
    log=lambda step, values: None, progress=told,
)
"""
"""A training that hangs in its 40th step."""

DDP = """
    import torch
    import torch.distributed as dist
    assert "torch" in sys.modules
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(400, 400))
    data = torch.full((400, 400), float(ctx.rank + 1))
    for _ in range(5):
        model(torch.tanh(data @ data)).sum().backward()
    total = torch.tensor([ctx.rank + 1.0])
    dist.all_reduce(total)
    ctx.log(0, loss=total)
    ctx.fact("threads", torch.get_num_threads())
    return {"score": total}
"""
"""Two ranks of DDP, after a fork as well."""

MARK = "PAPERGEN_TEST_MARK"


def trial(name: str, *, needs: str = "", num_ranks: int = 1) -> Trial:
    upstream = {"model": needs} if needs else {}
    common = {"experiment": "e", "seed": 0, "kind": "k", "params": {}, "is_seeded": False, "parts": {}}
    return Trial(row=name, num_ranks=num_ranks, upstream=upstream, digest=name, **common)  # type: ignore[arg-type]


class Lab:
    """A project folder in which jobs are made of the lines of a `run` function."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.count = 0
        (project / "experiments").mkdir(parents=True)

    def job(self, body: str, *, num_ranks: int = 1, params: Any = None, **fields: Any) -> Job:
        self.count += 1
        kind_file = self.project / "experiments" / f"kind{self.count}.py"
        kind_file.write_text(HEAD + textwrap.indent(textwrap.dedent(body), "    "), encoding="utf-8")
        folder = self.project / "results" / ".running" / f"trial{self.count}"
        folder.mkdir(parents=True)
        scratch = self.project / "results" / ".scratch" / f"trial{self.count}"
        scratch.mkdir(parents=True)
        trial = Trial(
            experiment="lab",
            row=f"row{self.count}",
            seed=0,
            kind=kind_file.stem,
            params=params or {},
            num_ranks=num_ranks,
            is_seeded=True,
            upstream={},
            parts={},
            digest=f"{self.count:064x}",
        )
        write_json(folder / "trial.json", trial.to_json())
        defaults: dict[str, Any] = {"num_threads": 1, "upstream": {}}
        defaults |= {"folder": folder, "scratch": scratch}
        return Job(trial=trial, kind_file=kind_file, project=self.project, **{**defaults, **fields})


def marked(word: str) -> list[str]:
    """The living processes that carry the mark, this one excepted."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit() or int(folder.name) == os.getpid():
            continue
        try:
            if word.encode() in (folder / "environ").read_bytes():
                found.append(f"{folder.name}: {(folder / 'cmdline').read_bytes().decode(errors='replace')}")
        except OSError:
            continue
    return found


def wait_until_gone(word: str, limit_s: float) -> list[str]:
    """What is left of the marked processes after at most so long."""
    deadline = time.monotonic() + limit_s
    while (left := marked(word)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def finish(launcher: Launcher, limit_s: float = 60.0) -> tuple[list[Event], list[Ended]]:
    """All that is told until no trial runs any more."""
    events: list[Event] = []
    ended: list[Ended] = []
    deadline = time.monotonic() + limit_s
    while told := launcher.wait(timeout_s=max(0.0, deadline - time.monotonic())):
        events += [item for item in told if isinstance(item, Event)]
        ended += [item for item in told if isinstance(item, Ended)]
    assert time.monotonic() < deadline, "the launcher had nothing to tell for too long"
    return events, ended


def run_job(launcher: Launcher, job: Job, limit_s: float = 60.0) -> tuple[list[Event], Ended]:
    """Run one trial to its end."""
    launcher.submit(job)
    events, ended = finish(launcher, limit_s)
    assert [item.job for item in ended] == [job]
    return events, ended[0]


def notes(events: list[Event]) -> list[str]:
    return [event.data["text"] for event in events if event.kind == "note"]
