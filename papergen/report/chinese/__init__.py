"""The Chinese of what papergen writes into tables and figures: English -> Chinese, one module for each kind."""

from __future__ import annotations

from papergen.report.chinese import biases, common, decoding, early_eos, ops, pipeline, tasks, throughput, training

CHINESE: dict[str, str] = {
    **common.WORDS,
    **training.WORDS,
    **throughput.WORDS,
    **biases.WORDS,
    **decoding.WORDS,
    **early_eos.WORDS,
    **tasks.WORDS,
    **pipeline.WORDS,
    **ops.WORDS,
}

CELLS: dict[str, str] = {**common.CELLS, **ops.CELLS}
"""Words that stand in cells. What else a cell holds is data."""

VALUES = {
    r"(.*), unless given below": "{0}（另列者除外）",
    r"from (\S+) row (\S+) seed (\d+)": "实验 {0} 的 {1} 行，种子 {2}",
}
"""The same for parts of cells; the groups are values, which stay."""

PATTERNS = {
    r"Against (.+)": "与{0}相比",
    r"Machine (\d+)": "机器 {0}",
    r"strong \((\d+) sequences\)": "强扩展 ({0} 个序列)",
    r"weak \((\d+) per rank\)": "弱扩展 (每进程 {0} 个)",
    r"(.+) \(([^()]+)\)": "{0} ({1})",
}
"""Regular expression of a whole text -> its Chinese, its groups translated in their turn; the first match counts."""
