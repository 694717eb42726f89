"""Checkpoints that a killed run resumes from, bitwise: written in the background, whole or not at all.

    <folder>/step-00000040/rank-0.pt   a rank's random states, curve and shards; what is equal on all ranks with rank 0
    <folder>/LATEST                    name of the newest checkpoint that all ranks have finished

Each checkpoint has a new name and LATEST is renamed into place, so there is always one to go back to. One that cannot
be read lies in <folder>-damaged/ from then on.
"""

from __future__ import annotations

import contextlib
import io
import random
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from papergen.core.errors import PapergenError
from papergen.core.files import write_atomic
from papergen.ml.distributed import Ranks

LATEST = "LATEST"
"""Name of the file that names the newest whole checkpoint."""


class DamagedError(Exception):
    """A checkpoint's file is missing or holds no checkpoint: what is wrong with it."""


class Checkpoints:
    """One rank's view of a run's checkpoints; the folder must be shared by all ranks."""

    def __init__(
        self,
        folder: Path,
        ranks: Ranks,
        *,
        owner: str,
        timeout_s: float,
        draws_on_all_gpus: bool = False,
        attempt: str = "",
        may_write: Callable[[], bool] = lambda: True,
        note: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`draws_on_all_gpus`: this process draws random numbers on every GPU, not on its own alone (DataParallel).

        The `attempt` is part of the checkpoints' names, so that none is ever made of two attempts' files; one that may
        no longer write leaves alone what another has made. `note` is told, in one line, when a checkpoint is damaged.
        """
        self._suffix = f".{attempt}" if attempt else ""
        self._may_write = may_write
        self._note = note
        self._draws_on_all_gpus = draws_on_all_gpus
        self._folder = folder
        self._ranks = ranks
        self._owner = owner
        self._timeout_s = timeout_s
        self._writer: threading.Thread | None = None
        self._fault: BaseException | None = None

    def save(self, step: int, *, own: Mapping[str, Any], shared: Mapping[str, Any]) -> None:
        """Copy the state now and write it in the background; waits for the checkpoint before, raises what it raised.

        `own` is what this rank has to itself; `shared`, equal on all ranks, is kept once.
        """
        self.wait()
        content: dict[str, Any] = {"owner": self._owner, "step": step, "random": self._random_state()}
        content |= {"own": copied(own), "shared": copied(shared) if self._ranks.is_main else None}
        self._writer = threading.Thread(target=self._write, args=(step, content), name="checkpoint", daemon=True)
        self._writer.start()

    def wait(self) -> None:
        """Wait for the checkpoint under way; raises what went wrong with it."""
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise fault

    def load(self) -> tuple[int, Mapping[str, Any], Mapping[str, Any]] | None:
        """Step, own and shared state of the newest whole checkpoint, random states restored; None when there is none.

        One that some rank cannot read is set aside by all: a checkpoint only saves time, and the run without it is the
        same. PapergenError when the checkpoint belongs to other settings, another seed or another world size:
        continuing it would be no run at all; or when the system does not let it be read, which may pass.
        """
        while True:
            name = self._ranks.from_main(self._newest() if self._ranks.is_main else None)
            if not name:
                return None
            damage = ""
            try:
                own = self._read(name, self._ranks.rank)
                shared = own if self._ranks.is_main else self._read(name, 0)
            except DamagedError as error:
                damage = str(error)
            faults = [fault for fault in self._ranks.gathered(damage) if fault]
            if not faults:
                break
            self._check()
            if self._ranks.is_main:
                self._set_aside(name, faults[0])
            self._ranks.barrier()
        if self._ranks.is_main:
            # A checkpoint that was cut short may hold some ranks' files, which must not count for the next attempt.
            self._drop(lambda path: path.name != name)
        set_random_state(own["random"], self._ranks)
        if self._draws_on_all_gpus:
            torch.cuda.set_rng_state_all(own["random"]["all_gpus"])
        return int(own["step"]), own["own"], shared["shared"]

    def remove(self) -> None:
        """Forget all checkpoints: those of an older run before the first step, one's own when the run is complete."""
        self.wait()
        self._check()
        self._ranks.barrier()
        if self._ranks.is_main:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._ranks.barrier()

    def _random_state(self) -> dict[str, Any]:
        all_gpus = {"all_gpus": torch.cuda.get_rng_state_all()} if self._draws_on_all_gpus else {}
        return random_state(self._ranks) | all_gpus

    def _newest(self) -> str:
        try:
            return (self._folder / LATEST).read_text().strip()
        except FileNotFoundError:
            return ""

    def _read(self, name: str, rank: int) -> dict[str, Any]:
        path = self._folder / name / f"rank-{rank}.pt"
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            owner = state["owner"]
        except FileNotFoundError as error:
            raise DamagedError(f"{path.name} is missing") from error
        except (OSError, MemoryError) as error:
            raise PapergenError(
                f"{path}: this checkpoint cannot be read ({error}).",
                hint=f"Run the same command again, or remove {self._folder} to train from the start.",
            ) from error
        except Exception as error:
            raise DamagedError(f"{path.name}: {type(error).__name__}") from error
        if owner != self._owner:
            raise PapergenError(
                f"{path}: this checkpoint is of a run with other settings, data, seed or number of ranks.",
                hint=f"Remove {self._folder} to train from the start.",
            )
        return state

    def _set_aside(self, name: str, damage: str) -> None:
        """Move a damaged checkpoint out of the way; the newest older one that has all its files is LATEST now."""
        target = self._folder.with_name(f"{self._folder.name}-damaged") / f"{name}-{time.time_ns():x}"
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # not even its folder is there
            (self._folder / name).rename(target)
        older = [
            path.name
            for path in self._folder.glob("step-*")
            if path.name < name and all(file.exists() for file in self._files(path))
        ]
        if older:
            write_atomic(self._folder / LATEST, max(older) + "\n")
        else:
            (self._folder / LATEST).unlink()
        then = f"going on from {max(older)}" if older else "training from the start"
        self._note(f"the checkpoint {name} cannot be read ({damage}): set aside as {target}, {then}")

    def _write(self, step: int, content: dict[str, Any]) -> None:
        try:
            self._check()
            place = self._folder / f"step-{step:08d}{self._suffix}"
            buffer = io.BytesIO()
            torch.save(content, buffer)
            write_atomic(place / f"rank-{self._ranks.rank}.pt", buffer.getvalue())
            if self._ranks.is_main:
                self._publish(place)
        except BaseException as error:  # noqa: BLE001 - raised again in the training thread, by wait()
            self._fault = error

    def _publish(self, place: Path) -> None:
        """Name the checkpoint the newest once every rank's file stands (each appears by rename, so whole)."""
        files = self._files(place)
        deadline = time.monotonic() + self._timeout_s
        while not all(path.exists() for path in files):
            if time.monotonic() > deadline:
                return  # A rank is gone; the run will end for that reason, and LATEST names the checkpoint before.
            time.sleep(0.02)
        self._check()
        write_atomic(self._folder / LATEST, place.name + "\n")
        self._drop(lambda path: path.name < place.name)

    def _files(self, place: Path) -> list[Path]:
        return [place / f"rank-{rank}.pt" for rank in range(self._ranks.world_size)]

    def _check(self) -> None:
        if not self._may_write():
            raise PapergenError("another attempt at this trial goes on from its checkpoints; this one gives up")

    def _drop(self, is_unwanted: Callable[[Path], bool]) -> None:
        for path in sorted(self._folder.glob("step-*")):
            if is_unwanted(path):
                shutil.rmtree(path, ignore_errors=True)


def random_state(ranks: Ranks) -> dict[str, Any]:
    """The state of every generator that training may draw from on this rank."""
    numpy_state: Any = np.random.get_state(legacy=False)
    state: dict[str, Any] = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": torch.from_numpy(numpy_state["state"]["key"].copy()),
        "numpy_rest": [
            numpy_state["state"]["pos"],
            numpy_state["has_gauss"],
            numpy_state["gauss"],
        ],
    }
    if ranks.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(ranks.device)
    return state


def set_random_state(state: Mapping[str, Any], ranks: Ranks) -> None:
    """Set the generators as `random_state` found them."""
    torch.set_rng_state(state["torch"])
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words), gauss))
    position, has_gauss, cached = state["numpy_rest"]
    np.random.set_state(("MT19937", state["numpy"].numpy(), position, has_gauss, cached))
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], ranks.device)


def copied(value: Any) -> Any:
    """A copy whose tensors lie on the CPU and no longer change with training."""
    return _mapped(value, lambda tensor: tensor.detach().to("cpu", copy=True))


def _mapped(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_mapped(item, change) for item in value)
    return value
