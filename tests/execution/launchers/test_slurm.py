"""What SLURM's programs say and what we make of it, with programs that say what no small cluster can be made to say."""

from __future__ import annotations

import itertools
import os
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import Lab, finish, notes, quick

from papergen.core.errors import MachineError, PapergenError
from papergen.execution.launcher import Ended
from papergen.execution.launchers.slurm import client
from papergen.execution.launchers.slurm.client import SlurmBusyError, SqueuePoll, TaskState
from papergen.execution.launchers.slurm.launcher import SlurmLauncher
from papergen.execution.launchers.slurm.sbatch import allotted, shape_of
from papergen.execution.settings import LaunchSettings, RunSettings
from papergen.store.failures import FailureKind

Say = Callable[..., None]

NODES = """
cpu*|(null)
gpu|gpu:a100:4(S:0-1)
gpu|gpu:a100:2,gpu:v100:2,shard:a100:8
mixed|gpu:8
mixed|(null)
"""


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Say]:
    """Puts a script in the place of a program of SLURM's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    caches = (client.gpus_of_nodes, client.max_array_size)

    def put(name: str, script: str = "", *, prints: str = "") -> None:
        (folder / f"{name}.txt").write_text(prints)
        (folder / name).write_text(f"#!/bin/sh\n{textwrap.dedent(script)}\ncat '{folder}/{name}.txt'\n")
        (folder / name).chmod(0o755)

    for cache in caches:
        cache.cache_clear()
    yield put
    for cache in caches:
        cache.cache_clear()


def test_gpus_are_the_cluster_s_not_this_machine_s(say: Say, lab: Lab) -> None:
    say("sinfo", prints=NODES.lstrip())
    device, num_gpus = SlurmLauncher.device, SlurmLauncher.num_gpus
    assert device("auto", LaunchSettings(partition="gpu")) == (
        "cuda",
        "every node of partition gpu has a GPU (--device cpu does without)",
    )
    assert device("auto", LaunchSettings())[0] == "cpu"
    assert device("auto", LaunchSettings(partition="mixed"))[0] == "cpu"
    assert device("auto", LaunchSettings(partition="mixed", gpus_per_rank=1))[0] == "cuda"
    assert device("cuda", LaunchSettings(partition="mixed"))[0] == "cuda"
    assert device("cpu", LaunchSettings(partition="gpu")) == ("cpu", "asked for")
    assert num_gpus("cuda", LaunchSettings(partition="gpu")) == 4
    assert num_gpus("cuda", LaunchSettings(partition="gpu", gpu_type="v100")) == 2
    assert num_gpus("cuda", LaunchSettings(partition="gpu,mixed")) == 8
    assert num_gpus("cpu", LaunchSettings(partition="gpu")) == 0
    with pytest.raises(MachineError, match=r"--device cuda: no node of the default partition has a GPU \(sinfo\)"):
        device("cuda", LaunchSettings())
    with pytest.raises(PapergenError, match="gpus_per_rank: 0"):
        device("cuda", LaunchSettings(gpus_per_rank=0))


def test_a_process_that_takes_all_gpus_gets_those_of_a_node(say: Say, lab: Lab) -> None:
    say("sinfo", prints=NODES.lstrip())
    settings, on_cpu = RunSettings(partition="gpu", device="cuda"), RunSettings(partition="gpu")
    assert shape_of(lab.job("pass", num_ranks=2), settings).gpus_per_node == 2
    assert shape_of(lab.job("pass", takes_all_gpus=True), settings).gpus_per_node == 4
    assert shape_of(lab.job("pass", takes_all_gpus=True), on_cpu).gpus_per_node == 0


def test_what_the_controller_has_forgotten_sacct_may_know(say: Say) -> None:
    say("scontrol", "exit 1")
    say("sacct", prints="CANCELLED by 1000|0:9|n7\nCANCELLED|0:9|n7\n")
    assert client.end_of("12_3") == (FailureKind.CANCELLED, "SLURM job 12_3 was cancelled")
    say("sacct", prints="NODE_FAIL|0:0|n[1-2]\n")
    assert client.end_of("12_3") == (FailureKind.HOST_LOST, "SLURM job 12_3: the node failed on n[1-2]")
    say("sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
    cause = "SLURM job 12_3 is gone, and SLURM does not remember why"
    assert client.end_of("12_3") == (FailureKind.EXITED, cause)
    say("scontrol", prints="JobId=15 JobState=FAILED ExitCode=0:9 NodeList=n1 ")
    assert client.end_of("12_3") == (FailureKind.KILLED, "SLURM job 12_3: FAILED (signal 9) on n1")
    for state, kind in (
        ("TIMEOUT", FailureKind.TIME_LIMIT),
        ("OUT_OF_MEMORY", FailureKind.MEMORY_LIMIT),
        ("BOOT_FAIL", FailureKind.HOST_LOST),
        ("PREEMPTED", FailureKind.PREEMPTED),
    ):
        say("scontrol", prints=f"JobId=15 JobState={state} ExitCode=0:0 NodeList=n1 ")
        assert client.end_of("12_3")[0] is kind


def test_squeue_is_asked_more_rarely_while_nothing_changes_or_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked, answer = [0.0], [], [{"1_0": TaskState(state="PENDING", reason="Priority")}]

    def states() -> dict[str, TaskState]:
        asked.append(now[0])
        if not answer:
            raise SlurmBusyError("squeue: nobody answers")
        return answer[0]

    monkeypatch.setattr(client, "states", states)
    poll = SqueuePoll(4.0, clock=lambda: now[0])

    def pauses(seconds: int) -> list[float]:
        asked.clear()
        for _ in range(seconds):
            now[0] += 1.0
            poll.states()
        return [after - before for before, after in itertools.pairwise(asked)]

    assert pauses(120)[:8] == [4.0, 6.0, 9.0, 14.0, 16.0, 16.0, 16.0, 16.0], (
        "a little more each time, then every 4 polls"
    )
    answer[0] = {"1_0": TaskState(state="RUNNING", reason="None", nodes="n1")}
    assert pauses(17)[-1:] == [4.0], "news: more often again"
    answer.clear()
    assert pauses(200)[-1] == 60.0
    assert not poll.is_current
    assert poll.states()["1_0"].state == "RUNNING", "what was known stands"
    with pytest.raises(MachineError, match=r"nobody answers for 10 min; the jobs go on"):
        pauses(600)


def test_arrays_share_the_places() -> None:
    assert allotted([10], 4) == [4]
    assert allotted([10, 5], 4) == [4, 0]
    assert allotted([3, 5], 4) == [3, 1]
    assert allotted([1, 5, 2], 4) == [1, 3, 0]
    assert allotted([], 4) == []


SBATCH = """
count=$(echo "$@" | sed 's/.*--array=0-\\([0-9]*\\).*/\\1/')
echo "$((count + 1))" >> "$0.log"
if [ "$count" -ge 3 ]; then
    echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2
    echo "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, ...)" >&2
    exit 1
fi
wc -l < "$0.log"; exit 0
"""


def test_where_a_user_may_have_few_jobs_an_array_comes_in_parts(say: Say, lab: Lab, tmp_path: Path) -> None:
    say("sbatch", SBATCH)
    say("squeue")
    say("scancel")
    say("scontrol", "exit 1")
    settings = quick(poll_s=0.3)
    with SlurmLauncher(lab.project, settings, lag_s=0.0) as launcher:
        for _ in range(8):
            launcher.submit(lab.job("pass"))
        events, ended = finish(launcher)
    sizes = [int(word) for word in (tmp_path / "bin/sbatch.log").read_text().split()]
    assert sizes == [8, 4, 2, 6, 3, 3], "halved until the queue takes it; the rest a little later"
    assert len(ended) == 8
    assert all(isinstance(item, Ended) and "does not remember why" in str(item.failure) for item in ended)
    assert notes(events)[0] == "SLURM job 3: 2 trials"


def test_what_no_node_can_give_fails_by_name_and_the_others_go_on(say: Say, lab: Lab) -> None:
    say(
        "sbatch",
        """
        case "$*" in *--cpus-per-task=64*)
            echo "sbatch: error: Batch job submission failed: Requested node configuration is not available" >&2
            exit 1;;
        esac
        echo 17; exit 0
        """,
    )
    say("squeue", prints="17_0|PENDING||Priority\n")
    say("scancel")
    say("scontrol", "exit 1")
    with SlurmLauncher(lab.project, quick(poll_s=0.3, cpus_per_rank=8, partition="big")) as launcher:
        launcher.submit(lab.job("pass", num_ranks=8))
        launcher.submit(lab.job("pass"))
        told = list(launcher.wait(timeout_s=5.0))
        say("squeue")
    (refused,) = [item for item in told if isinstance(item, Ended)]
    assert refused.failure is not None
    assert refused.failure.cause == (
        "sbatch refused: sbatch: error: Batch job submission failed: Requested node configuration is not available "
        "(asked for: 1 node with 8 ranks, 64 cores of partition big)"
    )
    assert notes([item for item in told if not isinstance(item, Ended)])[0] == "SLURM job 17: 1 trial"
