"""How heads and pipelines were set up, in the words of a method section."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from papergen.core.errors import counted
from papergen.core.phrase import Phrase
from papergen.latex.text import Escape
from papergen.ml.tasks.settings import HEADS, TaskSettings

DECIDES_NUMBERS = False

HEADS_ON_BACKBONE = Phrase(
    "We evaluate the heads {heads} of Transformers~\\cite{{wolf2020transformers}} on {backbone}.",
    "我们在{backbone}上评测 Transformers~\\cite{{wolf2020transformers}} 的任务头 {heads}。",
)
NEW_BACKBONE = Phrase(
    "a BERT-shaped encoder~\\cite{{devlin2019bert}} of {layers} of width {width}, built from scratch for each task",
    "一个为每项任务从零构建的 BERT 结构编码器~\\cite{{devlin2019bert}}（{layers} 层，宽度 {width}）",
)
MODEL_OF = Phrase("the model of the experiment {source}", "实验 {source} 的模型")
BACKBONE_OF = Phrase(
    "the model of the experiment {source}, a BERT-shaped encoder~\\cite{{devlin2019bert}} of {layers} of width {width} "
    "with {pieces} word pieces, trained from scratch as {head} for {epochs} at a learning rate of {rate}{masked}",
    "实验 {source} 的模型（BERT 结构编码器~\\cite{{devlin2019bert}}，{layers} 层，宽度 {width}，词表 {pieces}，"
    "以 {head} 从零训练 {epochs} 轮，学习率 {rate}{masked}）",
)
MASKED = Phrase(", {share}\\% of the tokens masked", "，掩码比例为 {share}\\%")
EMBEDDED = Phrase(
    " The data are made from Python's language reference and standard library, whose structure supplies the labels.",
    "数据取自 Python 的语言参考和标准库，标签由其结构给出。",
)
OWN = Phrase(" The data are the author's own.", "数据为作者自备。")
BOTH = Phrase(
    " The data are the author's own and some made from Python's language reference and standard library.",
    "数据一部分为作者自备，一部分取自 Python 的语言参考和标准库。",
)
FINE_TUNED = Phrase(
    " Heads are fine-tuned for {epochs} in batches of {batch} with AdamW~\\cite{{loshchilov2019decoupled}}, a linear "
    "schedule and at most {length} per input.",
    "任务头以 {batch} 个样本为一批，微调 {epochs} 轮，使用 AdamW~\\cite{{loshchilov2019decoupled}} 和线性学习率，"
    "每个输入至多 {length} 个词元。",
)
CHARACTERS = Phrase(" (a Chinese character is a word~\\cite{cui2019span})", "（汉字逐字计为词~\\cite{cui2019span}）")
MEASURES: Sequence[tuple[set[str], Phrase]] = (
    (
        {"sequence_classification", "feature_extraction"},
        Phrase(" Classification is measured by accuracy and macro-averaged F1.", "分类用准确率和宏平均 F1 衡量。"),
    ),
    ({"multiple_choice"}, Phrase(" Choices are measured by accuracy.", "多项选择用准确率衡量。")),
    (
        {"token_classification"},
        Phrase(" Entities are measured by micro-averaged F1 over whole spans.", "实体用整段匹配的微平均 F1 衡量。"),
    ),
    (
        {"question_answering"},
        Phrase(
            " Answers are measured by exact match and word F1 after the normalisation of SQuAD{characters}.",
            "答案用 SQuAD 规范化之后的完全匹配和词级 F1 衡量{characters}。",
        ),
    ),
    (
        {"masked_lm", "causal_lm"},
        Phrase(" Masked and running text are measured by perplexity.", "掩码语言模型和因果语言模型用困惑度衡量。"),
    ),
    (
        {"feature_extraction"},
        Phrase(
            " Features without a head are judged by a linear probe~\\cite{{alain2016understanding}}: ridge regression "
            "of the classes on the standardised mean of a layer's hidden states, with the penalty that leave-one-out "
            "over the training examples prefers.",
            "不带任务头的特征用线性探针~\\cite{{alain2016understanding}}判断："
            "在某层隐状态的标准化均值上对类别作岭回归，惩罚系数由训练样本的留一误差选定。",
        ),
    ),
)
"""The tasks that a measure is for, and how it is said."""
HAS_BASELINE = {"sequence_classification", "multiple_choice", "question_answering", "feature_extraction"}
BASELINE = Phrase(
    " The baseline always gives the most frequent answer of the test set.", "基线始终给出测试集中最常见的答案。"
)
PIPELINES = Phrase(
    "A pipeline of Transformers~\\cite{{wolf2020transformers}} has three stages: a tokenizer turns text into numbers, "
    "a model turns numbers into logits, and post-processing turns logits into an answer. We run the stages apart for "
    "{tasks}, on {inputs} in {batches} unless stated otherwise, in {rounds}, and compare the results with those of the "
    "library's own pipeline, called for one input after the other. Time is per input.\n",
    "Transformers~\\cite{{wolf2020transformers}} 的流水线有三个阶段：分词器把文本变成数字，模型把数字变成 logit，"
    "后处理把 logit 变成答案。我们对{tasks}分别运行各个阶段，除另行说明外，每项取 {inputs} 个输入，{batches}，"
    "共 {rounds} 轮，并把结果与库自带的、逐个输入调用的流水线相比较。时间按每个输入计。\n",
)
PIPELINE_TASKS = {
    "text-classification": "文本分类",
    "token-classification": "序列标注",
    "fill-mask": "掩码预测",
    "text-generation": "文本生成",
    "feature-extraction": "特征提取",
    "zero-shot-classification": "零样本分类",
    "question-answering": "问答",
}
"""Transformers' name of a pipeline, which English papers print -> Chinese."""


def heads_method(rows: Sequence[TaskSettings], *, upstream: TaskSettings | None, escape: Escape) -> Phrase:
    """How the heads were trained and measured, as LaTeX, from the parameters of the finished rows.

    `upstream`: the parameters of the trial that made the backbone, where that was a trial of this kind.
    """
    trained = [one for one in rows if one.is_trained]
    sources = {one.embedded_data is not None for one in rows}
    tasks = {one.task for one in rows}
    said = [
        HEADS_ON_BACKBONE.format(
            heads=_enumerated([_head(one.task) for one in rows]), backbone=_backbone(rows, upstream, escape)
        ),
        EMBEDDED if sources == {True} else OWN if sources == {False} else BOTH,
    ]
    if trained:
        said.append(
            FINE_TUNED.format(
                epochs=_span([one.num_train_epochs for one in trained], "epoch"),
                batch=_span([one.batch_size for one in trained]),
                length=_span([one.max_length for one in trained], "token"),
            )
        )
    characters = CHARACTERS if False in sources else ""
    said += [phrase.format(characters=characters) for measured, phrase in MEASURES if tasks & measured]
    if tasks & HAS_BASELINE:
        said.append(BASELINE)
    return Phrase("".join(said) + "\n", "".join(phrase.zh for phrase in said) + "\n")


def _backbone(rows: Sequence[TaskSettings], upstream: TaskSettings | None, escape: Escape) -> str:
    first = next((one for one in rows if one.model is not None), rows[0])
    if first.model is None:
        layers, widths = [one.num_hidden_layers for one in rows], [one.hidden_size for one in rows]
        return NEW_BACKBONE.format(layers=_span(layers, "layer"), width=_span(widths))
    if isinstance(first.model, str):
        return f"\\texttt{{{escape(first.model)}}}"
    source = escape(first.model.source)
    if upstream is None or upstream.model is not None:
        return MODEL_OF.format(source=source)
    share = f"{100 * upstream.mlm_probability:.0f}"
    return BACKBONE_OF.format(
        source=source,
        layers=_span([upstream.num_hidden_layers], "layer"),
        width=upstream.hidden_size,
        pieces=upstream.vocab_size,
        head=_head(upstream.task),
        epochs=_span([upstream.num_train_epochs], "epoch"),
        rate=f"{upstream.learning_rate:g}",
        masked=MASKED.format(share=share) if upstream.task == "masked_lm" else "",
    )


def _head(task: str) -> str:
    """A head's name, which a line may break between its words."""
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", r"\\allowbreak ", HEADS[task])
    return f"\\texttt{{{name}}}"


def _enumerated(names: Sequence[str]) -> Phrase:
    """Each name once."""
    distinct = list(dict.fromkeys(names))
    chinese = [name.zh if isinstance(name, Phrase) else name for name in distinct]
    return Phrase(", ".join(distinct), "、".join(chinese))


def _span(values: Sequence[int], noun: str = "") -> Phrase:
    """From the smallest to the largest, or the one that there is; in English with the noun that is counted."""
    least, most = min(values), max(values)
    english, chinese = (str(least), str(least)) if least == most else (f"{least} to {most}", f"{least} 至 {most}")
    return Phrase(counted(english, noun) if noun else english, chinese)


def pipelines_method(rows: Sequence[Any], *, escape: Escape) -> Phrase:
    """How the stages were run, as LaTeX, from the parameters of the rows of a `pipeline` experiment."""
    first = rows[0]
    tasks = [Phrase(escape(one.task), PIPELINE_TASKS.get(one.task, escape(one.task))) for one in rows]
    return PIPELINES.format(
        tasks=_enumerated(tasks),
        inputs=_span([first.num_inputs], "input"),
        batches=_batches(first),
        rounds=_span([first.num_rounds], "round"),
    )


def _batches(params: Any) -> Phrase:
    if params.batch_size is not None:
        return Phrase("batches of {}", "以 {} 个为一批").format(params.batch_size)
    tokens: str = ""
    if params.batch_tokens is not None:
        tokens = Phrase(" of {} tokens", "以 {} 个词元为一批，").format(params.batch_tokens)
    if params.group_by_length:
        return Phrase("batches{} made of inputs of like length", "{}长度相近的输入编入同一批").format(tokens)
    return Phrase("batches{}", "{}按给定顺序分批").format(tokens)
