"""launch.yaml: generic words, all faults at once, translated to SLURM's in one place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from lab import Lab

from papergen.core.errors import PapergenError
from papergen.execution.launchers.slurm.sbatch import _resources, _script, shape_of
from papergen.execution.settings import LaunchSettings, RunSettings, Timeouts, read_settings


def test_no_file_is_the_defaults(tmp_path: Path) -> None:
    assert read_settings(tmp_path) == LaunchSettings()


def test_the_command_line_changes_the_file(tmp_path: Path) -> None:
    (tmp_path / "launch.yaml").write_text("partition: gpu\ncpus_per_rank: 4\nsbatch: [--constraint=ib]\n")
    settings = read_settings(tmp_path, ["partition=16", "time=04:00:00", "requeue=false", "gpus_per_rank=1"])
    assert settings == LaunchSettings(
        partition="16", cpus_per_rank=4, time="04:00:00", requeue=False, gpus_per_rank=1, sbatch=["--constraint=ib"]
    )


def test_all_faults_at_once_with_their_lines(tmp_path: Path) -> None:
    (tmp_path / "launch.yaml").write_text("partitoin: gpu\ncpus_per_rank: 0\nmemory_per_rank: 16\n")
    with pytest.raises(PapergenError) as caught:
        read_settings(tmp_path, ["time=soon"])
    told = str(caught.value)
    assert "launch.yaml:1: there is no parameter 'partitoin'. Did you mean partition?" in told
    assert "launch.yaml:2: cpus_per_rank = 0" in told
    assert "launch.yaml:3: memory_per_rank = 16" in told
    assert "--launch time=soon: time: time = 'soon': write 90m, 4h, 1d12h or HH:MM:SS." in told
    with pytest.raises(PapergenError, match="--launch partition: write KEY=VALUE"):
        read_settings(tmp_path, ["partition"])


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90m", 90), ("4h", 240), ("1d12h", 2160), ("01:30:00", 90), ("2-00:00:00", 2880), ("00:10:30", 11)],
)
def test_times(text: str, minutes: int) -> None:
    assert LaunchSettings(time=text).time_minutes == minutes


def test_words_of_sbatch(lab: Lab) -> None:
    settings = RunSettings(
        device="cuda",
        partition="gpu",
        account="abc",
        time="2h",
        gpu_type="a100",
        memory_per_rank="16G",
        ranks_per_node=4,
    )
    shape = shape_of(lab.job("pass", num_ranks=8), settings)
    assert (shape.num_nodes, shape.ranks_per_node) == (2, 4)
    assert _resources(shape, settings) == [
        "--partition=gpu",
        "--account=abc",
        "--time=120",
        "--mem=64G",
        "--gres=gpu:a100:4",
    ]


def test_a_trial_s_own_time_limit_comes_before_the_cluster_s(lab: Lab) -> None:
    assert shape_of(lab.job("pass"), RunSettings(time_limit_s=61.0)).minutes == 7


def test_the_script_survives_odd_paths() -> None:
    folder = Path("/data/a 'b' $(c) 论文")
    script = _script(["--ntasks=1"], RunSettings(setup=["module load cuda/12"]), folder)
    assert script.startswith("#!/bin/bash\n")
    assert "\nmodule load cuda/12\nexec srun --ntasks=1 " in script
    assert script.rstrip().endswith("""-m papergen.execution.launchers.slurm.job '/data/a '"'"'b'"'"' $(c) 论文'""")


def test_the_settings_of_a_run_survive_json() -> None:
    launch = LaunchSettings(partition="gpu", setup=["module load cuda/12"], jobs=2)
    settings = RunSettings.over(launch, jobs=4, device="cuda", retries=2, timeouts=Timeouts(hang_s=0.0))
    assert (settings.jobs, settings.partition) == (4, "gpu"), "the command line comes before launch.yaml"
    assert RunSettings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_the_cores_of_a_trial_are_shared_by_its_ranks() -> None:
    assert RunSettings(num_cores=8).num_threads(1) == 8
    assert RunSettings(num_cores=8).num_threads(4) == 2
    assert RunSettings(num_cores=8, num_nodes=2).num_threads(4) == 4
    assert RunSettings(num_cores=1).num_threads(4) == 1
