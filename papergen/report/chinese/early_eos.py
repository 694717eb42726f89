"""Words of early_eos."""

from __future__ import annotations

WORDS = {
    "beam": "束搜索",
    "Changed": "有改动",
    "Early": "过早结束",
    "early": "过早",
    "eos disabled": "忽略 EOS",
    "EOS inside": "内含 EOS",
    "length penalty": "长度惩罚",
    "min length": "最小长度",
    "min new tokens": "最少新词元数",
    "none": "无",
    "Remedy": "对策",
    "sequence bias": "EOS 偏置",
    "suppress tokens": "禁止 EOS",
    "Texts not ended": "尚未结束的文本",
    "Texts that end early": "过早结束的文本",
    "Tokens": "词元数",
    "Without effect": "无效",
    "wording": "改写提示",
    "The padding token set to the end-of-text token: padding is masked and decides nothing.": (
        "把填充符设为文本结束符：填充处被掩码屏蔽，不起任何作用。"
    ),
    "The end-of-text token among the forbidden words: transformers takes it off that list unasked.": (
        "把文本结束符列入禁用词：transformers 会自行把它从列表中去掉。"
    ),
    "A length penalty without beams: it ranks hypotheses, and greedy decoding has one.": (
        "不用束搜索时的长度惩罚：它只给候选排序，而贪心搜索只有一个候选。"
    ),
}
