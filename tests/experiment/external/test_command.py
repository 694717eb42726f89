"""`kind: command`: any program is an experiment, its numbers are read from what it writes, its faults are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import marked, papergen, wait_for

from papergen.core.errors import PapergenError
from papergen.execution.supervision.processes import vitals_of
from papergen.execution.worker.system import descendants
from papergen.experiment.project import open_project

SCRIPT = """
import argparse, json, os, sys
import helper
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--seed", type=int)
parser.add_argument("--out")
parser.add_argument("--amp", action="store_true")
parser.add_argument("--sizes", type=int, nargs="*")
a = parser.parse_args()
assert "RANK" not in os.environ and os.environ["TOKEN"] == "x 0.1"
print("hello from the script")
with open(a.out + "/log.jsonl", "w") as log:
    for step in range(4):
        line = {"step": 10 * step, "loss": helper.f(a.lr) + abs(step - 2), "val": {"acc": 0.1 * step}}
        log.write(json.dumps(line) + "\\n")
with open(a.out + "/items.csv", "w") as items:
    items.write("id;correct\\n" + "".join(f"{i};{i % 2}\\n" for i in range(4)))
json.dump({"argv": sys.argv[1:], "torch": "torch" in sys.modules}, open(a.out + "/seen.json", "w"))
"""

YAML = """
kind: command
command: python train.py --lr {lr} --seed {seed} --out {out} {amp:--amp} --sizes {sizes}
environment: {TOKEN: "x {lr}"}
metrics_file: log.jsonl
metrics:
  loss: {direction: lower, take: best, label: Loss}
  accuracy: {key: val.acc, unit: "%", scale: 100}
  correct: {file: items.csv, over: items}
inputs: [data]
lr: 0.1
amp: true
sizes: [1, 2]
"""


@pytest.fixture
def paper(odd_path: Path) -> Path:
    return make_paper(odd_path)


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return make_paper(tmp_path)


def make_paper(folder: Path) -> Path:
    (folder / "experiments").mkdir()
    (folder / "data").mkdir()
    (folder / "paper.yaml").write_text("title: T\nauthors: [{name: A}]\n")
    (folder / "train.py").write_text(SCRIPT)
    (folder / "helper.py").write_text("def f(x): return x\n")
    (folder / "data" / "a.txt").write_text("1")
    (folder / "experiments" / "mine.yaml").write_text(YAML)
    return folder


def edit(paper: Path, old: str, new: str, file: str = "experiments/mine.yaml") -> None:
    path = paper / file
    assert old in path.read_text(encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


def simple(paper: Path, script: str, more: str = "") -> None:
    """An experiment that runs these lines of Python, with the folder to write to as `out`."""
    (paper / "go.py").write_text(f"import sys, json\nout = sys.argv[1]\n{script}\n", encoding="utf-8")
    text = f"kind: command\ncommand: python go.py {{out}}\nmetrics: [score]\n{more}"
    (paper / "experiments" / "mine.yaml").write_text(text, encoding="utf-8")


def outcome(paper: Path) -> dict[str, dict[str, object]]:
    (path,) = (paper / "results" / "mine").glob("*/result.json")
    found: dict[str, dict[str, object]] = json.loads(path.read_text())["outcome"]
    return found


def fault(paper: Path) -> str:
    with pytest.raises(PapergenError) as caught:
        open_project(paper)
    return str(caught.value)


def status(paper: Path) -> list[tuple[str, str]]:
    return [(item.state, item.reason) for item in open_project(paper).states()]


def test_a_script_is_run_its_output_read_and_everything_it_wrote_kept(paper: Path) -> None:
    done = papergen("run-exp", cwd=paper)
    assert done.returncode == 0, done.stderr
    found = outcome(paper)
    assert found["metrics"] == {"loss": 0.1, "accuracy": pytest.approx(30), "correct": 0.5}
    assert found["units"] == {"correct": [0, 1, 0, 1]}
    assert found["series"]["loss"] == [[0, 2.1], [10, 1.1], [20, 0.1], [30, 1.1]]
    (folder,) = (paper / "results" / "mine").glob("main-*")
    seen = json.loads((folder / "out" / "seen.json").read_text())
    assert seen["argv"][:4] == ["--lr", "0.1", "--seed", "0"]
    assert seen["argv"][6:] == ["--amp", "--sizes", "1", "2"]
    assert not seen["torch"]
    assert (folder / "rank0.log").read_text().splitlines()[1] == "hello from the script"
    assert papergen("trace", "mine/main/correct", cwd=paper).stdout.count("over 4 items") == 1


def test_what_counts_and_what_does_not(plain: Path) -> None:
    assert papergen("run-exp", cwd=plain).returncode == 0
    assert status(plain) == [("finished", "")]
    edit(plain, "label: Loss", "label: The loss")
    edit(plain, "def f(x): return x", "# a remark\ndef f(x): return x", "helper.py")
    assert status(plain) == [("finished", "")]
    for old, new, file, reason in [
        ("def f(x): return x", "def f(x): return 1 * x", "helper.py", "code: helper.py changed"),
        ("1", "2", "data/a.txt", "data: data/a.txt changed"),
        ("lr: 0.1", "lr: 0.2", "experiments/mine.yaml", "lr 0.1 -> 0.2"),
        ("take: best", "take: last", "experiments/mine.yaml", "metrics.loss.take best -> last"),
    ]:
        edit(plain, old, new, file)
        assert status(plain) == [("stale", reason)]
        edit(plain, new, old, file)
        assert status(plain) == [("finished", "")]
    (plain / "data" / "b.txt").write_text("")
    assert status(plain) == [("stale", "data: data/b.txt added")]


def test_a_failing_command_fails_the_trial_and_shows_the_end_of_its_output(plain: Path) -> None:
    simple(plain, "print('before')\nraise ValueError('no good 1')")
    done = papergen("run-exp", cwd=plain)
    assert done.returncode == 1
    assert "FAILED mine/main: the command ended with status 1: ValueError: no good 1" in done.stderr
    assert "before\nTraceback (most recent call last):" in done.stderr
    assert "running.py" not in done.stderr


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", "the command ended well but wrote no metrics.json in {out}. It wrote nothing there."),
        ("open(out + '/metric.json', 'w')", "wrote no metrics.json in {out}. Did you mean metric.json?"),
        (
            "json.dump({'scor': 1}, open(out + '/metrics.json', 'w'))",
            "has no 'score' for the metric 'score'. Did you mean",
        ),
        (
            "json.dump({'score': 'high'}, open(out + '/metrics.json', 'w'))",
            "metrics.json: score = 'high': not a number.",
        ),
        ("open(out + '/metrics.json', 'w').write('{')", "metrics.json:1: not valid JSON"),
        ("import os; os.kill(os.getpid(), 9)", "the command was killed by SIGKILL (out of memory?)"),
    ],
)
def test_what_a_command_may_do_wrong(plain: Path, script: str, message: str) -> None:
    simple(plain, script)
    done = papergen("run-exp", cwd=plain)
    assert done.returncode == 1
    assert message in done.stderr


def test_a_missing_program_is_named(plain: Path) -> None:
    simple(plain, "")
    edit(plain, "python go.py", "no-such-program")
    assert "there is no program 'no-such-program' on this machine." in papergen("run-exp", cwd=plain).stderr


@pytest.mark.parametrize(
    ("old", "new", "messages"),
    [
        (
            "lr: 0.1",
            "lrr: 0.1",
            ["yaml:3: command: {lr} is no parameter. Did you mean lrr?", ":11: lrr: nothing uses"],
        ),
        (
            "metrics_file",
            "metric_file",
            ["yaml:5: metric_file: nothing uses this", "Did you mean metrics_file?"],
        ),
        ("log.jsonl", "../log.jsonl", ["mine.yaml:5: metrics_file: '../log.jsonl': name a file inside {out}"]),
        ("{seed}", "{0}", ["names no parameter. Write {{ and }} for braces"]),
        ("{seed}", "{seed", ["has a single {: write {{ for the character"]),
        ("--out {out}", "", ["mine.yaml:3: command: nothing tells the program where to write"]),
        (
            "--out {out}",
            "--out {out} | tee x",
            ["'|' is for a shell, and none reads this command. Add a line"],
        ),
        ("direction: lower", "direction: down", ["mine.yaml:7: metrics.loss.direction = 'down': input should be"]),
        ("direction: lower, ", "", ["mine.yaml:7: metrics.loss: take: best needs direction"]),
        ("inputs: [data]", "inputs: [dta]", ["mine.yaml:10: inputs: dta: there is no such file or folder"]),
        ("lr: 0.1", "lr: {a: 1}", ["mine.yaml:11: lr: {'a': 1} is no value for a command line"]),
        ("amp: true", "amp: true\nseed: 3", ["the placeholder {seed} is given already (the trial's seed)"]),
        ("--amp}", "--amp} '", ["mine.yaml:3: command: ", "No closing quotation"]),
    ],
)
def test_faults_are_told_before_anything_runs(plain: Path, old: str, new: str, messages: list[str]) -> None:
    edit(plain, old, new)
    text = fault(plain)
    for message in messages:
        assert message in text


def test_without_a_seed_a_row_is_run_once_unless_it_is_said_to_be_random(plain: Path) -> None:
    simple(plain, "", "seeds: [0, 1, 2]\n")
    assert len(open_project(plain).trials) == 1
    simple(plain, "", "seeds: [0, 1, 2]\nis_seeded: true\n")
    assert len(open_project(plain).trials) == 3


def test_a_shell_gets_parameters_quoted(plain: Path) -> None:
    (plain / "experiments" / "mine.yaml").write_text(
        "kind: command\nshell: true\nmetrics: [n]\ntext: \"a; exit 1 $HOME 'q'\"\ncommand: |\n"
        "  echo {text} > {out}/t.txt && echo '{{\"n\": 3}}' > {out}/metrics.json\n"
    )
    done = papergen("run-exp", cwd=plain)
    assert done.returncode == 0, done.stderr
    (text,) = (plain / "results" / "mine").glob("*/out/t.txt")
    assert text.read_text() == "a; exit 1 $HOME 'q'\n"


def test_only_what_is_to_be_kept_is_kept(plain: Path) -> None:
    lines = "import os; os.mkdir(out + '/ckpt'); [open(f'{out}/{n}', 'w') for n in ('a.bin', 'b.txt', 'ckpt/c')]\n"
    simple(plain, lines + "json.dump({'score': 1}, open(out + '/metrics.json', 'w'))", "keep: ['*.txt']\n")
    assert papergen("run-exp", cwd=plain).returncode == 0
    (out,) = (plain / "results" / "mine").glob("*/out")
    assert sorted(path.name for path in out.rglob("*")) == ["b.txt", "metrics.json"]


def test_what_a_command_wrote_is_an_artifact_for_others(plain: Path) -> None:
    simple(plain, "open(out + '/model', 'w').write('7'); json.dump({'score': 1}, open(out + '/metrics.json', 'w'))")
    (plain / "experiments" / "next.yaml").write_text(
        'kind: command\nshell: true\ncommand: \'echo "{{\\"n\\": $(cat {model})}}" > {out}/metrics.json\'\n'
        "metrics: [n]\nmodel: {from: mine}\n"
    )
    done = papergen("run-exp", cwd=plain)
    assert done.returncode == 0, done.stderr
    assert "n 7" in done.stderr
    edit(plain, "import sys, json", "import sys, json, os", "go.py")
    assert status(plain)[1] == ("stale", "upstream: model (mine/main seed 0) changed")


APART = "import subprocess\nsubprocess.run(['sh', '-c', f'touch {out}/up; sleep 90'], start_new_session=True)"
"""As torchrun starts its workers: in sessions of their own."""


def test_a_time_limit_reaches_what_left_the_process_group(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPERGEN_TEST_MARK", str(plain))
    (plain / "go.sh").write_text("setsid sh -c 'sleep 90 & sleep 90' &\nsleep 90\n")
    (plain / "experiments" / "mine.yaml").write_text("kind: command\ncommand: sh go.sh {out}\nmetrics: [x]\n")
    done = papergen("run-exp", "--time-limit", "1", cwd=plain)
    assert "ran longer than its time limit of 1 s" in done.stderr
    wait_for(lambda: not [pid for pid in marked(str(plain)) if pid != os.getpid()], limit_s=10)


def test_work_in_another_session_is_a_sign_of_life(tmp_path: Path) -> None:
    burn = "import time\nend = time.time() + 20\nwhile time.time() < end: pass"
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}], start_new_session=True)"
    leader = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    try:
        wait_for(lambda: vitals_of(leader.pid).cpu_s > 1, limit_s=60)
    finally:
        for pid in descendants({leader.pid}):
            os.kill(pid, signal.SIGKILL)
        leader.kill()
        leader.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_run_leaves_nothing_of_the_command(plain: Path, number: int) -> None:
    simple(plain, APART)
    process = subprocess.Popen(
        [sys.executable, "-m", "papergen", "run-exp"],
        cwd=plain,
        env={**os.environ, "PAPERGEN_TEST_MARK": str(plain)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: list(plain.glob("results/.running/*/*/out/up")) and len(marked(str(plain))) >= 5)
    process.send_signal(number)
    process.wait(timeout=15)
    wait_for(lambda: not marked(str(plain)), limit_s=10)


def test_a_time_limit_ends_the_command_with_all_it_started_but_lets_it_save(plain: Path) -> None:
    simple(
        plain,
        "import signal, time\n"
        "def save(*_): open(sys.argv[2], 'w').write('saved'); sys.exit(1)\n"
        "signal.signal(signal.SIGTERM, save)\ntime.sleep(60)",
    )
    edit(plain, "{out}", "{out} {project}/saved.txt")
    began = time.monotonic()
    done = papergen("run-exp", "--time-limit", "2", cwd=plain)
    assert time.monotonic() - began < 40
    assert "ran longer than its time limit of 2 s" in done.stderr
    assert (plain / "saved.txt").read_text() == "saved"


def test_a_command_gets_secrets_that_no_record_holds(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_TOKEN", "{hun'ter}-2")
    lines = "import os; assert os.environ['KEY'] == 'k=' + sys.argv[2] == \"k={hun'ter}-2\"; print(sys.argv[2])\n"
    simple(plain, lines + "json.dump({'score': 1}, open(out + '/metrics.json', 'w'))")
    edit(plain, "{out}", "{out} {token}\ntoken: ${secret:PG_TOKEN}\nenvironment: {KEY: 'k=${secret:PG_TOKEN}'}")
    done = papergen("run-exp", cwd=plain)
    assert done.returncode == 0, done.stderr
    written = [path for path in (plain / "results").rglob("*") if path.is_file()]
    assert not [path for path in written if b"hun'ter" in path.read_bytes()]
    (log,) = (plain / "results" / "mine").glob("*/rank0.log")
    assert log.read_text().endswith("'${secret:PG_TOKEN}'\n${secret:PG_TOKEN}\n")
    edit(plain, "environment:", "shell: true\nenvironment:")
    assert "a shell would read a secret as code" in fault(plain)


def test_libraries_of_another_python_count_by_its_own_versions(plain: Path) -> None:
    simple(plain, "import numpy, click")
    assert list(open_project(plain).trials[0].parts["libraries"]) == ["numpy"]
    other = plain / "env" / "bin" / "python3"
    other.parent.mkdir(parents=True)
    other.write_text("#!/bin/sh\necho numpy 9.8.7\n")
    other.chmod(0o755)
    edit(plain, "command: python", f"command: {other}")
    parts = open_project(plain).trials[0].parts
    assert parts["libraries"] == {"numpy": "9.8.7"}
    assert set(parts["code"]) == {"go.py", "kind: command"}


def test_files_of_a_command_outside_the_project_and_modules_count(plain: Path) -> None:
    (plain / "code").mkdir()
    (plain / "code" / "lib.py").write_text("import deep\n")
    (plain / "code" / "deep.py").write_text("")
    (plain / "code" / "a.toml").write_text("")
    (plain / "experiments" / "mine.yaml").write_text(
        "kind: command\ncommand: python -m lib --config=code/{name}.toml {out}\nname: a\nmetrics: [x]\n"
        "environment: {PYTHONPATH: code}\n"
    )
    code = open_project(plain).trials[0].parts["code"]
    assert set(code) == {"code/lib.py", "code/deep.py", "code/a.toml", "kind: command"}


RESUMED = """
import os, signal
scratch = sys.argv[2]
assert set(os.listdir(scratch)) <= {"state.json"}
state = scratch + "/state.json"
begin = json.load(open(state)) if os.path.exists(state) else 0
with open(f"{out}/log.SUFFIX", "w") as log:
    HEAD
    for step in range(begin, 6):
        line = {"step": step, "score": [5, 4, 1, 3, 2.5, 2.2][step], "lr": 1 / (1 + step)}
        print(LINE, file=log, flush=True)
        if step == 2 and begin == 0:
            json.dump(2, open(state, "w"))
        if step == 3 and begin == 0:
            print(TORN, end="", file=log, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
"""
"""Its state is that of before step 2: killed after step 3, it makes steps 2 and 3 again."""


@pytest.mark.parametrize(
    ("suffix", "head", "line", "torn"),
    [
        ("jsonl", "pass", "json.dumps(line)", """'{"step": 4, "sc'"""),
        ("csv", "print('step,score,lr', file=log)", "','.join(map(str, line.values()))", "'4,2'"),
    ],
)
def test_the_series_of_a_resumed_command_is_the_whole(
    plain: Path, suffix: str, head: str, line: str, torn: str
) -> None:
    script = RESUMED.replace("SUFFIX", suffix).replace("HEAD", head).replace("LINE", line).replace("TORN", torn)
    simple(plain, script, f"metrics_file: log.{suffix}\n")
    edit(plain, "{out}", "{out} {scratch}")
    edit(plain, "metrics: [score]", "metrics: {best: {key: score, take: min}, start: {key: score, take: first}}")
    assert papergen("run-exp", cwd=plain).returncode == 1
    done = papergen("run-exp", cwd=plain)
    assert done.returncode == 0, done.stderr
    found = outcome(plain)
    assert found["metrics"] == {"best": 1, "start": 5}
    assert found["series"]["best"] == [[0, 5], [1, 4], [2, 1], [3, 3], [4, 2.5], [5, 2.2]]
    assert [step for step, _ in found["series"]["lr"]] == [0, 1, 2, 3, 4, 5]  # type: ignore[attr-defined]
    assert found["facts"]["earlier_lines"] == {f"log.{suffix}": 2}
    assert not list((plain / "results").glob(".scratch/*/*"))


def test_a_head_that_cannot_be_joined_is_told(plain: Path) -> None:
    script = RESUMED.replace("SUFFIX", "jsonl").replace("HEAD", "pass").replace("TORN", "''")
    simple(plain, script.replace("LINE", "json.dumps({'score': step})"), "metrics_file: log.jsonl\n")
    edit(plain, "{out}", "{out} {scratch}")
    papergen("run-exp", cwd=plain)
    done = papergen("run-exp", cwd=plain)
    assert "4 lines of an earlier attempt have no 'step' and were left out" in done.stderr
    assert outcome(plain)["facts"]["lines_without_step"] == {"log.jsonl": 4}


def test_an_attempt_that_begins_anew_counts_alone(plain: Path) -> None:
    script = RESUMED.replace("SUFFIX", "jsonl").replace("HEAD", "pass").replace("LINE", "json.dumps(line)")
    script = script.replace("TORN", "''").replace("json.dump(2", "json.dump(0").replace("begin == 0", "not TRIED")
    simple(
        plain, f"import os\nTRIED = os.path.exists(sys.argv[2] + '/state.json'){script}", "metrics_file: log.jsonl\n"
    )
    edit(plain, "{out}", "{out} {scratch}")
    assert papergen("run-exp", cwd=plain).returncode == 1
    assert papergen("run-exp", cwd=plain).returncode == 0
    assert [step for step, _ in outcome(plain)["series"]["score"]] == [0, 1, 2, 3, 4, 5]  # type: ignore[attr-defined]
    assert "earlier_lines" not in outcome(plain)["facts"]


def test_a_step_that_comes_twice_is_an_error_whose_remedy_works(plain: Path) -> None:
    lines = "with open(out + '/log.jsonl', 'w') as log:\n" + "".join(
        f"    print(json.dumps({{'step': {step}, 'score': {score}}}), file=log)\n"
        for step, score in [(0, 3), (1, 1), (1, 2)]
    )
    simple(plain, lines, "metrics_file: log.jsonl\n")
    done = papergen("run-exp", cwd=plain)
    assert "log.jsonl:3: score has step 1 a second time (the first: log.jsonl:2)" in done.stderr
    assert "`score: {steps: last}`" in done.stderr
    edit(plain, "metrics: [score]", "metrics: {score: {steps: last, take: min}}")
    assert papergen("run-exp", cwd=plain).returncode == 0
    assert (outcome(plain)["metrics"], outcome(plain)["series"]) == ({"score": 2}, {"score": [[0, 3], [1, 2]]})
