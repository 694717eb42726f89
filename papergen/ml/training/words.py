"""Words that the kinds which train share, in both languages."""

from __future__ import annotations

from papergen.core.phrase import Phrase

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

PROCESSES = {
    "ddp": Phrase("DDP", "DDP", also=("数据并行", "两个进程", "两进程")),
    "single": Phrase("single process", "单进程", also=("单个进程", "单卡")),
    "dp": "DataParallel",
    "fsdp2": "FSDP2",
}
"""Row -> its label, of the rows that are called after the way in which they spread a batch."""
