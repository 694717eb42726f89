import pytest

from papergen.decoding.early_eos import refused, remedies, strategy_with
from papergen.decoding.generate import generate
from papergen.decoding.settings import Strategy


def test_every_remedy_is_a_valid_strategy_and_lengthens_the_texts(models, oracle):
    prompts = [prompt for prompt in oracle["prompt_ids"]["trained"] if len(prompt) == 3]
    for base in (Strategy(max_new_tokens=30), Strategy(max_new_tokens=30, num_beams=4)):
        lengths = {}
        for name, remedy in remedies(base, min_new_tokens=20, prompt_tokens=3).items():
            found = generate(
                models["trained"], None, prompts, strategy_with(base, remedy.changes), seed=0, batch_size=9
            )
            lengths[name] = [len(one.ids) for one in found]
        assert ("length_penalty" in lengths) is base.is_search
        assert lengths["min_new_tokens"] == lengths["min_length"]
        assert min(lengths["min_new_tokens"]) >= 20
        assert lengths["suppress_tokens"] == lengths["eos_disabled"] == [30] * len(prompts)
        total = {name: sum(values) for name, values in lengths.items()}
        assert all(total[name] >= total["none"] for name in lengths)
        assert total["sequence_bias"] > total["none"]


def test_remedies_that_do_nothing_say_why():
    reasons = {one.name: one.reason for one in refused(Strategy(max_new_tokens=30), eos_token_id=1)}
    assert set(reasons) == {"pad_token_id", "bad_words_ids", "length_penalty"}
    assert "padding is masked" in reasons["pad_token_id"]
    assert "suppress_tokens" in reasons["bad_words_ids"]
    assert "num_beams = 1" in reasons["length_penalty"]


@pytest.mark.parametrize("own", [{"num_beams": 4}, {"do_sample": True, "top_p": 0.9}], ids=str)
def test_changes_keep_the_base(own):
    base = Strategy(max_new_tokens=30, **own)
    changed = strategy_with(base, {"min_new_tokens": 5})
    assert changed.model_dump() == {**base.model_dump(), "min_new_tokens": 5}
