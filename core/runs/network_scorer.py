"""A trained network that reads tokens, ready for texts, and why it says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from core.config.defaults import MODELS
from core.config.schema import ModelConfig
from core.metrics import thresholds
from core.metrics.thresholds import Limits
from core.models.batches import Inputs, SparseInputs, TokenInputs
from core.models.networks import WIDE_SCALE, TextNetwork, Transformer, build_network
from core.models.tfidf_features import TfidfEncoder
from core.models.tokens import LONGEST, WORD, Subwords, Tokens, Words, load_encoder
from core.models.wide import FOLDER, WideInputs
from core.runs import tfidf_scorer
from core.runs.folder import Run
from core.runs.results import read_metrics
from core.runs.texts import TextScorer, check_texts, order_words
from core.system.arrays import PARSER_ERRORS, describe
from core.system.errors import UserError
from core.trainer.scoring import predict

STEPS = 32
"""Of the path from no text to the text, along which gradients are taken."""


@dataclass(frozen=True)
class NetworkScorer(TextScorer):
    """A trained network with its tokenizer.

    Attributes:
        labels: names, L of them.
        threshold: a label is given where its score is above it: one for all labels, or one each, (L,).
        shift: what is taken off each logit, (L,).
        wide: what the network's wide path reads; None where it has none.
    """

    network: TextNetwork
    encoder: Subwords | Words
    config: ModelConfig
    labels: tuple[str, ...]
    threshold: Limits
    shift: torch.Tensor
    wide: TfidfEncoder | None = None
    how = "Integrated gradients: what each word adds to the score before the sigmoid, beside a text of unknown words."

    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """Scores as the run's predictions hold them, (n, L) float64, computed in float32 on the CPU.

        Of a long text no more is split into tokens than the run reads.

        Raises:
            UserError: what is no list of strings.
        """
        if not (texts := check_texts(texts)):
            return np.zeros((0, len(self.labels)))
        batches = predict(self.network, self._inputs(texts), device="cpu", shift=self.shift)
        return np.concatenate(list(batches)).astype(np.float64)

    def contributions(self, text: str, label: int) -> pd.DataFrame:
        """What each word of a text adds to the logit of a label, beside a text of unknown words; the largest first.

        They sum to the difference of the two logits, but for the error of a sum over `STEPS` steps.

        Source: Sundararajan et al. 2017 (integrated gradients), as implemented by Captum.

        Returns:
            Columns word, value (how often it is there), weight (what one of them adds) and adds.
        """
        from captum.attr import LayerIntegratedGradients

        (text,) = check_texts([text])
        ids, mask, *owner = self._tokens([text]).tensors(np.array([0]), "cpu")
        fixed = torch.isin(ids, torch.tensor([*self.encoder.before, *self.encoder.after, self.encoder.pad]))
        unknown = getattr(getattr(self.encoder, "tokenizer", None), "unk_token_id", None)
        nothing = torch.where(fixed, ids, torch.full_like(ids, 1 if unknown is None else unknown))
        path = LayerIntegratedGradients(self._logits, self._vectors())
        self.network.eval()
        with torch.enable_grad():
            parts = path.attribute(
                ids,
                baselines=nothing,
                additional_forward_args=(mask, *owner, label),
                n_steps=STEPS,
                internal_batch_size=None,
            )
        adds = parts.sum(-1).detach().numpy()[(mask & ~fixed).numpy()]
        table = pd.DataFrame({"word": self._words(text, len(adds)), "adds": adds.astype(np.float64)})
        table = table[table["word"] != ""].groupby("word", sort=False)["adds"].agg(["size", "sum"]).reset_index()
        table = table.rename(columns={"size": "value", "sum": "adds"})
        if self.wide is not None:
            table = self._add_wide(table, text, label)
        table.insert(2, "weight", table["adds"] / table["value"])
        return order_words(table)

    def _add_wide(self, table: pd.DataFrame, text: str, label: int) -> pd.DataFrame:
        """A table of words, how often each is there and what they add, with what the wide path adds to it."""
        assert self.wide is not None
        assert self.network.wide is not None
        features = self.wide.encode([text])
        weights = self.network.wide.weight[:, label].detach().numpy()[features.indices]
        words, names = WORD.findall(text.lower()), self.wide.words
        found = [names[column] for column in features.indices]
        more = pd.DataFrame(
            {
                "word": found,
                "value": [max(1, words.count(word)) for word in found],
                "adds": (WIDE_SCALE * features.data * weights).astype(np.float64),
            }
        )
        return pd.concat([table, more]).groupby("word", sort=False).agg({"value": "max", "adds": "sum"}).reset_index()

    def _inputs(self, texts: Sequence[str]) -> Inputs:
        read = self._tokens(texts)
        return read if self.wide is None else WideInputs(read, SparseInputs(self.wide.encode(texts)))

    def _tokens(self, texts: Sequence[str]) -> TokenInputs:
        tokens = Tokens.of(self.encoder.encode(list(texts), self._most))
        return TokenInputs(tokens, self.encoder, np.arange(len(texts)), self.config.max_length, self.config.long)

    @property
    def _most(self) -> int:
        """Tokens of a text that are looked at: more than its start only where more is read."""
        return self.config.max_length if self.config.long == "head" else LONGEST

    def _logits(self, ids: torch.Tensor, mask: torch.Tensor, *more: Any) -> torch.Tensor:
        """Logits of one label for the text, or for its windows, repeated once for each step of the path."""
        *owner, label = more
        times = len(ids) // len(mask)
        if times > 1:  # Captum repeats what it interpolates and not the rest
            mask = mask.repeat(times, 1)
        logits = self.network(ids, mask)
        if not owner:
            return logits[:, label]
        return logits[:, label].view(-1, len(owner[0])).amax(1).repeat_interleave(len(owner[0])) / len(owner[0])

    def _vectors(self) -> nn.Module:
        body = self.network.body
        if isinstance(body, Transformer):
            return body.encoder.get_input_embeddings()
        return next(module for module in body.modules() if isinstance(module, nn.Embedding))

    def _words(self, text: str, tokens: int) -> list[str]:
        """The word that each of the read tokens belongs to; pieces of one word share it."""
        if isinstance(self.encoder, Words):
            words = WORD.findall(text.lower())
        else:
            text = self.encoder.cut(text, self._most)
            made = self.encoder.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
            owners, spans = made.word_ids(), made["offset_mapping"]
            ends: dict[int, tuple[int, int]] = {}
            for owner, (start, end) in zip(owners, spans, strict=True):
                first, _ = ends.get(owner, (start, end))
                ends[owner] = (first, end)
            words = [text[slice(*ends[owner])].lower() for owner in owners]
        if len(words) > tokens and self.config.long == "head-tail":
            tail = tokens // 2
            words = words[: tokens - tail] + words[-tail:]
        return [*words[:tokens], *[""] * (tokens - len(words))]


def load(run: Run) -> NetworkScorer | tfidf_scorer.Scorer | tfidf_scorer.TreeScorer:
    """The trained model of a finished run, of whatever it reads; `scorer.load` loads combined ones as well.

    Raises:
        UserError: the run has no weights, or they are damaged; it is a combined one.
    """
    if run.config.combined:
        raise UserError(f"{run.id} is combined of other runs: core.runs.scorer.load loads it with its members.")
    tfidf_scorer.check_weights(run)
    return _load(run) if MODELS[run.config.model.name].reads == "tokens" else tfidf_scorer.load(run)


def _load(run: Run) -> NetworkScorer:
    """A network that reads tokens, whose weights are there."""
    config, metrics = run.config.model, read_metrics(run)
    labels, counts = tuple(metrics["labels"]), np.array(metrics["counts"])
    documents = metrics["documents"]["train"]
    priors = torch.from_numpy(np.clip(counts, 0.5, documents - 0.5) / documents).float()
    try:
        encoder = load_encoder(config, run.path)
        wide = TfidfEncoder.load(run.path / FOLDER) if config.wide else None
        network = build_network(config, encoder.size, torch.zeros(len(labels)), folder=run.path)
        if wide:
            network.widen(len(wide.words), len(labels))
        network.load_state_dict(load_file(run.path / "model.safetensors"))
    except (*PARSER_ERRORS, UserError, SafetensorError) as error:
        words = describe(error)
        raise UserError(f"{run.id}: its weights are damaged ({words}). Delete the run and train it again.") from None
    shift = run.config.train.adjust * torch.logit(priors)
    threshold = thresholds.of_values(metrics["threshold"])
    return NetworkScorer(network.eval(), encoder, config, labels, threshold, shift, wide)
