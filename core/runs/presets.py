"""Plans to start from, by name."""

from __future__ import annotations

from typing import Any

QUICK_NAME = "fine-tune quick"
QUICK: dict[str, Any] = {"model.max_length": 80, "model.frozen_layers": 3, "train.batch_size": 16}
"""What makes the training of an encoder quick, at the cost of scores on the tail."""

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "quick look": (
        "SVM, and two losses on TF-IDF for five epochs: a first table within a minute or two.",
        {"models": ("svm", "tfidf"), "losses": ("bce", "db"), "settings": {"train.epochs": 5}},
    ),
    "losses side by side": (
        "SVM and the paper's eight losses on TF-IDF, three seeds: what the losses change, and what is chance.",
        {"models": ("svm", "tfidf"), "losses": ("paper",), "seeds": (0, 1, 2)},
    ),
    "paper setting": (
        "The paper's training on Reuters: BERT, 512 tokens, batches of 32, AdamW at 1e-4, at most 40 epochs. It needs "
        "a network for the encoder, and a GPU to end in hours.",
        {
            "models": ("svm", "transformer"),
            "losses": ("paper",),
            "settings": {
                "model.encoder": "bert-base-uncased",
                "model.pooling": "cls",
                "model.attention_dropout": 0.1,
                "model.frozen_layers": 0,
                "model.max_length": 512,
                "train.batch_size": 32,
                "train.learning_rate": 1e-4,
                "train.head_rate": 1.0,
                "train.weight_decay": 0.01,
                "train.epochs": 40,
                "train.patience": 5,
                "train.threshold": "paper",
            },
        },
    ),
    "many labels": (
        "Thousands of labels: TF-IDF with the losses' settings for PubMed; the best epoch is that of the tail.",
        {
            "models": ("tfidf",),
            "losses": ("bce", "cb", "db"),
            "settings": {"loss.setting": "pubmed", "train.metric": "tail_macro_f1", "train.batch_size": 128},
        },
    ),
    "pubmed table": (
        "The paper's right-hand table on a set of thousands of labels such as pubmed-sample: SVM, label tree, and the "
        "eight losses on TF-IDF with their settings for PubMed, three seeds. A minute a run, five of SVM. Losses other "
        "than bce are better at a third of the rate: train.learning_rate=0.8.",
        {
            "models": ("svm", "tree", "tfidf"),
            "losses": ("paper",),
            "seeds": (0, 1, 2),
            "settings": {
                "loss.setting": "pubmed",
                "model.bias": "loss",
                "train.epochs": 5,
                "train.patience": 2,
            },
        },
    ),
    "fine-tune": (
        "The packaged encoder fine-tuned with its defaults, with and without balancing: all layers, 256 tokens, six "
        "epochs. Half an hour a run on two cores with bf16, more than an hour on others.",
        {"models": ("transformer",), "losses": ("bce", "db")},
    ),
    QUICK_NAME: (
        "The same for slow machines: 80 tokens of a document, the three lowest layers as they are.",
        {"models": ("transformer",), "losses": ("bce", "db"), "settings": QUICK},
    ),
}
"""By name: what it is for, and what of a `Plan` it sets besides the data."""
