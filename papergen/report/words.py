"""The words of tables in the language of the paper: a catalogue from English, which stays where it has no entry."""

from __future__ import annotations

from dataclasses import replace

from papergen.report.tables import Table
from papergen.report.tex import Tex

CHINESE = {
    "All rows": "所有行",
    "Bits/char.": "比特/字符",
    "Constraints met": "满足约束",
    "Cores": "核心数",
    "Coverage": "覆盖率",
    "Cut off": "截断",
    "Device": "设备",
    "Digest": "摘要值",
    "Diversity": "多样性",
    "Duplicates": "重复项",
    "First token": "首词元",
    "GPU": "GPU",
    "Latency p50": "延迟 p50",
    "Latency p95": "延迟 p95",
    "Length": "长度",
    "Log-probability": "对数概率",
    "MAUVE": "MAUVE",
    "Memory": "内存",
    "NLL": "NLL",
    "Parameter": "参数",
    "Peak memory": "内存峰值",
    "Peak memory per rank": "每进程内存峰值",
    "Perplexity": "困惑度",
    "PPL": "困惑度",
    "PPL (scorer)": "困惑度（评分模型）",
    "Processor": "处理器",
    "Repetition": "重复率",
    "Run": "运行",
    "Seed": "种子",
    "Speed": "速度",
    "Started (UTC)": "开始 (UTC)",
    "Step": "每步",
    "Strategy": "策略",
    "System": "系统",
    "Time (s)": "用时 (s)",
    "Train loss": "训练损失",
    "Val. loss": "验证损失",
    "Value": "值",
    "Zipf": "Zipf",
    "beam sampling": "束采样",
    "beam search": "束搜索",
    "greedy": "贪心",
    "human text": "人类文本",
    "multinomial": "原始采样",
    "nucleus": "核采样",
    "top-k": "top-k",
    "tokens": "词元",
    "tokens/s": "词元/秒",
    "nats": "奈特",
    "nats/token": "奈特/词元",
    "Accuracy": "准确率",
    "Macro-F1": "宏平均 F1",
    "EM": "EM",
    "F1": "F1",
    "Precision": "精确率",
    "Recall": "召回率",
    "Entity F1": "实体 F1",
    "Token acc.": "词元准确率",
    "Test loss": "测试损失",
    "Baseline": "基线",
    "Parameters": "参数量",
    "Steps": "步数",
    "Task": "任务",
    "Head": "任务头",
    "Train / test": "训练 / 测试",
    "examples/s": "样本/秒",
    "Tokenizer": "分词器",
    "Model": "模型",
    "Post-processing": "后处理",
    "Total": "合计",
    "Tokenizer memory": "分词器内存",
    "Model memory": "模型内存",
    "Post-processing memory": "后处理内存",
    "Padding": "填充",
    "One by one": "逐条",
    "Speed-up": "加速比",
    "Difference": "差异",
    "Pipeline": "流水线",
    "Rel. error": "相对误差",
    "Error bound": "误差界",
    "Peak GFLOP/s": "峰值 GFLOP/s",
    "Peak GB/s": "峰值 GB/s",
    "Peak GB/s in cache": "缓存峰值 GB/s",
    "Operation": "运算",
    "Result": "结果",
    "Of ceiling": "占上限",
    "Operation and dtype": "运算与类型",
    "Products": "乘积",
    "Attention": "注意力",
    "Elementwise": "逐元素",
    "Masks": "掩码",
    "Shapes": "形状",
    "Slices": "切片",
    "Creation": "创建",
    "compiled": "编译",
}


def in_language(table: Table, language: str) -> Table:
    """The table with its headings, labels and units in that language; LaTeX and unknown words stay."""
    if language != "zh":
        return table

    def said(word: str) -> str:
        return word if isinstance(word, Tex) else CHINESE.get(word, word)

    columns = tuple(
        replace(column, heading=said(column.heading), group=said(column.group), unit=said(column.unit))
        for column in table.columns
    )
    rows = tuple(replace(row, label=said(row.label), group=said(row.group)) for row in table.rows)
    return replace(table, columns=columns, rows=rows, corner=said(table.corner))
