"""The record of where a trial ran: git, versions, nothing secret."""

from __future__ import annotations

import subprocess

from lab import Lab

from papergen.execution.launcher import Ended
from papergen.execution.provenance import (
    GitState,
    _git_state,
    git_state,
    provenance_of,
    redacted_command,
    relevant_environment,
)


def ended_of(lab: Lab, **machine: object) -> Ended:
    return Ended(
        job=lab.job("pass"), failure=None, machine=machine, started="2026-01-01T00:00:00Z", ended="", duration_s=1.0
    )


def test_provenance_outside_a_repository(lab: Lab) -> None:
    ended = ended_of(lab, device="cpu", backend="gloo", num_threads=2, load_average=0.5)
    record = provenance_of(ended, command=["papergen", "run-exp"], launcher="local")
    assert (record.git_commit, record.git_is_dirty) == ("", False)
    assert (record.device, record.backend, record.num_threads, record.load_average) == ("cpu", "gloo", 2, 0.5)
    assert record.packages["torch"].startswith("2.")
    assert record.num_cores >= 1


def test_results_do_not_make_a_repository_dirty(lab: Lab) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        done = subprocess.run(["git", *identity, *words], cwd=lab.project, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    for name in ("paper.yaml", "results/a.json"):
        path = lab.project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    git("init", "--quiet")
    assert git_state(lab.project) == GitState(), "no commit yet"
    git("add", ".")
    git("commit", "--quiet", "-m", "x")
    commit = git("rev-parse", "HEAD")
    (lab.project / "results/a.json").write_text("2")
    _git_state.cache_clear()
    assert git_state(lab.project) == GitState(commit=commit)
    (lab.project / "paper.yaml").write_text("2")
    _git_state.cache_clear()
    state = git_state(lab.project)
    assert (state.commit, state.is_dirty) == (commit, True)
    assert b"\n+" in state.diff


def test_secrets_do_not_reach_the_record() -> None:
    environment = {
        "HF_TOKEN": "hf_abcdefghijklmnop",
        "HF_HOME": "https://me:pass@host/cache",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": "2",
        "CUDA_NOTE": "sk-abcdefghijklmnopqr",
        "MY_DIARY": "private",
    }
    assert relevant_environment(environment) == {
        "CUDA_NOTE": "<redacted>",
        "HF_HOME": "https://<redacted>@host/cache",
        "HF_TOKEN": "<redacted>",
        "OMP_NUM_THREADS": "2",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = ["papergen", "run-exp", "-o", "x.api_key=12345", "-o", "x.lr=1e-3", "ghp_abcdefghijklmnop"]
    assert redacted_command(command) == [*command[:3], "x.api_key=<redacted>", "-o", "x.lr=1e-3", "<redacted>"]
