"""What ended a run, in words."""

import errno

import pytest
import torch

from core.runs import failures, plan
from core.system import processes
from core.system.errors import Diverged, UserError

GB = 10**9


def config(model="tfidf", changes=()):
    return plan.make_config(
        data="synthetic", model=model, loss=None if model == "svm" else "db", seed=0, changes=changes
    )


@pytest.mark.parametrize(
    ("error", "kind", "word"),
    [
        (UserError("The label 'x' is missing. Add it."), "refused", "label 'x'"),
        (Diverged("The loss is not finite", epoch=2, step=7), "diverged", "epoch 2, step 7"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk", "disk is full"),
        (RuntimeError("SafetensorError: No space left on device"), "disk", "disk is full"),
        (MemoryError(), "memory", "Memory ran out"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 GiB"), "memory", "Memory ran out"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), "memory", "Memory ran out"),
        (RuntimeError("CUDA error: unspecified launch failure\nmore"), "gpu", "unspecified launch failure"),
        (KeyError("surprise"), "python", "KeyError: 'surprise'"),
    ],
)
def test_an_error_is_named_by_its_kind_and_says_what_to_do(error, kind, word, tmp_path):
    found = failures.of_error(error, config(), tmp_path)
    assert (found.kind, word in found.words) == (kind, True)
    assert "\n" not in found.words
    assert found.advice or kind == "refused"


def test_advice_names_settings_that_exist_and_are_smaller(tmp_path):
    advised = failures.of_error(Diverged("It", epoch=1, step=1), config(changes=["train.learning_rate=8"]), tmp_path)
    assert "train.learning_rate=2." in advised.advice
    for model, setting in (
        ("svm", "model.max_features"),
        ("tfidf", "train.batch_size"),
        ("textcnn", "model.max_length"),
    ):
        words = failures.smaller(config(model)).split()
        changes = [word.strip(",.") for word in words if word.startswith(setting)]
        smaller = config(model, changes)
        section, name = setting.split(".")
        assert 0 < getattr(getattr(smaller, section), name) < getattr(getattr(config(model), section), name)


def test_a_death_is_told_apart_by_the_start_of_the_machine_and_by_memory():
    here = processes.identity(1)
    assert "machine was started again" in failures.of_death({**here, "boot": "another"}, {}).words
    full = {"memory": 23.0 * GB, "of_memory": 24.0 * GB}
    assert "23.0 of 24.0 GB" in failures.of_death(here, full).words
    for process, beat in ((here, {"memory": 1.0, "of_memory": 24.0 * GB}), (None, {}), ("nonsense", {})):
        found = failures.of_death(process, beat)
        assert ("was killed, by a person" in found.words, "Resume" in found.advice) == (True, True)
