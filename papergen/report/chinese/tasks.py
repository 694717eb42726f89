"""Words of tasks."""

from __future__ import annotations

WORDS = {
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
    "Training completed (%)": "训练进度 (%)",
    "Training loss (nats)": "训练损失 (奈特)",
    "features": "特征",
    "embeddings": "词嵌入",
    "topics": "主题分类",
    "tags": "序列标注",
    "questions": "问答",
    "choice": "多项选择",
    "masked": "掩码语言模型",
    "causal": "因果语言模型",
    "entailment": "文本蕴含",
}
