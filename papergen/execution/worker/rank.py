"""One rank of one trial, from its spec to its exit."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from papergen.core.errors import PapergenError
from papergen.core.files import read_json, write_json
from papergen.core.secrets import revealed
from papergen.execution.worker.channel import Channel
from papergen.execution.worker.exceptions import advice_of, cause_of, is_consequence, kind_of, traceback_of
from papergen.execution.worker.lease import LOST, Lease
from papergen.execution.worker.spec import JOB_VARIABLE, SAVE_VARIABLE, RankId, RankSpec
from papergen.execution.worker.system import redirect_output
from papergen.experiment.api import Context
from papergen.experiment.recorder import Recorder, sync_tree
from papergen.experiment.registry import load_kind
from papergen.store.records import Outcome, Trial
from papergen.store.runs import Run


def run_rank(spec: RankSpec, rank_id: RankId) -> NoReturn:
    """Run the rank and end the process: status 0 when the whole trial is recorded, 1 when this rank failed.

    The process ends by `os._exit`: gloo's teardown at interpreter exit aborted or deadlocked in 3 of 10 runs measured.
    """
    set_environment(spec, rank_id)
    restart = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) if spec.settings.max_restarts else 0
    channel = Channel(spec.address, spec.job, rank_id.rank, restart=restart)
    try:
        _run(spec, rank_id, channel, restart)
        status = 0
    except BaseException as error:  # noqa: BLE001  SystemExit and KeyboardInterrupt end a rank too soon as well
        shown = traceback_of(error)
        with contextlib.suppress(Exception):
            sys.stdout.flush()
        with contextlib.suppress(Exception):
            sys.stderr.write(shown)
        told = {"kind": kind_of(error), "cause": cause_of(error), "advice": advice_of(error), "traceback": shown}
        channel.send("failed", **told, is_consequence=is_consequence(error), at=time.monotonic())
        status = 1
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status)


def set_environment(spec: RankSpec, rank_id: RankId) -> None:
    """Variables, threads, working folder and import path of the rank; before torch is used for anything."""
    os.environ.update({**spec.environment, **rank_id.environment(), JOB_VARIABLE: spec.job})
    # OMP_NUM_THREADS is read when torch is loaded, which the fork server did long before.
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(spec.num_threads)
    if (random := sys.modules.get("numpy.random")) is not None:
        random.seed()  # a fork would inherit one state: unseeded trials would agree by accident
    # A hung rank is asked for its stacks by this signal before it is ended; a crash in native code shows them too.
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    faulthandler.enable(file=2)
    signal.signal(signal.SIGUSR2, _ask_to_save)
    if os.environ.get(SAVE_VARIABLE):
        signal.signal(signal.SIGTERM, _ask_to_save)
    os.chdir(spec.project)
    sys.path[:0] = [str(Path(spec.kind_file).parent), spec.project]


_asked_to_save = threading.Event()


def _ask_to_save(*_: object) -> None:
    """The launcher's signal: the machine is wanted back. The experiment asks for it by `ctx.should_save()`."""
    _asked_to_save.set()


def _run(spec: RankSpec, rank_id: RankId, channel: Channel, restart: int) -> None:
    run = Run(Path(spec.folder))
    trial = Trial.from_json(read_json(run.trial_file), str(run.trial_file))
    kind = load_kind(Path(spec.kind_file))
    params = kind.params_of(trial.params if kind.reveals_secrets else revealed(trial.params))
    recorder = Recorder(run, is_main=rank_id.rank == 0, tell=lambda kind, data: channel.tell(kind, **data))
    lease = Lease.from_environment()
    context = Context(
        trial=trial,
        folder=run.folder,
        scratch=Path(spec.scratch),
        project=Path(spec.project),
        device=spec.settings.device,
        rank=rank_id.rank,
        local_rank=rank_id.local_rank,
        world_size=rank_id.world_size,
        num_threads=spec.num_threads,
        upstream={name: Path(path) for name, path in spec.upstream.items()},
        emit=recorder.emit,
        should_save=_asked_to_save.is_set,
        attempt=lease.attempt,
        may_write=lease.is_held,
    )
    if restart:
        context.fact("num_restarts", restart)
    metrics = kind.run(params, context)
    outcome: Outcome | None = None
    if rank_id.rank == 0:
        recorder.close()
        outcome = recorder.outcome(metrics, [metric.name for metric in kind.metrics(trial.params)], kind.path.name)
    machine = machine_facts(spec, rank_id)
    # No rank ends before all have returned: the end of a process closes its connections, which the others would take
    # for a fault in the middle of a collective operation.
    if not channel.wait_to_finish():
        _barrier()
    if outcome is not None:  # every rank has returned: what they wrote is complete
        if not lease.is_held():
            raise PapergenError(LOST)
        sync_tree(run.folder)
        write_json(run.outcome_file, asdict(outcome))
        channel.send("done", machine=machine)


def machine_facts(spec: RankSpec, rank_id: RankId) -> dict[str, Any]:
    """What this rank really computed on and with; torch is asked only where the experiment has used it."""
    torch = sys.modules.get("torch")
    facts: dict[str, Any] = {
        "device": "cpu",
        "gpus": [],
        "num_threads": spec.num_threads,
        "backend": "none",
    }
    if torch is None:
        return facts
    facts["num_threads"] = torch.get_num_threads()
    if torch.cuda.is_initialized():
        facts["device"] = "cuda"
        facts["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if (group := _process_group()) is not None:
        facts["backend"] = str(group.get_backend())
    elif rank_id.world_size > 1:
        facts["backend"] = "unknown"  # the experiment left its process group before it returned
    return facts


def _process_group() -> Any:
    """The torch.distributed module when a default group exists, else None."""
    module = sys.modules.get("torch.distributed")
    return module if module is not None and module.is_available() and module.is_initialized() else None


def _barrier() -> None:
    if (group := _process_group()) is not None:
        group.barrier()


def run_here(spec: RankSpec) -> NoReturn:
    """Be the rank that the environment names; what torchrun and spawn start."""
    rank_id = RankId.from_environment()
    redirect_output(str(Run(Path(spec.folder)).rank_log(rank_id.rank)))
    run_rank(spec, rank_id)
