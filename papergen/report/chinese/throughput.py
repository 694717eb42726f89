"""Words of throughput."""

from __future__ import annotations

WORDS = {
    "accumulation": "梯度累积",
    "accumulation with sync": "累积且每次同步",
    "Batch": "批大小",
    "both at once": "计算与通信重叠",
    "bucket views": "桶视图",
    "Communication": "通信",
    "communication": "通信",
    "computation": "计算",
    "Efficiency": "效率",
    "Exposed communication": "未重叠的通信",
    "fp16 hook": "fp16 钩子",
    "ideal": "理想",
    "MFU": "MFU",
    "neither": "其他",
    "powersgd": "PowerSGD",
    "Ranks": "进程数",
    "ranks 4": "4 进程",
    "Ranks × threads": "进程数 × 线程数",
    "Relative speed": "相对速度",
    "small buckets": "小桶",
    "Speed-up": "加速比",
    "static graph": "静态图",
    "Step p95": "每步 p95",
    "Time of a traced step": "被跟踪的一步的耗时",
    "weak 1": "弱扩展 1",
    "weak 2": "弱扩展 2",
    "weak 4": "弱扩展 4",
}
