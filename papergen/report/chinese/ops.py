"""Words of ops."""

from __future__ import annotations

WORDS = {
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
