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
    "Speed-up": "加速比",
    "Difference": "差别",
    "tokenizer": "分词器",
    "model": "模型",
    "post-processing": "后处理",
    "Time per input (ms)": "每个输入的时间（ms）",
    "logit": "logit",
    "probability": "概率",
    "Logit and probability": "logit 与概率",
    "classification": "分类",
    "classification batch 1": "分类，批大小 1",
    "classification padded": "分类，填满",
    "classification ungrouped": "分类，不按长度分组",
    "tagging": "标注",
    "mask filling": "填空",
    "generation": "生成",
    "zero shot": "零样本",
    "answering": "问答",
}
