"""What starts next, what is tried again, what ends at a limit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import papergen, results
from fakes import FAKE_KIND
from lab import trial

from papergen.execution.scheduler import MAX_OVERTAKEN, RETRIED, TrialQueue
from papergen.store.failures import FailureKind

PAGE = Path(__file__).parents[2] / "docs" / "running.md"


def taken(queue: TrialQueue) -> list[str]:
    found = []
    while (item := queue.take(lambda _: True)) is not None:
        found.append(item.row)
    return found


def test_upstream_first_then_plan_order() -> None:
    queue = TrialQueue([trial("a"), trial("b", needs="a"), trial("c"), trial("d", needs="elsewhere")])
    assert taken(queue) == ["a", "c", "d"]
    queue.finished(trial("a"))
    assert taken(queue) == ["b"]
    assert len(queue) == 0


def test_what_needs_a_failed_trial_is_given_up_the_rest_goes_on() -> None:
    queue = TrialQueue([trial("a"), trial("b", needs="a"), trial("c", needs="b"), trial("d")])
    first = queue.take(lambda _: True)
    assert first is not None
    assert [item.row for item in queue.give_up(first)] == ["b", "c"]
    assert taken(queue) == ["d"]


def test_a_trial_tried_again_comes_last_and_its_dependents_wait() -> None:
    queue = TrialQueue([trial("a"), trial("b", needs="a"), trial("c")])
    first = queue.take(lambda _: True)
    assert first is not None
    queue.again(first)
    assert taken(queue) == ["c", "a"]
    queue.finished(first)
    assert taken(queue) == ["b"]


def test_fail_fast_takes_all_out() -> None:
    queue = TrialQueue([trial("a"), trial("b", needs="a"), trial("c")])
    queue.take(lambda _: True)
    assert [item.row for item in queue.drain()] == ["b", "c"]
    assert len(queue) == 0


def test_a_large_trial_is_overtaken_but_not_for_ever() -> None:
    queue = TrialQueue([trial("large", num_ranks=4), *(trial(f"small{n}") for n in range(100))])
    started = 0
    while queue.take(lambda ranks: ranks == 1) is not None:
        started += 1
    assert started == MAX_OVERTAKEN
    item = queue.take(lambda _: True)
    assert item is not None
    assert item.row == "large"
    assert queue.take(lambda ranks: ranks == 1) is not None


def test_ten_thousand_trials_cost_the_queue_little() -> None:
    queue = TrialQueue([trial(str(number)) for number in range(10_000)])
    asked = 0

    def has_room(answer: bool) -> bool:
        nonlocal asked
        asked += 1
        return answer

    for _ in range(10_000):
        item = queue.take(lambda _: has_room(True))
        assert item is not None
        assert queue.take(lambda _: has_room(False)) is None
        queue.finished(item)
    assert asked < 30_000


NOT_RETRIED = {
    FailureKind.ERROR,
    FailureKind.DESYNC,
    FailureKind.MEMORY_LIMIT,
    FailureKind.TIME_LIMIT,
    FailureKind.DISK_FULL,
    FailureKind.MACHINE,
    FailureKind.CANCELLED,
    FailureKind.REFUSED,
    FailureKind.UNKNOWN,
}


@pytest.mark.parametrize("kind", FailureKind)
def test_a_trial_is_tried_again_by_the_kind_of_its_failure(kind: FailureKind) -> None:
    assert (kind in RETRIED) is (kind not in NOT_RETRIED)


@pytest.mark.parametrize("kind", FailureKind)
def test_the_page_on_running_says_of_every_kind_whether_it_is_retried(kind: FailureKind) -> None:
    (row,) = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| `{kind}` |")]
    assert row.endswith("| yes |" if kind in RETRIED else "| no |")


def changed(project: Path, lines: str) -> None:
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    text = FAKE_KIND.replace("def run(params, ctx):\n", f"def run(params, ctx):\n    import os, signal, time\n{body}")
    (project / "experiments" / "fake.py").write_text(text)


def test_what_the_machine_lacks_makes_exit_code_3_and_says_what_to_type(project: Path) -> None:
    changed(
        project,
        "from papergen.core.errors import MachineError\n"
        "raise MachineError('there is no GPU here', hint='Use --device cpu.')",
    )
    done = papergen("run-exp", "--only", "large", "--retries", "2", cwd=project)
    assert done.returncode == 3
    assert "retry   " not in done.stderr
    assert "large seed 0: there is no GPU here\nUse --device cpu.\nlog: " in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_message_that_sounds_like_a_lost_connection_is_not_retried(project: Path) -> None:
    changed(project, "raise ValueError('gloomy data: the peer review timed out')")
    done = papergen("run-exp", "--only", "large", "--retries", "2", cwd=project)
    assert done.returncode == 1
    assert "retry   " not in done.stderr
    (record,) = {json.loads(path.read_text())["kind"] for path in project.glob("results/.failed/*/*/failure.json")}
    assert record == "error"


def test_a_killed_trial_is_tried_again_and_the_result_knows(project: Path) -> None:
    changed(
        project,
        "mark = ctx.scratch / 'tried'\n"
        "if params.size == 5 and ctx.trial.seed == 0 and not mark.exists():\n"
        "    mark.touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
        "if params.size == 5 and ctx.trial.seed == 1: raise ValueError('always')",
    )
    done = papergen("run-exp", "--only", "large", "--retries", "2", cwd=project)
    assert done.returncode == 1
    assert "retry   first/large seed 0" in done.stderr
    assert done.stderr.count("retry   ") == 1, "the ValueError would come again"
    (result,) = results(project)
    assert result["provenance"]["failed_attempts"] == ["killed by SIGKILL (out of memory?)"]  # type: ignore[index]


def test_memory_and_time_limits_are_named_in_the_failure(project: Path) -> None:
    changed(
        project,
        "if params.size == 5 and ctx.trial.seed == 0:\n"
        "    import subprocess, sys\n"  # a child counts like the rank itself
        "    subprocess.run([sys.executable, '-c', 'x = bytearray(600 << 20); import time; time.sleep(60)'])\n"
        "if params.size == 5 and ctx.trial.seed == 1: time.sleep(60)",
    )
    options = ["--memory-limit", "0.4", "--time-limit", "4", "--retries", "1"]
    done = papergen("run-exp", "--only", "large", "--jobs", "2", *options, cwd=project)
    assert done.returncode == 1
    assert "more than its memory limit of 0.4 GiB" in done.stderr
    assert "ran longer than its time limit of 4 s" in done.stderr
    assert "retry" not in done.stderr
    records = [json.loads(path.read_text()) for path in project.glob("results/.failed/*/*/failure.json")]
    assert {record["kind"] for record in records} == {"memory_limit", "time_limit"}


def test_fail_fast_starts_no_more(project: Path) -> None:
    changed(project, "1 / 0")
    done = papergen("run-exp", "--fail-fast", cwd=project)
    assert done.returncode == 1
    assert "0 trials finished, 1 failed" in done.stdout
    assert done.stderr.count("skipped ") == 4


def test_json_events_are_lines_on_standard_output(project: Path) -> None:
    changed(project, "if params.size == 5: raise ValueError('no')")
    done = papergen("run-exp", "--json", cwd=project)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["event"] for event in events} >= {"started", "progress", "log", "finished", "failed", "ended"}
    (last,) = [event for event in events if event["event"] == "ended"]
    assert last == {"event": "ended", "finished": 3, "failed": 2, "skipped": 0, "cached": 0}
    finished = next(event for event in events if event["event"] == "finished")
    assert finished["metrics"] == {"score": 2.0, "loss": 1.5}
    assert events[-1] == last


def test_code_that_is_edited_while_trials_wait_is_not_run_under_the_old_name(project: Path) -> None:
    changed(
        project,
        "path = ctx.project / 'experiments' / 'fake.py'\n"
        "if params.size == 5: path.write_text('# a comment decides nothing\\n' + path.read_text())\n"
        "if params.exact: raise AssertionError('comments do not count, so this one runs')",
    )
    done = papergen("run-exp", cwd=project)
    assert "comments do not count, so this one runs" in done.stderr
    changed(
        project,
        "path = ctx.project / 'experiments' / 'fake.py'\n"
        "path.write_text(path.read_text().replace('FACTOR = 2', 'FACTOR = 3'))",
    )
    done = papergen("run-exp", cwd=project)
    assert done.returncode == 1
    assert len(results(project)) == 4 + 1, "only the first trial ran the planned code"
    assert done.stderr.count("experiments/fake.py changed since this run was planned") >= 4
    again = papergen("run-exp", cwd=project)
    assert again.returncode == 0, again.stderr
