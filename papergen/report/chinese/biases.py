"""Words of biases."""

from __future__ import annotations

WORDS = {
    "Error of the gradient": "梯度误差",
    "Evaluation": "评估",
    "Gradient": "梯度",
    "mnat": "毫奈特",
    "padded": "补齐",
    "rank means": "进程均值",
    "repeated": "重复数",
}
