"""Words of every kind: tables of parameters, machine and runs, units, verdicts."""

from __future__ import annotations

WORDS = {
    "All rows": "所有行",
    "Cores": "核心数",
    "Count": "频数",
    "Device": "设备",
    "Difference": "差值",
    "Digest": "摘要值",
    "GPU": "GPU",
    "Memory": "内存",
    "nats": "奈特",
    "nats/token": "奈特/词元",
    "Parameter": "参数",
    "Peak memory": "内存峰值",
    "Processor": "处理器",
    "Row": "设置",
    "Run": "运行",
    "Seed": "种子",
    "Speed": "速度",
    "Started": "开始日期",
    "Steps": "步数",
    "System": "系统",
    "Time (s)": "用时 (s)",
    "tokens": "词元",
    "tokens/s": "词元/秒",
    "Value": "值",
}

CELLS = {
    "none: all results are imported": "无：全部结果均为导入",
    "one round": "仅一轮",
    "no spread": "无波动，无法检验",
    "within noise": "无显著差异",
    "better": "更好",
    "worse": "更差",
    "faster": "更快",
    "slower": "更慢",
    "baseline": "基线",
}
