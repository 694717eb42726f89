"""Words of training and of its ablations."""

from __future__ import annotations

WORDS = {
    "Bits/char.": "比特/字符",
    "DataParallel splits a batch over two or more GPUs; this run has none.": (
        "DataParallel 把一批数据分给两块或更多 GPU，而本次运行没有 GPU。"
    ),
    "DataParallel splits a batch over two or more GPUs; this run has one.": (
        "DataParallel 把一批数据分给两块或更多 GPU，而本次运行只有一块。"
    ),
    "full": "完整方案",
    "means of ranks": "各进程均值",
    "one order": "固定顺序",
    "Optimiser step": "优化步",
    "Peak memory per rank": "每进程内存峰值",
    "Perplexity": "困惑度",
    "Processes × threads": "进程数 × 线程数",
    "single": "单进程",
    "single process": "单进程",
    "Step": "每步",
    "The bf16 communication hook needs NCCL, and so GPUs; gloo refuses it.": (
        "bf16 通信钩子需要 NCCL，因而需要 GPU；gloo 不支持。"
    ),
    "torch.compile is used on GPUs only.": "torch.compile 只在 GPU 上使用。",
    "Train loss": "训练损失",
    "Training loss": "训练损失",
    "Val. loss": "验证损失",
}
