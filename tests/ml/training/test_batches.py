"""Blocks lose and repeat no token; the order is one for all world sizes and new every epoch."""

from __future__ import annotations

import itertools

import pytest
import torch

from papergen.core.errors import PapergenError
from papergen.ml.training.batches import IGNORED, BlockOrder, Blocks, encode
from papergen.ml.training.optimizer import learning_rate
from papergen.ml.training.settings import TrainingSettings
from papergen.ml.training.tokenizer import END_OF_TEXT, train_tokenizer, wrap

TEXT = ["Ein Zug fährt ein. 中文 🙂\n" * 20, "def f(x):\n    return x\n" * 20]


def test_every_token_is_the_target_of_exactly_one_block() -> None:
    stream = torch.arange(1000)
    blocks = Blocks([stream], 64)
    targets = [int(target) for block in blocks.blocks for target in block[1:]]
    assert targets == list(range(1, 1000))
    assert blocks.num_targets == 999
    assert len(blocks.full()) == 999 // 64


def test_padding_is_no_target() -> None:
    batch = Blocks([torch.arange(4), torch.arange(8)], 16).batch([0, 1], pad=99)
    assert batch.num_targets == 3 + 7
    assert batch.inputs[0].tolist() == [0, 1, 2, 99, 99, 99, 99]
    assert batch.targets[0].tolist() == [1, 2, 3, *[IGNORED] * 4]


def test_the_sequences_of_a_step_do_not_depend_on_the_world_size() -> None:
    blocks = Blocks([torch.arange(53 * 4 + 1)], 4)

    def at(step: int, world_size: int) -> set[int]:
        ranks = [
            BlockOrder(blocks, batch_size=8, rank=rank, world_size=world_size, seed=1) for rank in range(world_size)
        ]
        shards = [order.at(step) for order in ranks]
        assert [len(shard) for shard in shards] == [8 // world_size] * world_size
        return {index for shard in shards for index in shard}

    for step in (0, 3, 5, 6, 14):
        alone = at(step, 1)
        assert len(alone) == 8
        assert at(step, 2) == at(step, 4) == at(step, 8) == alone


def test_set_epoch_changes_the_order_and_without_it_the_first_repeats() -> None:
    blocks = Blocks([torch.arange(48 * 4 + 1)], 4)
    new, old = (
        BlockOrder(blocks, batch_size=8, rank=0, world_size=2, seed=1, set_epoch=flag) for flag in (True, False)
    )
    per_epoch = new.steps_per_epoch
    assert per_epoch == 6
    assert [new.at(step) for step in range(per_epoch)] != [new.at(step + per_epoch) for step in range(per_epoch)]
    assert [old.at(step) for step in range(per_epoch)] == [old.at(step + per_epoch) for step in range(per_epoch)]


def test_the_order_is_addressed_by_step_not_by_history() -> None:
    blocks = Blocks([torch.arange(48 * 4 + 1)], 4)
    orders = [BlockOrder(blocks, batch_size=8, rank=1, world_size=2, seed=1) for _ in range(2)]
    for step in range(20):
        orders[0].at(step)
    assert orders[0].at(20) == orders[1].at(20)


def test_too_little_text_for_a_batch_is_refused() -> None:
    with pytest.raises(PapergenError, match="makes 4 sequences, fewer than batch_size = 8"):
        BlockOrder(Blocks([torch.arange(17)], 4), batch_size=8, rank=0, world_size=1, seed=0)


def test_the_tokenizer_is_deterministic_and_writes_every_text() -> None:
    json = train_tokenizer(TEXT, vocab_size=300)
    assert train_tokenizer(TEXT, vocab_size=300) == json
    tokenizer = wrap(json, block_size=64)
    for text in (*TEXT, "\x00 never seen: ñ \u202e 😀"):
        assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text
    assert 258 < len(tokenizer) <= 300
    assert tokenizer.padding_side == "left"
    assert tokenizer.eos_token == tokenizer.bos_token == END_OF_TEXT
    assert tokenizer.pad_token_id != tokenizer.eos_token_id


def test_documents_are_marked_and_kept_apart_when_asked() -> None:
    tokenizer = wrap(train_tokenizer(TEXT, vocab_size=300), block_size=64)
    end = tokenizer.eos_token_id
    stream = encode(TEXT, tokenizer, 10_000, "stream")
    apart = encode(TEXT, tokenizer, 10_000, "documents")
    assert len(stream) == 1
    assert int((stream[0] == end).sum()) == 3
    assert len(apart) == 2
    assert all(int(block[0]) == int(block[-1]) == end for block in apart.blocks)
    assert stream.num_targets == apart.num_targets


def test_the_learning_rate_warms_up_peaks_and_decays() -> None:
    settings = TrainingSettings(learning_rate=1.0, warmup_steps=10, max_steps=110)
    rates = [learning_rate(settings, step, 110) for step in range(110)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == 1.0
    assert rates[60] == pytest.approx(0.5)
    assert all(earlier > later > 0 for earlier, later in itertools.pairwise(rates[10:]))
    linear = settings.model_copy(update={"lr_scheduler_type": "linear"})
    assert learning_rate(linear, 35, 110) == pytest.approx(0.75)
    constant = settings.model_copy(update={"lr_scheduler_type": "constant"})
    assert learning_rate(constant, 109, 110) == 1.0
