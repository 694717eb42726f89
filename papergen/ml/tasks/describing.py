"""How heads and pipelines were set up, in the words of a method section: phrases in one order, English and Chinese."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from papergen.core.errors import counted
from papergen.latex.text import Escape
from papergen.ml.tasks.settings import HEADS, TaskSettings

DECIDES_NUMBERS = False


def heads_method(rows: Sequence[TaskSettings], *, upstream: TaskSettings | None, language: str, escape: Escape) -> str:
    """How the heads were trained and measured, as LaTeX, from the parameters of the finished rows.

    `upstream`: the parameters of the trial that made the backbone, where that was a trial of this kind.
    """
    say = PHRASES[language]
    first = next((one for one in rows if one.model is not None), rows[0])
    trained = [one for one in rows if one.is_trained]
    names = say["and"].join(dict.fromkeys(_head(one.task) for one in rows))
    text = say["heads"].format(names=names, backbone=_backbone(rows, first, upstream, say, escape))
    sources = {one.embedded_data is not None for one in rows}
    text += say["embedded" if sources == {True} else "own" if sources == {False} else "both"]
    if trained:
        text += say["fine-tuned"].format(
            epochs=_span([one.num_train_epochs for one in trained], say, "epoch"),
            batch=_span([one.batch_size for one in trained], say),
            length=_span([one.max_length for one in trained], say, "token"),
        )
    tasks = {one.task for one in rows}
    measured = "".join(say[name] for name, of in MEASURES.items() if tasks & of)
    text += measured.replace("{characters}", say["characters"] if False in sources else "")
    return text + say["baseline"] * bool(tasks & HAS_BASELINE) + "\n"


def _backbone(
    rows: Sequence[TaskSettings],
    first: TaskSettings,
    upstream: TaskSettings | None,
    say: Mapping[str, str],
    escape: Escape,
) -> str:
    if first.model is None:
        layers, widths = [one.num_hidden_layers for one in rows], [one.hidden_size for one in rows]
        return say["new backbone"].format(layers=_span(layers, say, "layer"), width=_span(widths, say))
    if isinstance(first.model, str):
        return f"\\texttt{{{escape(first.model)}}}"
    source = escape(first.model.source)
    if upstream is None or upstream.model is not None:
        return say["model of"].format(source=source)
    return say["backbone of"].format(
        source=source,
        layers=_span([upstream.num_hidden_layers], say, "layer"),
        width=upstream.hidden_size,
        pieces=upstream.vocab_size,
        head=_head(upstream.task),
        epochs=_span([upstream.num_train_epochs], say, "epoch"),
        rate=f"{upstream.learning_rate:g}",
        masked=say["masked"].format(share=f"{100 * upstream.mlm_probability:.0f}")
        if upstream.task == "masked_lm"
        else "",
    )


def _head(task: str) -> str:
    """A head's name, which a line may break between its words."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", r"\\allowbreak ", HEADS[task])
    return f"\\texttt{{{name}}}"


def _span(values: Sequence[int], say: Mapping[str, str], noun: str = "") -> str:
    """From the smallest to the largest, or the one that there is; in English with the noun that is counted."""
    least, most = min(values), max(values)
    said = str(least) if least == most else say["span"].format(least=least, most=most)
    return counted(said, noun) if noun and say is PHRASES["en"] else said


def pipelines_method(rows: Sequence[Any], *, language: str, escape: Escape) -> str:
    """How the stages were run, as LaTeX, from the parameters of the rows of a `pipeline` experiment."""
    say, first = PHRASES[language], rows[0]
    if first.batch_size is not None:
        batches = say["batches of rows"].format(rows=first.batch_size)
    else:
        tokens = "" if first.batch_tokens is None else say["tokens"].format(tokens=first.batch_tokens)
        batches = say["batches by length" if first.group_by_length else "batches in order"].format(tokens=tokens)
    named = {} if language == "en" else PIPELINES_ZH
    tasks = say["and"].join(dict.fromkeys(named.get(params.task, escape(params.task)) for params in rows))
    return say["pipelines"].format(
        tasks=tasks,
        inputs=_span([first.num_inputs], say, "input"),
        batches=batches,
        rounds=_span([first.num_rounds], say, "round"),
    )


MEASURES: Mapping[str, set[str]] = {
    "classes": {"sequence_classification", "feature_extraction"},
    "choices": {"multiple_choice"},
    "entities": {"token_classification"},
    "answers": {"question_answering"},
    "language models": {"masked_lm", "causal_lm"},
    "features": {"feature_extraction"},
}
"""Phrase -> the tasks that it is said for."""
HAS_BASELINE = {"sequence_classification", "multiple_choice", "question_answering", "feature_extraction"}

PIPELINES_ZH: Mapping[str, str] = {
    "text-classification": "文本分类",
    "token-classification": "序列标注",
    "fill-mask": "掩码预测",
    "text-generation": "文本生成",
    "feature-extraction": "特征提取",
    "zero-shot-classification": "零样本分类",
    "question-answering": "问答",
}

PHRASES: Mapping[str, Mapping[str, str]] = {
    "en": {
        "heads": "We evaluate the heads {names} of Transformers~\\cite{{wolf2020transformers}} on {backbone}.",
        "new backbone": "a BERT-shaped encoder~\\cite{{devlin2019bert}} of {layers} of width {width}, built "
        "from scratch for each task",
        "model of": "the model of the experiment {source}",
        "backbone of": "the model of the experiment {source}, a BERT-shaped encoder~\\cite{{devlin2019bert}} of "
        "{layers} of width {width} with {pieces} word pieces, trained from scratch as {head} for {epochs} "
        "at a learning rate of {rate}{masked}",
        "masked": ", {share}\\% of the tokens masked",
        "embedded": " The data are made from Python's language reference and standard library, whose structure "
        "supplies the labels.",
        "own": " The data are the author's own.",
        "both": " The data are the author's own and some made from Python's language reference and standard library.",
        "fine-tuned": " Heads are fine-tuned for {epochs} in batches of {batch} with "
        "AdamW~\\cite{{loshchilov2019decoupled}}, a linear schedule and at most {length} per input.",
        "and": ", ",
        "span": "{least} to {most}",
        "classes": " Classification is measured by accuracy and macro-averaged F1.",
        "choices": " Choices are measured by accuracy.",
        "entities": " Entities are measured by micro-averaged F1 over whole spans.",
        "answers": " Answers are measured by exact match and word F1 after the normalisation of SQuAD{characters}.",
        "characters": " (a Chinese character is a word~\\cite{cui2019span})",
        "language models": " Masked and running text are measured by perplexity.",
        "features": " Features without a head are judged by a linear probe~\\cite{alain2016understanding}: ridge "
        "regression of the classes on the standardised mean of a layer's hidden states, with the penalty that "
        "leave-one-out over the training examples prefers.",
        "baseline": " The baseline always gives the most frequent answer of the test set.",
        "pipelines": "A pipeline of Transformers~\\cite{{wolf2020transformers}} has three stages: a tokenizer turns "
        "text into numbers, a model turns numbers into logits, and post-processing turns logits into an answer. We "
        "run the stages apart for {tasks}, on {inputs} in {batches} unless stated otherwise, in {rounds}, "
        "and compare the results with those of the library's own pipeline, called for one input after the "
        "other. Time is per input.\n",
        "batches of rows": "batches of {rows}",
        "batches by length": "batches{tokens} made of inputs of like length",
        "batches in order": "batches{tokens}",
        "tokens": " of {tokens} tokens",
    },
    "zh": {
        "heads": "我们在{backbone}上评测 Transformers~\\cite{{wolf2020transformers}} 的任务头 {names}。",
        "new backbone": "一个为每项任务从零构建的 BERT 结构编码器~\\cite{{devlin2019bert}}（{layers} 层，宽度 "
        "{width}）",
        "model of": "实验 {source} 的模型",
        "backbone of": "实验 {source} 的模型（BERT 结构编码器~\\cite{{devlin2019bert}}，{layers} 层，宽度 {width}，"
        "词表 {pieces}，以 {head} 从零训练 {epochs} 轮，学习率 {rate}{masked}）",
        "masked": "，掩码比例为 {share}\\%",
        "embedded": "数据取自 Python 的语言参考和标准库，标签由其结构给出。",
        "own": "数据为作者自备。",
        "both": "数据一部分为作者自备，一部分取自 Python 的语言参考和标准库。",
        "fine-tuned": "任务头以 {batch} 个样本为一批，微调 {epochs} 轮，使用 "
        "AdamW~\\cite{{loshchilov2019decoupled}} 和线性学习率，每个输入至多 {length} 个词元。",
        "and": "、",
        "span": "{least} 至 {most}",
        "classes": "分类用准确率和宏平均 F1 衡量。",
        "choices": "多项选择用准确率衡量。",
        "entities": "实体用整段匹配的微平均 F1 衡量。",
        "answers": "答案用 SQuAD 规范化之后的完全匹配和词级 F1 衡量{characters}。",
        "characters": "（汉字逐字计为词~\\cite{cui2019span}）",
        "language models": "掩码语言模型和因果语言模型用困惑度衡量。",
        "features": "不带任务头的特征用线性探针~\\cite{alain2016understanding}判断："
        "在某层隐状态的标准化均值上对类别作岭回归，惩罚系数由训练样本的留一误差选定。",
        "baseline": "基线始终给出测试集中最常见的答案。",
        "pipelines": "Transformers~\\cite{{wolf2020transformers}} 的流水线有三个阶段：分词器把文本变成数字，"
        "模型把数字变成 logit，后处理把 logit 变成答案。我们对{tasks}分别运行各个阶段，"
        "除另行说明外，每项取 {inputs} 个输入，{batches}，共 {rounds} 轮，并把结果与库自带的、"
        "逐个输入调用的流水线相比较。时间按每个输入计。\n",
        "batches of rows": "以 {rows} 个为一批",
        "batches by length": "{tokens}长度相近的输入编入同一批",
        "batches in order": "{tokens}按给定顺序分批",
        "tokens": "以 {tokens} 个词元为一批，",
    },
}
