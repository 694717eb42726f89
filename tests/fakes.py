"""A paper project with an experiment kind that needs no torch."""

from __future__ import annotations

from pathlib import Path

FAKE_KIND = '''
"""A kind that needs no torch: its numbers follow from its parameters."""
from papergen import Metric, Params as Base
from pydantic import Field

FACTOR = 2

class Params(Base):
    size: int = Field(default=1, ge=1, description="Any whole number.")
    rate: float = Field(default=0.5, description="Any number.")
    exact: bool = Field(default=False, description="Whether the seed is ignored.")

METRICS = (
    Metric(name="score", label="Score", direction="higher"),
    Metric(name="loss", label="Loss", direction="lower", over="items"),
)

def is_seeded(params):
    return not params.exact

def helper(params, seed):
    return params.size * FACTOR + seed

def run(params, ctx):
    for step in range(3):
        ctx.log(step, loss=1.0 / (step + 1))
        ctx.progress(step + 1, 3)
    ctx.units("loss", [float(i + ctx.trial.seed) for i in range(4)])
    ctx.sample(text="a sample")
    return {"score": float(helper(params, ctx.trial.seed)), "loss": 1.5 + ctx.trial.seed}

def unavailable(params, device, num_gpus):
    return "Only GPUs do that." if params.rate == 7.5 and device == "cpu" else None

def report(view):
    return None
'''


def make_project(folder: Path) -> Path:
    """Write the fake project and return its folder."""
    (folder / "experiments").mkdir(parents=True)
    (folder / "paper.yaml").write_text("title: A title\nauthors:\n  - name: A. Author\n", encoding="utf-8")
    (folder / "experiments" / "fake.py").write_text(FAKE_KIND, encoding="utf-8")
    (folder / "experiments" / "first.yaml").write_text(
        "kind: fake\nseeds: [0, 1]\nrate: 1e-3\nrows:\n  small: {}\n  large: {size: 5}\n  fixed: {exact: true}\n",
        encoding="utf-8",
    )
    return folder


def training_yaml(*, max_steps: int) -> str:
    """A training on two ranks that is long enough to be interrupted: checkpoints at every fiftieth step."""
    return f"""
kind: training
corpus: text.txt
world_size: 2
n_layer: 1
n_embd: 32
n_head: 2
dropout: 0.1
vocab_size: 300
block_size: 32
batch_size: 8
max_steps: {max_steps}
warmup_steps: 2
log_every: 20
eval_every: 200
save_every: 50
"""
