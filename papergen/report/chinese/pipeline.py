"""Words of pipeline."""

from __future__ import annotations

WORDS = {
    "Tokenizer": "分词器",
    "Model": "模型",
    "Post-processing": "后处理",
    "Total": "合计",
    "Tokenizer memory": "分词器内存",
    "Model memory": "模型内存",
    "Post-processing memory": "后处理内存",
    "Padding": "填充",
    "One by one": "逐条",
    "Pipeline": "流水线",
}
