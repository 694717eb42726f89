r"""What the checks know of Chinese prose: how it names metrics and rows, its numerals, and what borders on a number.

Chinese is written without spaces: a name is found as a part of the text, and a number may touch the characters around
it (`困惑度为12.3，是其1.8倍`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from papergen.core.phrase import Phrase

LETTER = r"[^\W\u3400-\u9fff]"
"""A character that makes a number beside it a part of a word; a Chinese one does not."""
NUMERALS = "零〇一二两三四五六七八九十百"

_DIGITS = {"零": 0, "〇": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9}
_TENS = {"十": 10, "百": 100}
_SAID = {
    "accuracy": ("准确率", "正确率"),
    "examples": ("每秒",),
    "latency": ("延迟",),
    "length": ("长度",),
    "loss": ("损失",),
    "memory": ("内存", "显存"),
    "speed": ("速度", "吞吐", "每秒"),
    "throughput": ("吞吐",),
}
"""A general word of an English name -> what Chinese prose says for it; a kind gives its own in a `Phrase`."""
_TOO_COMMON = {"模型", "设备", "其他", "参数", "所有行", "词元", "结果"}


def chinese_names(names: Iterable[str]) -> frozenset[str]:
    """What Chinese prose may call the metric or row of these names and labels: as the tables do, and as people do."""
    found: set[str] = set()
    for name in names:
        if isinstance(name, Phrase):
            found |= {*re.findall(r"[\u4e00-\u9fff]{2,}", name.zh), *name.also}
        for word in re.findall(r"[a-z]{2,}", name.lower().replace("_", " ")):
            found |= set(_SAID.get(word, ()))
    return frozenset(found - _TOO_COMMON)


def number_of(numeral: str) -> float | None:
    """The number that a numeral below a thousand says: 二十三点四 is 23.4; None when it is none."""
    whole, _, fraction = numeral.partition("点")
    total, digit = 0, None
    for sign in whole:
        if sign in _TENS:
            total += (1 if digit is None else digit) * _TENS[sign]
            digit = None
        elif digit in {None, 0} and sign in _DIGITS:
            digit = _DIGITS[sign]
        else:
            return None
    if not whole or any(sign not in _DIGITS for sign in fraction):
        return None
    decimals = "".join(str(_DIGITS[sign]) for sign in fraction)
    return float(f"{total + (digit or 0)}.{decimals or 0}")
