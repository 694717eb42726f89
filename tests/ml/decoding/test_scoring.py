import math

import pytest
import torch

from papergen.core.errors import PapergenError
from papergen.ml.decoding.scoring import Score, perplexity, score_continuations, score_texts


def test_scores_are_those_of_the_models_loss(llama, bart, prompts):
    continuations = [[4, 5, 6, 1], [50], [9, 9], [], [3, 1], [8, 7, 6, 5, 4]]
    for model in (llama, bart):
        for batch_size in (1, 4, 6):
            found = score_continuations(model, prompts, continuations, batch_size=batch_size)
            for prompt, continuation, score in zip(prompts, continuations, found, strict=True):
                assert score.num_tokens == len(continuation)
                if not continuation:
                    assert score.perplexity is None
                    continue
                with torch.no_grad():
                    if model.config.is_encoder_decoder:
                        loss = model(torch.tensor([prompt]), labels=torch.tensor([continuation])).loss
                    else:
                        labels = torch.tensor([[-100] * len(prompt) + continuation])
                        loss = model(torch.tensor([[*prompt, *continuation]]), labels=labels).loss
                assert score.log_prob == pytest.approx(-float(loss) * len(continuation), abs=1e-4)
                assert score.perplexity == pytest.approx(math.exp(float(loss)), rel=1e-4)


def test_corpus_perplexity_weighs_tokens_and_not_texts():
    scores = [Score.of((-1.0, -3.0)), Score.of((-5.0,)), Score.of(())]
    assert perplexity(scores) == pytest.approx(math.exp(3.0))
    assert perplexity([Score.of(())]) is None


def test_half_precision_is_normalised_in_single_precision(llama, prompts):
    whole = score_continuations(llama, prompts, [[4, 5]] * 6, batch_size=6)
    try:
        half = score_continuations(llama.to(torch.bfloat16), prompts, [[4, 5]] * 6, batch_size=6)
    finally:
        llama.to(torch.float32)
    assert [score.log_prob for score in half] == pytest.approx([score.log_prob for score in whole], abs=1.0)


def test_texts_are_scored_with_the_scorers_own_tokenizer(models, tokenizer):
    texts = [" is a list", " object of the class"]
    found = score_texts(models["trained"], tokenizer, ["The", "An"], texts, batch_size=2)
    bos = tokenizer.bos_token_id
    ids = [tokenizer.encode(text) for text in texts]
    starts = [[bos, *tokenizer.encode(prompt)] for prompt in ("The", "An")]
    assert found == score_continuations(models["trained"], starts, ids, batch_size=2)


def test_what_has_no_probability_is_refused(llama):
    with pytest.raises(PapergenError, match="Text 0 has no prompt"):
        score_continuations(llama, [[]], [[4]], batch_size=1)
    with pytest.raises(PapergenError, match="more than the 64 positions"):
        score_continuations(llama, [[4]], [[4] * 64], batch_size=1)
