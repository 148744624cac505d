"""What the form calls each setting, and what it says of it beside its name in code."""

from __future__ import annotations

from core.config.defaults import LOSS_NAMES, PAPER_LOSSES
from core.losses.presets import CONSTANTS, LOSSES

TITLES = {
    "train.epochs": "Epochs",
    "train.batch_size": "Batch size",
    "train.learning_rate": "Learning rate",
    "train.schedule": "Fall of the learning rate",
    "train.weight_decay": "Weight decay",
    "train.patience": "Patience",
    "train.device": "Device",
    "train.threshold": "Threshold",
    "train.metric": "Best epoch by",
    "train.optimizer": "Optimizer",
    "train.head_rate": "Faster learning of the head",
    "train.layer_decay": "Learning rate, layer to layer",
    "train.warmup": "Warm-up",
    "train.clip": "Largest gradient norm",
    "train.precision": "Arithmetic",
    "train.max_tokens": "Tokens at once",
    "train.compile": "Compile the network",
    "train.recompute": "Recompute to save memory",
    "train.resample": "Draw rare labels as often",
    "train.average": "Average of the weights",
    "train.skip_below": "Skip what is learnt",
    "train.adjust": "Logit adjustment afterwards",
    "train.processes": "Processes",
    "train.shard": "Split the weights (FSDP)",
    "train.checkpoint_minutes": "Checkpoint after minutes",
    "train.checkpoint_steps": "Checkpoint after steps",
    "model.vocabulary": "Vocabulary of",
    "model.max_features": "Words in the vocabulary",
    "model.min_df": "Fewest documents of a word",
    "model.bigrams": "Pairs of words as well",
    "model.C": "SVM: C",
    "model.prune": "SVM: smallest weight kept",
    "model.clusters": "Labels told apart at once",
    "model.depth": "Levels of the tree",
    "model.beam": "Beam",
    "model.max_labels": "Most labels written",
    "model.hidden": "Hidden units",
    "model.dropout": "Dropout",
    "model.attention_dropout": "Dropout of attention",
    "model.encoder": "Encoder",
    "model.pooling": "One vector from many tokens",
    "model.head": "Last layer",
    "model.max_length": "Tokens read of a text",
    "model.long": "Of longer texts read",
    "model.freeze": "Train the last layer alone",
    "model.frozen_layers": "Layers not trained",
    "model.bias": "Logits start at",
    "model.names": "Labels start at their names",
    "model.wide": "Add TF-IDF beside",
    "model.embedding": "Length of a word's vector",
    "model.filters": "Filters of each width",
    "loss.setting": "Constants chosen for",
} | {f"loss.{name}": f"${one.symbol}$ {one.word}" for name, one in CONSTANTS.items()}
"""The label of each setting in the form."""
MEANINGS = {
    "train.weight_decay": "How much weights are pulled towards 0 in every step; 0: not at all",
    "train.device": "auto: the first GPU where there is one, else the CPU",
    "model.bigrams": "Two words that follow each other are a feature of their own",
    "loss.setting": "reuters, pubmed: the paper's scale and mu for these sets; plain: scale 1, and mu from the data",
} | {f"loss.{name}": one.meaning.removesuffix(".") for name, one in CONSTANTS.items()}
"""What a setting does, where its description in `core.config.schema` is empty."""


def list_losses() -> str:
    """All losses with their full names in Markdown, those of the paper first."""
    groups = {
        "The paper's eight": PAPER_LOSSES,
        "Others": [name for name in LOSS_NAMES if name not in PAPER_LOSSES],
    }
    return "\n\n".join(
        f"**{title}**\n" + "\n".join(f"- {name}: {LOSSES[name].title}" for name in names)
        for title, names in groups.items()
    )
