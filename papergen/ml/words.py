"""Words that the tables and figures of several kinds share, in both languages."""

from __future__ import annotations

from papergen.core.phrase import Phrase

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

NATS = Phrase("nats", "奈特")
NATS_PER_TOKEN = Phrase("nats/token", "奈特/词元")
TOKENS = Phrase("tokens", "词元")
TOKENS_PER_S = Phrase("tokens/s", "词元/秒")
EXAMPLES_PER_S = Phrase("examples/s", "样本/秒")

ACCURACY = Phrase("Accuracy", "准确率", also=("正确率",))
DIFFERENCE = Phrase("Difference", "差值")
PEAK_MEMORY = Phrase("Peak memory", "内存峰值", also=("显存",))
PERPLEXITY = Phrase("Perplexity", "困惑度", also=("困惑",))
ROW = Phrase("Row", "设置")
SPEED = Phrase("Speed", "速度", also=("吞吐", "每秒"))
SPEED_UP = Phrase("Speed-up", "加速比")
STEP = Phrase("Step", "每步", also=("优化步",))
TRAIN_LOSS = Phrase("Train loss", "训练损失")

BASELINE = Phrase("baseline", "基线")
"""In the column of verdicts, of the row that the others are compared with."""
AGAINST = Phrase("Against {}", "与{}相比")
"""The heading of that column."""
