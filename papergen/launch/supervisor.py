"""What all local launchers share: the queue, the ranks' reports, the watch over each trial, its orderly end."""

from __future__ import annotations

import abc
import contextlib
import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from papergen.errors import PapergenError
from papergen.launch.base import Ended, Event, Fitness, Job, Launcher, Limits
from papergen.launch.detect import find_gpus
from papergen.launch.hub import Hub, Line, Message
from papergen.launch.ports import TAKEN, Ports
from papergen.launch.processes import memory_of, state_of, vitals_of
from papergen.launch.running import Running, failure_of, spec_of, utc
from papergen.launch.slots import Slots
from papergen.launch.watch import Fault, Watch
from papergen.records import Failure
from papergen.worker.spec import HOST_RANK
from papergen.worker.system import signal_group

MAX_STARTS = 3
"""How often a trial is started when somebody else took its port."""
WEIGH_S = 0.25
"""Between two looks at the memory of a trial that has a limit."""
STACKS_S = 0.3
"""For the ranks to write down where they hang, before they are ended."""


class Supervisor(Launcher):
    """A launcher whose ranks are processes of this machine that report to its hub.

    A subclass starts them (`_start`), and says by `_started` and `_exited` which processes there are.
    """

    def __init__(
        self,
        *,
        max_trials: int = 1,
        num_slots: int | None = None,
        gpus: Sequence[str] | None = None,
        limits: Limits | None = None,
    ) -> None:
        """At most `max_trials` trials and `num_slots` ranks at a time; `gpus` to hand out, else all visible ones."""
        self._limits = limits or Limits()
        self._max_trials, self._num_slots, self._given_gpus = max_trials, num_slots, gpus
        self._slots: Slots | None = None
        self._selector = selectors.DefaultSelector()
        self._hub = Hub(self._selector)
        self._ports = Ports()
        self._queue: deque[Job] = deque()
        self._running: dict[str, Running] = {}
        self._told: deque[Event | Ended] = deque()
        self._num_jobs = 0
        self._is_closed = False

    # What a subclass does.

    @classmethod
    @abc.abstractmethod
    def fitness(cls) -> Fitness:
        """How well this launcher suits this machine."""

    @abc.abstractmethod
    def _start(self, running: Running) -> None:
        """Start the ranks of a trial."""

    @abc.abstractmethod
    def _ready(self, source: Any) -> None:
        """Something that the subclass registered with the selector can be read."""

    def _said_hello(self, running: Running, rank: int, pid: int) -> None:
        """A rank has begun, in this process."""

    def _heard_of_host(self, running: Running, message: Message) -> None:
        """The process that starts a trial's ranks has something to say."""

    def _over(self, running: Running) -> None:
        """A trial is over; release what `_start` took."""

    # The interface.

    def has_room(self, num_ranks: int) -> bool:
        """Whether a trial of so many ranks would start at once."""
        return not self._queue and self._places("cpu").has_room(num_ranks, "cpu")

    def submit(self, job: Job) -> None:
        """Start the trial, or queue it until there is room."""
        assert not self._is_closed, "a closed launcher takes no trials"
        try:
            self._places(job.device).check(job.trial.num_ranks, job.device)
        except PapergenError as error:
            self._tell_refused(job, str(error))
            return
        self._queue.append(job)
        self._fill()

    def wait(self, timeout_s: float | None = None) -> Sequence[Event | Ended]:
        """Sleep until there is something to tell, at most `timeout_s`; empty when that passed or nothing runs."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            self._look(0.0)
            if self._told:
                told = tuple(self._told)
                self._told.clear()
                return told
            now = time.monotonic()
            if not self._running or (deadline is not None and now >= deadline):
                return ()
            wake = min([self._next_at(now), *([] if deadline is None else [deadline])])
            self._look(max(0.0, wake - now))

    def cancel(self, job: Job) -> None:
        """End the trial; its Ended, a failure, comes from `wait`."""
        if job in self._queue:
            self._queue.remove(job)
            self._tell_refused(job, "cancelled")
        for running in self._running.values():
            if running.job is job:
                running.watch.fail(time.monotonic(), None, "cancelled")
                self._advance(running)

    def close(self) -> None:
        """Kill every process that was started and forget the queue."""
        if self._is_closed:
            return
        self._is_closed = True
        self._queue.clear()
        try:
            for running in self._running.values():
                self._signal(running, signal.SIGKILL)
        finally:
            self._close()
            self._running.clear()
            self._hub.close()
            self._selector.close()

    def _close(self) -> None:
        """Kill what the subclass started beside the ranks."""

    # What a subclass reports.

    def _started(self, name: str, pids: Mapping[int, int]) -> None:
        """The ranks of a trial have these processes, each leading a process group of its own."""
        running = self._running.get(name)
        if running is None:  # it was ended meanwhile
            for pid in pids.values():
                signal_group(pid, signal.SIGKILL)
            return
        if running.watch.started_at is None:
            running.began_at, running.started = time.monotonic(), time.time()
        running.watch.started(pids, time.monotonic())

    def _exited(self, name: str, rank: int, status: int | None) -> None:
        """A rank's process is gone."""
        running = self._running.get(name)
        if running is not None:
            note = running.watch.exited(rank, status, time.monotonic())
            if note is not None and not running.is_killed:
                self._note(running, note)

    # The work.

    def _places(self, device: str) -> Slots:
        """The slots; GPUs are looked for when the first trial asks for them."""
        if self._slots is None or (device == "cuda" and not self._slots.has_gpus and self._given_gpus is None):
            gpus = self._given_gpus
            if gpus is None:
                gpus = [gpu.name_for_cuda for gpu in find_gpus()] if device == "cuda" else []
            if self._slots is None:
                self._slots = Slots(self._max_trials, self._num_slots, gpus)
            else:
                self._slots.add_gpus(gpus)
        return self._slots

    def _fill(self) -> None:
        while self._queue and self._places(self._queue[0].device).has_room(
            self._queue[0].trial.num_ranks, self._queue[0].device
        ):
            job = self._queue.popleft()
            self._num_jobs += 1
            name = f"job{self._num_jobs}"
            gpus = self._places(job.device).take(name, job.trial.num_ranks, job.device)
            now = time.monotonic()
            running = Running(
                job=job,
                spec=spec_of(job, name, gpus, self._hub.address, self._ports.free()),
                watch=Watch(job, self._limits, now),
                started=time.time(),
                began_at=now,
                load_average=os.getloadavg()[0],
            )
            self._running[name] = running
            self._start(running)

    def _look(self, timeout_s: float) -> None:
        """Take in what has arrived, waiting for it at most so long, then do what is due."""
        for key, _ in self._selector.select(timeout_s):
            source = key.data
            if source is self._hub:
                self._hub.accept()
            elif isinstance(source, Line):
                self._hear(source)
            else:
                self._ready(source)
        for running in list(self._running.values()):
            self._advance(running)

    def _hear(self, line: Line) -> None:
        messages, is_gone = line.read()
        for message in messages:
            if message["event"] == "hello":
                line.job, line.rank = message["job"], message["rank"]
            running = self._running.get(line.job)
            if running is None:
                continue
            if line.rank == HOST_RANK:
                self._heard_of_host(running, message)
                continue
            if message["event"] == "hello":
                self._said_hello(running, line.rank, message["pid"])
            self._on_message(running, line.rank, message)
        if is_gone:
            self._hub.drop(line)

    def _on_message(self, running: Running, rank: int, message: Message) -> None:
        running.watch.heard(rank, message, time.monotonic())
        kind = message.pop("event")
        if kind in {"progress", "log"}:
            self._told.append(Event(job=running.job, kind=kind, data=message))

    def _advance(self, running: Running) -> None:
        """Do what is due for one trial now."""
        now, watch = time.monotonic(), running.watch
        watch.inspect(now, state_of, vitals_of)
        self._weigh(running, now)
        if watch.all_returned and not running.is_told_to_finish:
            running.is_told_to_finish = True
            for line in self._hub.of(running.spec.job):  # a host has no use for it
                line.send(b"\n")
        if running.end_at is None and not watch.is_done and (fault := watch.judge(now)) is not None:
            self._begin_end(running, fault, now)
        if watch.is_done and running.kill_at is None:
            running.kill_at = now + self._limits.linger_s
        if running.end_at is not None and now >= running.end_at and running.kill_at is None:
            self._signal(running, signal.SIGTERM)
            running.kill_at = now + self._limits.grace_s
        if running.kill_at is not None and now >= running.kill_at and not running.is_killed and not watch.all_exited:
            running.is_killed = True
            if watch.is_done:
                left = ", ".join(str(state.rank) for state in watch.living)
                self._note(
                    running, f"rank {left} lived on for {self._limits.linger_s:g} s after the end and was killed"
                )
            self._signal(running, signal.SIGKILL)
        is_lost = running.is_killed and running.kill_at is not None and now >= running.kill_at + self._limits.grace_s
        if (watch.all_exited and (watch.is_done or watch.verdict is not None)) or is_lost:
            self._conclude(running)

    def _weigh(self, running: Running, now: float) -> None:
        """End a trial that holds more memory than it may."""
        limit, watch = running.job.memory_limit_gib, running.watch
        if limit is None or now < running.weigh_at or watch.is_done or watch.faults or not watch.living:
            return
        running.weigh_at = now + WEIGH_S
        used_gib = memory_of({state.pid for state in watch.living}) / 2**30
        if used_gib > limit:
            watch.fail(now, None, f"used {used_gib:.2f} GiB of memory, more than its memory limit of {limit:g} GiB")

    def _begin_end(self, running: Running, fault: Fault, now: float) -> None:
        running.end_at = now
        if fault.wants_stacks:
            running.end_at = now + STACKS_S
            for state in running.watch.living:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(state.pid, signal.SIGUSR1)

    def _signal(self, running: Running, sent: int) -> None:
        """Send a signal to all that the trial's ranks are and have started."""
        for state in running.watch.living:
            signal_group(state.pid, sent)

    def _next_at(self, now: float) -> float:
        """When something is due though nothing is heard."""
        times = [now + self._limits.check_s]
        for running in self._running.values():
            watch = running.watch
            times += [at for at in (running.end_at, running.kill_at) if at is not None and at > now]
            times += [fault.at + fault.settle_s for fault in watch.faults if running.end_at is None]
            if running.job.time_limit_s is not None and watch.started_at is not None and not watch.faults:
                times.append(watch.started_at + running.job.time_limit_s)
            if running.job.memory_limit_gib is not None and not watch.faults and not watch.is_done:
                times.append(max(running.weigh_at, now))
        return min(times)

    def _conclude(self, running: Running) -> None:
        """Report the trial as over, or start it again when only its port was taken."""
        watch, name = running.watch, running.spec.job
        now = time.monotonic()
        fault = None if watch.is_done else watch.judge(now)
        assert watch.is_done or fault is not None, f"{running.job.trial.label} is over for no reason"
        for line in self._hub.of(name):
            self._hub.drop(line)
        self._over(running)
        if fault is not None and not watch.has_told and TAKEN.search(fault.cause) and running.num_starts < MAX_STARTS:
            self._restart(running)
            return
        del self._running[name]
        self._places("cpu").give_back(name)
        self._told.append(
            Ended(
                job=running.job,
                failure=None if fault is None else failure_of(running, fault),
                machine={**watch.machine, "load_average": running.load_average},
                started=utc(running.started),
                ended=utc(time.time()),
                duration_s=now - running.began_at,
            )
        )
        self._fill()

    def _restart(self, running: Running) -> None:
        running.renew(Watch(running.job, self._limits, time.monotonic()), self._ports.free())
        self._note(running, "another program took the port of the rendezvous; starting again with a new one")
        self._start(running)

    def _note(self, running: Running, text: str) -> None:
        self._told.append(Event(job=running.job, kind="note", data={"text": text}))

    def _tell_refused(self, job: Job, cause: str) -> None:
        now = utc(time.time())
        failure = Failure(rank=None, cause=cause)
        self._told.append(Ended(job=job, failure=failure, machine={}, started=now, ended=now, duration_s=0.0))
