r"""A strategy in the words of a Chinese method section; numbers and \cite commands are those of `describing`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from papergen.latex.text import escape
from papergen.ml.decoding.describing import active_filters, cite, filtered, number

if TYPE_CHECKING:
    from papergen.ml.decoding.settings import Strategy

DECIDES_NUMBERS = False
"""Wording may change without making a result stale."""

_ADJECTIVES = {
    "top_k": "top-$k$ ",
    "top_p": "核",
    "min_p": "min-$p$ ",
    "typical_p": "局部典型",
    "epsilon_cutoff": r"$\epsilon$ ",
    "eta_cutoff": r"$\eta$ ",
}


def describe(strategy: Strategy) -> str:
    """E.g. `核采样（$p=0.95$~\\cite{holtzman2020curious}）`; more parts follow after commas."""
    return "，".join([*_core(strategy), *_scores(strategy), *_lengths(strategy)])


def _core(s: Strategy) -> Iterator[str]:
    match s.mode:
        case "greedy":
            yield "贪心搜索"
        case "sample":
            yield from _sampling(s)
        case "beam":
            yield f"束宽为 {s.num_beams} 的束搜索{cite('graves2012sequence')}"
        case "beam_sample":
            yield f"束宽为 {s.num_beams} 的束采样（续写为无放回抽取）"
            yield from _truncations(s)
        case "diverse":
            yield (
                f"多样束搜索{cite('vijayakumar2018diverse')}（{s.num_beams} 个束，分为 {s.num_beam_groups} 组，"
                f"多样性惩罚为 ${number(s.diversity_penalty)}$）"
            )
        case "constrained":
            yield (
                f"带词汇约束的束搜索{cite('hokamp2017lexically', 'post2018fast')}"
                f"（{s.num_beams} 个束，动态分配{_constraints(s)}）"
            )
        case "contrastive":
            yield (f"对比搜索{cite('su2022contrastive')}（$k={s.top_k}$，$\\alpha={number(s.penalty_alpha)}$）")
        case "dola":
            how = "采样" if s.do_sample else "贪心搜索"
            yield f"带层间对比的{how}（DoLa{cite('chuang2024dola')}，{_layers(s)}）"
            if s.do_sample:
                yield from _truncations(s)
        case "assisted":
            name = escape((s.assistant_model or "").rstrip("/").rsplit("/", 1)[-1])
            yield (
                f"{_speculative(s)}{cite('leviathan2023fast', 'chen2023accelerating')}"
                f"（草稿由 \\texttt{{{name}}} 生成，至多 {s.num_assistant_tokens} 个词元）"
            )
            if s.do_sample:
                yield from _truncations(s)
        case "prompt_lookup":
            yield (
                f"{_speculative(s)}{cite('saxena2023prompt')}"
                f"（草稿从已有文本中查得，至多 {s.prompt_lookup_num_tokens} 个词元）"
            )
            if s.do_sample:
                yield from _truncations(s)
    if s.is_search and s.length_penalty != 1.0:
        yield f"候选按 $\\log p / \\mathit{{length}}^{{{number(s.length_penalty)}}}$ 排序"
    if s.is_search and s.early_stopping is True:
        yield f"得到 {s.num_beams} 个完成的候选即停止"
    elif s.is_search and s.early_stopping == "never":
        yield "直到不可能出现更好的候选才停止"


def _speculative(s: Strategy) -> str:
    return "推测采样" if s.do_sample else "贪心推测解码"


def _sampling(s: Strategy) -> Iterator[str]:
    active = active_filters(s)
    if not active:
        yield "在整个词表上的纯采样"
    elif len(active) == 1:
        yield f"{_ADJECTIVES[active[0]]}采样（{filtered(s, active[0])[1]}）"
    else:
        yield "采样"
    yield from (part for part in _truncations(s) if len(active) > 1 or part.startswith("温度"))


def _truncations(s: Strategy) -> Iterator[str]:
    """What changes the distribution before a draw, in the order in which it is applied."""
    if s.temperature != 1.0:
        yield f"温度 ${number(s.temperature)}${cite('ackley1985learning')}"
    for name in active_filters(s):
        yield f"{_ADJECTIVES[name]}截断（{filtered(s, name)[1]}）"


def _constraints(s: Strategy) -> str:
    words = s.force_words or ()
    if not words:
        return f"，{len(s.force_words_ids or ())} 个必含短语"
    spelled = ["或".join(f"“{escape(word)}”" for word in ((one,) if isinstance(one, str) else one)) for one in words]
    return f"，必须包含{'和'.join(spelled)}"


def _layers(s: Strategy) -> str:
    if isinstance(s.dola_layers, str):
        return {"low": "低层", "high": "高层"}.get(s.dola_layers, s.dola_layers)
    return "第 " + "、".join(str(layer) for layer in s.dola_layers or ()) + " 层"


def _scores(s: Strategy) -> Iterator[str]:
    if s.repetition_penalty != 1.0:
        yield f"重复惩罚 ${number(s.repetition_penalty)}${cite('keskar2019ctrl')}"
    if s.no_repeat_ngram_size:
        yield f"不允许重复的 {s.no_repeat_ngram_size} 元组{cite('paulus2018deep')}"
    for sequence, bias in s.sequence_bias or ():
        if sequence == ("eos",):
            yield f"结束符的偏置为 ${number(bias)}$"
    others = sum(sequence != ("eos",) for sequence, _ in s.sequence_bias or ())
    if others:
        yield f"对 {others} 个词元序列加偏置"
    if s.suppress_tokens == ("eos",):
        yield "禁止结束符"
    elif s.suppress_tokens:
        yield f"禁止 {len(s.suppress_tokens)} 个词元"
    if s.bad_words_ids:
        yield f"禁止 {len(s.bad_words_ids)} 个词元序列"
    if s.exponential_decay_length_penalty:
        start, factor = s.exponential_decay_length_penalty
        yield f"结束符的分数从第 {start} 个词元起每个词元增长 ${number(factor)}$"


def _lengths(s: Strategy) -> Iterator[str]:
    if s.eos_token_id is None:
        yield "忽略结束符"
    if s.min_new_tokens is not None:
        yield f"至少 {s.min_new_tokens} 个新词元"
    if s.min_length is not None:
        yield f"连同提示至少 {s.min_length} 个词元"
