"""The fault matrix: every way in which a rank, the fork server or papergen itself can end too soon or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab import QUICK, Lab, finish, notes, quick, run_job, wait_until_gone

from papergen.execution.launchers.local import LocalLauncher
from papergen.execution.settings import RunSettings
from papergen.store.failures import FailureKind
from papergen.store.runs import Run

WAIT = "time.sleep(1000)"


def test_a_rank_that_raises_is_named_with_its_traceback(lab: Lab, launcher: LocalLauncher) -> None:
    job = lab.job(
        """
        if ctx.rank == 1:
            print("before the end")
            raise ValueError("a fault of\\nthe experiment")
        time.sleep(1000)
        """,
        num_ranks=2,
    )
    _, ended = run_job(launcher, job, limit_s=15)
    failure = ended.failure
    assert failure is not None
    assert (failure.rank, failure.cause) == (1, "ValueError: a fault of the experiment")
    assert failure.traceback.splitlines()[1].strip().startswith(f'File "{job.kind_file}"'), "ours is no part of it"
    log = Path(failure.log).read_text()
    assert log.startswith("before the end\nTraceback (most recent call last):\n")
    assert not Run(job.folder).outcome_file.exists()


def test_the_next_trial_runs_after_a_failed_one(lab: Lab, launcher: LocalLauncher) -> None:
    launcher.submit(lab.job("raise ValueError"))
    launcher.submit(lab.job('return {"score": 1.0}'))
    _, ended = finish(launcher)
    assert [item.failure is None for item in ended] == [False, True]


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL (out of memory?)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV (a crash in native code)"),
        ("os._exit(0)", "the process ended with status 0 before the trial was done"),
        ("os._exit(7)", "the process ended with status 7 before the trial was done"),
        ("sys.exit(0)", "SystemExit: 0"),
        ("raise MemoryError", "MemoryError:"),
        ("return None", "kind1.py: run() returned NoneType, not a mapping of metric to number."),
        ("return {'scor': 1.0}", "kind1.py: METRICS declares 'score', which run() did not return."),
        ("return {'score': 'high'}", "kind1.py: metric 'score': 'high' (str) is not a number."),
        ("ctx.fact('model', ctx.emit)", "ctx.fact('model'): "),
    ],
)
def test_the_cause_in_one_line(lab: Lab, launcher: LocalLauncher, body: str, cause: str) -> None:
    _, ended = run_job(launcher, lab.job(body), limit_s=15)
    assert ended.failure is not None
    assert ended.failure.rank == 0
    assert ended.failure.cause.startswith(cause)


def test_a_crash_in_native_code_shows_where(lab: Lab, launcher: LocalLauncher) -> None:
    _, ended = run_job(launcher, lab.job("import ctypes\nctypes.string_at(0)"), limit_s=15)
    assert ended.failure is not None
    assert "kind1.py" in ended.failure.traceback


def test_parameters_that_do_not_fit(lab: Lab, launcher: LocalLauncher) -> None:
    _, ended = run_job(launcher, lab.job('return {"score": 1.0}', params={"sise": 3}), limit_s=15)
    assert ended.failure is not None
    assert "sise" in ended.failure.cause


def test_a_killed_rank_among_waiting_ones(lab: Lab, launcher: LocalLauncher) -> None:
    body = f"if ctx.rank == 2:\n    os.kill(os.getpid(), signal.SIGKILL)\n{WAIT}"
    _, ended = run_job(launcher, lab.job(body, num_ranks=3), limit_s=15)
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (2, "killed by SIGKILL (out of memory?)")


@pytest.mark.parametrize(
    "echo",
    [
        "[/build/gloo/transport/tcp/pair.cc:538] Connection closed by peer [127.0.0.1]:1234",
        "[/build/gloo/transport/tcp/unbound_buffer.cc:78] Timed out waiting 20000ms for recv operation to complete",
        "NCCL error in: ProcessGroupNCCL.cpp:94, remote process exited",
    ],
)
def test_the_first_cause_wins_over_its_echoes(lab: Lab, launcher: LocalLauncher, echo: str) -> None:
    body = f"""
        if ctx.rank == 0:
            raise RuntimeError({echo!r})
        time.sleep(0.3)
        raise ValueError("the cause")
    """
    _, ended = run_job(launcher, lab.job(body, num_ranks=2), limit_s=15)
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (1, "ValueError: the cause")


def test_an_echo_without_a_cause_is_still_told(lab: Lab, launcher: LocalLauncher) -> None:
    body = f"if ctx.rank == 0:\n    raise TimeoutError('timed out')\n{WAIT}"
    _, ended = run_job(launcher, lab.job(body, num_ranks=2), limit_s=15)
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (0, "TimeoutError: timed out")


def test_a_rank_that_ignores_sigterm_is_killed(lab: Lab, launcher: LocalLauncher) -> None:
    body = f"""
        if ctx.rank == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            (ctx.folder / "ready").touch()
            {WAIT}
        while not (ctx.folder / "ready").exists():
            time.sleep(0.01)
        raise ValueError
    """
    _, ended = run_job(launcher, lab.job(body, num_ranks=2), limit_s=15)
    assert ended.failure is not None
    assert ended.failure.rank == 1


def test_a_stopped_rank(lab: Lab, launcher: LocalLauncher) -> None:
    body = f"if ctx.rank == 1:\n    os.kill(os.getpid(), signal.SIGSTOP)\n{WAIT}"
    _, ended = run_job(launcher, lab.job(body, num_ranks=2), limit_s=20)
    assert ended.failure is not None
    assert ended.failure.rank == 1
    assert ended.failure.cause.startswith("the process is stopped (SIGSTOP)")


def test_a_rank_that_lives_on_after_the_end_is_no_failure(lab: Lab, launcher: LocalLauncher) -> None:
    body = """
        class Stuck:
            def flush(self): time.sleep(1000)
            def write(self, text): pass
        sys.stdout = Stuck()
        return {"score": 1.0}
    """
    events, ended = run_job(launcher, lab.job(body), limit_s=15)
    assert ended.failure is None
    assert notes(events) == ["rank 0 lived on for 1 s after the end and was killed"]


def test_a_rank_that_returns_early_is_named(lab: Lab, launcher: LocalLauncher) -> None:
    body = f'if ctx.rank == 0:\n    {WAIT}\nreturn {{"score": 1.0}}'
    _, ended = run_job(launcher, lab.job(body, num_ranks=2), limit_s=20)
    assert ended.failure is not None
    assert ended.failure.rank == 1
    assert "while rank 0 still waits" in ended.failure.cause


def test_a_rank_that_works_while_the_others_are_done_is_left_alone(lab: Lab, launcher: LocalLauncher) -> None:
    body = """
        deadline = time.monotonic() + 4
        while ctx.rank == 0 and time.monotonic() < deadline:
            pass
        return {"score": 1.0}
    """
    _, ended = run_job(launcher, lab.job(body, num_ranks=2), limit_s=20)
    assert ended.failure is None, "saving or evaluating on one rank takes its time"


def test_the_time_limit_shows_where_the_ranks_were(lab: Lab, mark: str) -> None:
    with LocalLauncher(quick(time_limit_s=1.0)) as launcher:
        _, ended = run_job(launcher, lab.job(WAIT), limit_s=15)
    assert ended.failure is not None
    assert (ended.failure.rank, ended.failure.cause) == (None, "ran longer than its time limit of 1 s")
    assert ended.failure.kind is FailureKind.TIME_LIMIT
    assert "kind1.py" in ended.failure.traceback


def test_a_trial_that_makes_no_progress(lab: Lab, mark: str) -> None:
    with LocalLauncher(quick(stall_s=3.0)) as launcher:
        _, ended = run_job(launcher, lab.job(f"ctx.progress(1, 2)\n{WAIT}"), limit_s=20)
    assert ended.failure is not None
    assert ended.failure.cause.startswith("no progress for 3 s, and rank 0 uses no CPU time")
    assert ended.failure.kind is FailureKind.HANG
    assert "kind1.py" in ended.failure.traceback


def test_a_trial_whose_child_works_makes_progress_enough(lab: Lab, mark: str) -> None:
    body = """
        code = "import time; t = time.monotonic()\\nwhile time.monotonic() < t + 4: pass"
        subprocess.run([sys.executable, "-c", code])
        return {"score": 1.0}
    """
    with LocalLauncher(quick(stall_s=2.0)) as launcher:
        _, ended = run_job(launcher, lab.job(body), limit_s=20)
    assert ended.failure is None


def test_cancel(lab: Lab, launcher: LocalLauncher) -> None:
    running, queued = lab.job(WAIT), lab.job(WAIT)
    launcher.submit(running)
    launcher.submit(queued)
    launcher.wait(timeout_s=0.5)
    launcher.cancel(queued)
    launcher.cancel(running)
    _, ended = finish(launcher, limit_s=15)
    assert {item.job.trial.row: item.failure and item.failure.cause for item in ended} == {
        "row1": "cancelled",
        "row2": "cancelled",
    }
    assert {item.failure and item.failure.kind for item in ended} == {FailureKind.CANCELLED}


def test_the_fork_server_is_replaced_when_it_dies(lab: Lab, launcher: LocalLauncher) -> None:
    first = lab.job(f"os.kill(os.getppid(), signal.SIGKILL)\n{WAIT}")
    launcher.submit(first)
    launcher.submit(lab.job('return {"score": 1.0}'))
    _, ended = finish(launcher, limit_s=20)
    assert ended[0].failure is not None
    assert ended[0].failure.cause.startswith("the process that starts the ranks was lost: killed by SIGKILL")
    assert ended[0].failure.kind is FailureKind.START_FAILED
    assert ended[1].failure is None


def test_close_ends_everything_at_once(lab: Lab, mark: str) -> None:
    with LocalLauncher(QUICK) as launcher:
        launcher.submit(lab.job(f'subprocess.Popen(["sleep", "1000"])\n{WAIT}', num_ranks=2))
        while len(os.listdir(lab.project / "results/.running/trial1")) < 3:  # noqa: PTH208
            launcher.wait(timeout_s=0.1)
        folder = launcher._server.folder
    assert not wait_until_gone(mark, 1.0)
    assert not folder.exists()


MEET = "import torch\nimport torch.distributed as dist\ndist.init_process_group('gloo')\n"


def test_a_rank_that_hangs_while_the_others_wait_for_it(lab: Lab, mark: str) -> None:
    body = f"{MEET}if ctx.rank == 1:\n    {WAIT}\ndist.all_reduce(torch.ones(1))"
    with LocalLauncher(RunSettings()) as launcher:
        _, ended = run_job(launcher, lab.job(body, num_ranks=2))
    assert ended.failure is not None
    assert ended.failure.rank == 1
    told = "hangs in run (kind1.py:16) while the others wait for it (rank 0 in all_reduce)"
    assert ended.failure.cause.startswith(told)
    assert "rank 0: in " in ended.failure.traceback
    assert ended.duration_s < 20, "15 s from the fault, and the imports before it"


def test_ranks_that_wait_for_each_other(lab: Lab, mark: str) -> None:
    body = f"{MEET}dist.recv(torch.ones(1), 1 - ctx.rank)"
    with LocalLauncher(quick(hang_s=2.0, silent_s=30.0)) as launcher:
        _, ended = run_job(launcher, lab.job(body, num_ranks=2))
    assert ended.failure is not None
    assert ended.failure.rank is None
    assert ended.failure.kind is FailureKind.DESYNC
    told = "the ranks wait for each other and none goes on (rank 0 in recv, rank 1 in recv)"
    assert ended.failure.cause.startswith(told)


def test_a_rank_that_waits_for_the_network_is_left_alone(lab: Lab, mark: str) -> None:
    body = f"""
        {MEET.replace(chr(10), chr(10) + " " * 8)}
        import socket, threading
        if ctx.rank == 1:
            server = socket.create_server(("127.0.0.1", 0))
            threading.Timer(6, lambda: socket.create_connection(server.getsockname())).start()
            server.accept()
        dist.all_reduce(torch.ones(1))
        return {{"score": 1.0}}
    """
    with LocalLauncher(quick(hang_s=2.0, silent_s=30.0)) as launcher:
        _, ended = run_job(launcher, lab.job(body, num_ranks=2))
    assert ended.failure is None, ended.failure
