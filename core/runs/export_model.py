"""A transformer run as a folder for programs without Tailscope."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from core.metrics import thresholds
from core.metrics.thresholds import Limits
from core.models import exported
from core.models.networks import Linear, Transformer
from core.runs.folder import Run
from core.runs.network_scorer import NetworkScorer, load
from core.runs.plan import check_trainable
from core.system.errors import UserError
from core.system.files import atomic_path

MODULE = "tailscope_model.py"
"""The module that reads an exported folder, which travels with it: `core.models.exported`."""
CARD = """---
library_name: transformers
pipeline_tag: text-classification
---

# {run}

A multi-label text classifier with {labels} labels: the encoder `{encoder}`, fine-tuned with the loss `{loss}` on the
data set `{data}` by Tailscope. `config.json` holds the names of the labels (`id2label`), the thresholds (`threshold`: a
label is given where its score is above it; rule {rule}, chosen on {chosen_on}) and how texts are read (`tailscope`).
The licence of the encoder holds for these weights too.

A text is read up to {max_length} tokens at once; of a longer one {long}. Scores are sigmoids of the logits.

## How to load it

{loading}
"""
LONG = {
    "head": "its start",
    "head-tail": "its start and its end",
    "window": "all of it, in windows: the highest logit of each label counts",
}
BY_MODULE = """```python
from {name} import load  # {module} lies in this folder: put it where Python finds it

model = load("this folder")
model.predict(["Gold and platinum rose."])  # names of labels with their scores
model.scores(["Gold and platinum rose."])  # (1, {labels}) probabilities
```"""
BY_CLASS = """```python
from transformers import pipeline

classify = pipeline("text-classification", model="this folder", top_k=None, truncation=True)
classify("Gold and platinum rose.")
```

`AutoModelForSequenceClassification.from_pretrained` loads the model itself. Both read the start of a text{but}.
`{module}` reads and decides as the run did:

"""
NO_CLASS = """The pooling `{pooling}` of this model has no class in transformers: `AutoModel` loads the encoder alone,
`head.safetensors` holds the rest. `AutoModelForSequenceClassification` and `pipeline` refuse this folder, as they would
put a random head on it. `{module}` needs torch, transformers and safetensors, and no code of Tailscope:

"""


def export(
    run: Run, folder: Path, *, limits: Limits | None = None, rule: str = "as-trained", chosen_on: str = "validation"
) -> str:
    """Writes a transformer run as a folder for plain transformers; labels and threshold stand in its config.

    With `model.pooling=cls` and an encoder whose class for sequences has the same head, a BERT or RoBERTa, it is a
    whole `AutoModelForSequenceClassification`, whose logits are the run's. Any other pooling has no such class: then
    `AutoModel` loads the encoder, `head.safetensors` holds the rest, and classes with a head of their own refuse it. A
    module and a model card come with each: they read texts as the run does, windows included.

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
    if run.config.model.wide:
        raise UserError(f"{run.id} has a wide path, which no transformer has: `python -m core export` writes a zip.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is not empty: name a folder that is new.")
    scorer = load(run)
    assert isinstance(scorer, NetworkScorer)
    body, head = scorer.network.body, scorer.network.head
    assert isinstance(body, Transformer)
    encoder: Any = body.encoder
    whole = _with_head(scorer, AutoModelForSequenceClassification)
    kind = "AutoModelForSequenceClassification" if whole is not None else "AutoModel"
    config, tokenizer = scorer.config, scorer.encoder.tokenizer  # type: ignore[union-attr]
    # What the config says of labels, thresholds and how a text is read.
    settings = (whole or encoder).config
    settings.id2label = dict(enumerate(scorer.labels))
    settings.label2id = {label: column for column, label in enumerate(scorer.labels)}
    settings.problem_type = "multi_label_classification"
    settings.threshold = thresholds.values_of(scorer.threshold if limits is None else limits)
    settings.tailscope = {
        "run": run.id,
        "class": kind,
        "pooling": config.pooling,
        "pooler": body.pooler,
        "max_length": config.max_length,
        "long": config.long,
        "before": list(scorer.encoder.before),
        "after": list(scorer.encoder.after),
        "pad": scorer.encoder.pad,
        "rule": rule,
        "chosen_on": chosen_on,
    }
    tokenizer.model_max_length = config.max_length
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        if whole is not None:
            whole.save_pretrained(temporary)
        else:
            refused = _refused(settings, AutoModelForSequenceClassification)
            encoder.save_pretrained(temporary, state_dict={**encoder.state_dict(), **refused})
            values = {name: value.detach().clone().contiguous() for name, value in head.state_dict().items()}
            bias = "output.bias" if isinstance(head, Linear) else "bias"
            save_file(values | {bias: values[bias] - scorer.shift}, temporary / "head.safetensors")
        tokenizer.save_pretrained(temporary)
        shutil.copyfile(exported.__file__, temporary / MODULE)
        (temporary / "README.md").write_text(_card(run, scorer, settings.tailscope), encoding="utf-8")
    return kind


def _with_head(scorer: NetworkScorer, kind: Any) -> Any:
    """A run's encoder and head in the class of transformers that computes the same; None where there is none."""
    body: Any = scorer.network.body
    head = scorer.network.head
    if not body.pooler or not isinstance(head, Linear):
        return None
    settings = type(body.encoder.config).from_dict(body.encoder.config.to_dict())
    settings.num_labels = len(scorer.labels)
    try:
        made = kind.from_config(settings)
    except ValueError:  # no class for sequences
        return None
    output = {"weight": head.output.weight, "bias": head.output.bias - scorer.shift}
    classifier: Any = getattr(made, "classifier", None)
    state = body.encoder.state_dict()
    if isinstance(classifier, nn.Linear) and classifier.weight.shape == head.output.weight.shape:
        made.base_model.load_state_dict(state)
        classifier.load_state_dict(output)
        return made
    # RoBERTa and its kin: the pooler is a part of the head.
    pooler = {name.removeprefix("pooler.dense."): values for name, values in state.items() if "pooler.dense." in name}
    if {name for name, _ in getattr(classifier, "named_children", list)()} != {"dense", "dropout", "out_proj"}:
        return None
    if settings.model_type not in ("roberta", "xlm-roberta", "camembert") or len(pooler) != 2:
        return None
    made.base_model.load_state_dict({name: values for name, values in state.items() if "pooler." not in name})
    classifier.dense.load_state_dict(pooler)
    classifier.out_proj.load_state_dict(output)
    return made


def _refused(settings: Any, kind: Any) -> dict[str, torch.Tensor]:
    """Tensors without a number under the names of a class's own head, which it therefore does not load.

    It would begin with a random head instead, and say so in a line that is easily missed.
    """
    try:
        with torch.device("meta"):
            made = kind.from_config(settings)
    except ValueError:
        return {}
    inside = f"{made.base_model_prefix}."
    return {name: torch.zeros(0) for name, _ in made.named_parameters() if not name.startswith(inside)}


def _card(run: Run, scorer: NetworkScorer, settings: dict[str, Any]) -> str:
    """The model card: what the model is, how it reads and decides, and how it is loaded."""
    names = {"module": MODULE, "name": MODULE.removesuffix(".py"), "labels": len(scorer.labels)}
    but = "" if scorer.config.long == "head" else f", where the run reads {LONG[scorer.config.long].split(':')[0]}"
    start = BY_CLASS if settings["class"] != "AutoModel" else NO_CLASS
    encoder = scorer.config.encoder
    loading = (start + BY_MODULE).format(but=but, pooling=scorer.config.pooling, **names)
    return CARD.format(
        run=run.id,
        labels=len(scorer.labels),
        encoder=Path(encoder).name if Path(encoder).is_dir() else encoder,  # no place on this machine
        loss=run.config.loss.name if run.config.loss else "",
        data=run.config.data.name,
        rule=f"`{settings['rule']}`",
        chosen_on=settings["chosen_on"],
        max_length=scorer.config.max_length,
        long=LONG[scorer.config.long],
        loading=loading,
    )
