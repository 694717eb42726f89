"""What people write without papergen: `model.generate` prompt after prompt, or for all prompts in one padded batch.

papergen is not imported, so that a transformers of before version 5 can run it in a process of its own (`Elsewhere`):
diverse, constrained and contrastive search and DoLa left transformers for repositories on the Hub.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

Prompts = Sequence[Sequence[int]]


def loop(model: Any, prompts: Prompts, plain: Mapping[str, Any]) -> None:
    """One prompt after the other."""
    for prompt in prompts:
        ids = torch.tensor([prompt])
        model.generate(ids, attention_mask=torch.ones_like(ids), **plain)


def batch(model: Any, prompts: Prompts, plain: Mapping[str, Any]) -> None:
    """All prompts padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    model.generate(ids, attention_mask=mask, **plain)


WAYS: Mapping[str, Callable[[Any, Prompts, Mapping[str, Any]], None]] = {"loop": loop, "batch": batch}


class Elsewhere:
    """Another process with the transformers in `site`, which has the model of `folder` and runs what it is told."""

    def __init__(self, site: Path, folder: str, prompts: Prompts) -> None:
        command = [sys.executable, __file__, folder, str(torch.get_num_threads())]
        self._process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(site)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self._ask(prompts)

    def run(self, way: str, plain: Mapping[str, Any]) -> None:
        """`loop` or `batch`, to its end."""
        self._ask([way, plain])

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, what: Any) -> str:
        pipes = self._process.stdin, self._process.stdout
        assert None not in pipes, "both were asked for"
        print(json.dumps(what), file=pipes[0], flush=True)
        answer = "" if pipes[1] is None else pipes[1].readline().strip()
        if not answer:
            raise SystemExit(f"transformers elsewhere ended with {self._process.wait()}: see its message above.")
        return answer


def _serve(folder: str, num_threads: int) -> None:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(num_threads)
    model = transformers.GPT2LMHeadModel.from_pretrained(folder).eval()
    prompts = json.loads(sys.stdin.readline())
    print(transformers.__version__, flush=True)
    for line in sys.stdin:
        way, plain = json.loads(line)
        WAYS[way](model, prompts, plain)
        print("done", flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1], int(sys.argv[2]))
