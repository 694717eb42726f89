"""When a process counts as idle: by looks at it, and by what the kernel counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from watched import IDLE

from papergen.execution.supervision.activity import IdleMeter
from papergen.execution.supervision.processes import Vitals, state_of, vitals_of


def test_idle_means_since_the_first_of_two_equal_looks() -> None:
    meter = IdleMeter()
    assert meter.look(0.0, Vitals(cpu_s=0.0, io_bytes=0)) == 0.0
    assert meter.look(10.0, Vitals(cpu_s=0.1, io_bytes=100)) == 10.0
    assert meter.look(12.0, Vitals(cpu_s=0.15, io_bytes=100)) == 12.0
    assert meter.look(13.0, Vitals(cpu_s=1.0, io_bytes=100)) == 0.0
    assert meter.look(14.0, Vitals(cpu_s=1.0, io_bytes=900_000)) == 0.0, "reading and writing is work too"
    assert meter.look(15.0, Vitals(cpu_s=1.0, io_bytes=900_000)) == 1.0


def test_looks_come_no_closer_than_the_kernel_counts() -> None:
    meter = IdleMeter()
    assert meter.is_due(0.0)
    meter.look(0.0, IDLE)
    assert not meter.is_due(0.1)
    meter.look(4.0, IDLE)
    assert meter.idle_s(4.1) == 4.1


def test_a_group_that_waits_for_a_disk_or_a_processor_is_not_idle() -> None:
    meter = IdleMeter()
    meter.look(0.0, IDLE)
    assert meter.look(10.0, Vitals(cpu_s=1.0, io_bytes=0, is_on_disk=True)) == 0.0
    assert meter.look(20.0, Vitals(cpu_s=1.0, io_bytes=0, queued_s=6.0)) == 0.0
    assert meter.look(30.0, Vitals(cpu_s=1.0, io_bytes=0, queued_s=6.5)) == 10.0


def test_a_look_long_after_the_one_before_tells_nothing() -> None:
    meter = IdleMeter()
    meter.look(0.0, Vitals(cpu_s=0.0, io_bytes=0))
    assert meter.look(10.0, Vitals(cpu_s=0.0, io_bytes=0)) == 10.0
    assert meter.look(3600.0, Vitals(cpu_s=0.0, io_bytes=0)) == 0.0
    assert meter.look(3602.0, Vitals(cpu_s=0.0, io_bytes=0)) == 2.0


def test_vital_signs_of_a_process_count_what_it_computes_and_reads(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(2**20))
    code = "import sys\nopen(sys.argv[1], 'rb').read()\nsum(range(10**7))\nprint('done', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        vitals = vitals_of(process.pid)
        assert vitals.cpu_s > 0.02
        assert vitals.io_bytes >= 2**20
        assert not vitals.is_on_disk
        process.kill()


def test_vital_signs_of_nobody() -> None:
    assert state_of(2**22 + 1) == ""
    assert vitals_of(2**22 + 1) == Vitals(cpu_s=0.0, io_bytes=0)
