"""Why a run ended without a result, in words, and what to do next."""

from __future__ import annotations

import errno
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config.defaults import MODELS
from core.config.schema import RunConfig, TrainConfig
from core.system.arrays import check_tensors
from core.system.errors import Diverged, UserError
from core.system.files import read_json
from core.system.processes import boot_id

NEARLY_ALL = 0.8
"""Share of the machine's memory from which on a process that was killed has most likely been killed for it."""


@dataclass(frozen=True)
class Failure:
    """What went wrong.

    Attributes:
        kind: `refused` (bad input), `diverged`, `memory`, `disk`, `gpu`, `python` (an error of the program), `killed`.
        words: what happened, whole sentences.
        advice: what to do next; empty where the words say it.
    """

    kind: str
    words: str
    advice: str = ""


def of_error(error: BaseException, config: RunConfig, path: Path) -> Failure:
    """What an error of a run means to a person.

    Args:
        error: what ended it.
        config: the run's settings.
        path: its folder.
    """
    said = str(error)
    if isinstance(error, Diverged):
        usual = MODELS[config.model.name].train.get("learning_rate", TrainConfig().learning_rate)
        rate = float(f"{min(usual, config.train.learning_rate / 4):.2g}")
        return Failure(
            "diverged", said, f"Going on would meet it again: start a new run with train.learning_rate={rate:g}."
        )
    if isinstance(error, UserError):
        return Failure("refused", said)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "No space left on device" in said:  # safetensors has an error of its own
        free = shutil.disk_usage(path).free / 1e6
        words = f"The disk is full ({free:.1f} MB free at {path.parent})."
        return Failure("disk", words, f"Make room, then resume the run: {_describe_checkpoint(path)}.")
    if isinstance(error, MemoryError) or "out of memory" in said.lower() or "can't allocate memory" in said:
        return Failure("memory", "Memory ran out.", smaller(config))
    if "CUDA" in said or "NCCL" in said or "NVML" in said:
        advice = "See whether nvidia-smi answers, then resume the run; train.device=cpu does without a GPU."
        return Failure("gpu", f"The GPU or its driver failed: {said.splitlines()[0]}.", advice)
    return Failure("python", f"{type(error).__name__}: {said or 'no words'}", "The traceback is in log.txt.")


def _describe_checkpoint(path: Path) -> str:
    """Where a run goes on, by the newest checkpoint whose files are whole."""
    for folder in sorted((path / "checkpoint").glob("[0-9]*-[0-9]*"), reverse=True):
        try:
            read_json(folder / "state.json")
            check_tensors(folder / "state.safetensors")
        except (UserError, ValueError):
            continue
        return "its last checkpoint is whole"
    return "it has no whole checkpoint, and starts from its first step"


def smaller(config: RunConfig) -> str:
    """Settings of about half the memory, in words."""
    if MODELS[config.model.name].at_once:
        words = f"Start a new run with model.max_features={max(1, config.model.max_features // 2)}"
        return f"{words}, or for thousands of labels with a model.prune above {config.model.prune:g}."
    half = max(1, config.train.batch_size // 2)
    if config.model.name == "tfidf":
        layer = "for thousands of labels model.hidden=512 and train.learning_rate=0.3"
        hidden = "a smaller model.hidden" if config.model.hidden else layer
        return f"Start a new run with train.batch_size={half}, with a smaller model.max_features or {hidden}."
    length = max(8, config.model.max_length // 2)
    return f"Start a new run with train.batch_size={half}, model.max_length={length} or train.recompute=true."


def of_death(process: Any, beat: dict[str, float], config: RunConfig | None = None) -> Failure:
    """What is known of a worker that ended without writing a status.

    Args:
        process: its `core.system.processes.identity`, or nonsense.
        beat: its last heartbeat; may be empty.
        config: the run's settings, where they can be read.
    """
    advice = "Resume the run: it goes on from its last checkpoint, or starts anew if it has none."
    less = "A smaller train.batch_size takes less."
    if config and MODELS[config.model.name].at_once:
        advice = f"Resume the run: it starts anew, for model '{config.model.name}' keeps no checkpoint."
        less = "A higher model.prune or a smaller model.max_features takes less."
    if isinstance(process, dict) and process.get("boot") not in (None, boot_id()):
        return Failure("killed", "The machine was started again while the run was at work.", advice)
    used, there = beat.get("memory", 0.0), beat.get("of_memory", 0.0)
    if there and used > NEARLY_ALL * there:
        words = f"Its worker was killed, most likely for its memory: it held {used / 1e9:.1f} of {there / 1e9:.1f} GB."
        return Failure("killed", words, f"{advice} {less}")
    return Failure("killed", "Its worker process was killed, by a person or by the system when memory ran out.", advice)


def of_job(said: str, *, reached: bool = True) -> Failure:
    """What is known of a run whose job on a cluster has ended, and which has written no end.

    Args:
        said: by the cluster, on how the job ended; may be empty.
        reached: whether the cluster had the job at all.
    """
    advice = "Resume the run: it goes on from its last checkpoint, or starts anew if it has none."
    if not reached:
        return Failure("killed", "It never reached its cluster: who submitted it was ended meanwhile.", advice)
    words = "Its job has ended on the cluster without a word of the run: it was killed, or its node sees another cache."
    return Failure("killed", f"{words} The cluster says: {said}" if said else words, advice)
