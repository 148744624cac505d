"""The README's Python, run as it stands: every block of `Losses in your own code`, told apart by what it uses."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.config import ROOT
from core.losses import build_loss

COUNTS, DOCUMENTS, LABELS = [60, 30, 9, 2], 100, 4


def snippet(word: str) -> str:
    """The one block of Python that uses `word`."""
    section = (ROOT / "README.md").read_text("utf-8").partition("## Losses in your own code")[2].partition("\n## ")[0]
    (block,) = [block for block in re.findall(r"```python\n(.*?)```", section, re.DOTALL) if word in block]
    return str(block)


def run(word: str, **names: Any) -> dict[str, Any]:
    """Runs a block where `names` are known and returns all names after it."""
    known = {"counts": COUNTS, "documents": DOCUMENTS, **names}
    exec(compile(snippet(word), "README.md", "exec"), known)
    return known


def examples(size: int = 16) -> tuple[Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(size, 8), (torch.rand(size, LABELS) < 0.4).float()


def test_a_loop() -> None:
    features, targets = examples()
    model = nn.Linear(8, LABELS)
    loss = build_loss("db", COUNTS, DOCUMENTS)
    before = loss(model(features), targets).item()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    run("in loader", model=model, optimizer=optimizer, loader=[(features, targets)] * 20)
    assert loss(model(features), targets).item() < 0.5 * before


def test_trainer_of_transformers(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="transformers.Trainer needs accelerate")
    from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

    torch.manual_seed(0)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    model = BertForSequenceClassification(BertConfig(vocab_size=20, num_labels=LABELS, **sizes, **off))
    _, targets = examples(8)
    ids = torch.randint(20, (8, 5))
    dataset = [{"input_ids": words, "labels": row} for words, row in zip(ids, targets, strict=True)]
    expected = copy.deepcopy(model)
    step = torch.optim.SGD(expected.parameters(), lr=0.5)
    build_loss("db", COUNTS, DOCUMENTS)(expected(ids).logits, targets).backward()
    step.step()
    for batch in (8, 2):  # at once, and added up over four batches
        arguments = TrainingArguments(
            str(tmp_path),
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=8 // batch,
            max_steps=1,
            learning_rate=0.5,
            max_grad_norm=0.0,
            optim="sgd",
            lr_scheduler_type="constant",
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
        )
        trained = copy.deepcopy(model)
        run("compute_loss_func", model=trained, arguments=arguments, dataset=dataset, Trainer=Trainer)
        torch.testing.assert_close(trained.classifier.weight, expected.classifier.weight, rtol=1e-4, atol=1e-7)


def test_lightning(tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning", reason="Lightning is not installed")
    features, targets = examples()
    model = nn.Linear(8, LABELS)
    expected = copy.deepcopy(model)
    step = torch.optim.SGD(expected.parameters(), lr=1.0)
    build_loss("db", COUNTS, DOCUMENTS)(expected(features), targets).backward()
    step.step()

    class Trained(run("training_step", lightning=lightning)["Classifier"]):  # type: ignore[misc]
        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=1.0)

    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = lightning.Trainer(max_steps=1, accelerator="cpu", default_root_dir=tmp_path, **off)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(features, targets), batch_size=16)
    trainer.fit(Trained(model), loader)
    torch.testing.assert_close(model.weight, expected.weight)


def test_labels_in_blocks() -> None:
    torch.manual_seed(0)
    rows, labels = torch.tensor([0, 0, 3]), torch.tensor([1, 3, 0])
    known = run("LinearLoss(768", features=torch.randn(9, 768), rows=rows, labels=labels)
    assert known["scores"].shape == (8, LABELS)
    assert known["layer"].weight.grad.abs().sum() > 0


def test_mu_as_the_readme_chooses_it() -> None:
    _, targets = examples()
    rows, labels = targets.nonzero(as_tuple=True)
    loss = build_loss("db", targets.sum(0), len(targets), mu="auto", positives=(rows, labels))
    assert 0 < loss.mu <= 1  # type: ignore[union-attr,operator]
