"""A transformer run as a folder for plain transformers."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from core.metrics import thresholds
from core.metrics.thresholds import Limits
from core.models.networks import Linear, Transformer
from core.runs.folder import Run
from core.runs.network_scorer import load
from core.runs.plan import check_trainable
from core.system.errors import UserError
from core.system.files import atomic_path


def export(
    run: Run, folder: Path, *, limits: Limits | None = None, rule: str = "as-trained", chosen_on: str = "validation"
) -> str:
    """Writes a transformer run as a folder for plain transformers; labels and threshold stand in its config.

    With `model.pooling=cls` and a BERT it is a whole `AutoModelForSequenceClassification`, whose logits are the run's.
    Any other pooling has no such class: then `AutoModel` loads the encoder, and `head.safetensors` holds the rest.

    Args:
        run: a finished run.
        folder: which is new or empty.
        limits: the thresholds, one for all labels or one each, (L,); those of its training where there are none here.
        rule: how they were found, which the config says.
        chosen_on: the part by which they were chosen, validation, test or unknown, which the config says as well.

    Returns:
        The class that loads it.

    Raises:
        UserError: the run is no transformer, its weights are damaged, or the folder holds something already.
    """
    from transformers import AutoModelForSequenceClassification

    check_trainable(run.config, f"{run.id} has no model: it")
    if run.config.model.name != "transformer":
        raise UserError(f"{run.id} is no transformer: `python -m core export` writes any run as a zip.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty: name a folder that is new.")
    scorer = load(run)
    body, head = scorer.network.body, scorer.network.head
    assert isinstance(body, Transformer)
    settings = body.encoder.config
    settings.id2label = dict(enumerate(scorer.labels))
    settings.label2id = {label: column for column, label in enumerate(scorer.labels)}
    settings.problem_type = "multi_label_classification"
    settings.threshold = thresholds.values_of(scorer.threshold if limits is None else limits)
    settings.tailscope = {
        "run": run.id,
        "pooling": scorer.config.pooling,
        "max_length": scorer.config.max_length,
        "rule": rule,
        "chosen_on": chosen_on,
    }
    whole = None
    if body.pooler and isinstance(head, Linear):
        made = AutoModelForSequenceClassification.from_config(settings)
        classifier = getattr(made, "classifier", None)
        if isinstance(classifier, nn.Linear) and classifier.weight.shape == head.output.weight.shape:
            made.base_model.load_state_dict(body.encoder.state_dict())
            classifier.load_state_dict({"weight": head.output.weight, "bias": head.output.bias - scorer.shift})
            whole = made
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        (whole or body.encoder).save_pretrained(temporary)
        scorer.encoder.tokenizer.save_pretrained(temporary)  # type: ignore[union-attr]
        if whole is None:
            save_file(
                {name: value.contiguous() for name, value in head.state_dict().items()}, temporary / "head.safetensors"
            )
    return "AutoModelForSequenceClassification" if whole else "AutoModel"
