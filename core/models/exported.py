"""A text classifier that Tailscope exported, for programs without Tailscope: torch, transformers and safetensors do.

from tailscope_model import load

model = load("folder")
model.predict(["Gold and platinum rose."])  # [[("gold", 0.93), ...]]
model.scores(["Gold and platinum rose."])  # (1, L) probabilities, in the order of model.labels
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

MOST_TOKENS, MOST_LETTERS = 65_536, 2_097_152
"""Of a text: what stands behind them is not read."""


class Classifier(nn.Module):
    """An encoder with the head that it was trained with.

    Attributes:
        labels: names of the columns, (L,).
        threshold: a label is given where its score is above it: one number, or one for each label.
        tokenizer: from text to token numbers.
    """

    def __init__(self, folder: str | Path) -> None:
        """Reads an exported folder."""
        super().__init__()
        settings = AutoConfig.from_pretrained(folder)
        self.settings, self.threshold = settings.tailscope, settings.threshold
        self.labels = [settings.id2label[column] for column in range(len(settings.id2label))]
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.whole = self.settings["class"] == "AutoModelForSequenceClassification"
        kind = AutoModelForSequenceClassification if self.whole else AutoModel
        self.encoder = kind.from_pretrained(folder, dtype=torch.float32)
        head = {} if self.whole else load_file(Path(folder) / "head.safetensors")
        self.head = nn.ParameterDict({name.replace(".", "_"): values for name, values in head.items()})
        self.eval()

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits (B, L) of token numbers (B, T), special ones included, and their mask (B, T)."""
        read = self.encoder(input_ids=input_ids, attention_mask=attention_mask)
        if self.whole:
            return read.logits
        states, mask = read.last_hidden_state, attention_mask
        # Each label reads the text with an attention of its own.
        if self.settings["pooling"] == "lwan":
            attention = torch.einsum("bth,lh->blt", states, self.head["queries"])
            attention = attention.masked_fill(~mask.bool().unsqueeze(1), -1e9).softmax(-1)
            return (attention * torch.einsum("bth,lh->blt", states, self.head["weights"])).sum(-1) + self.head["bias"]
        # One vector for all labels.
        if self.settings["pooling"] == "mean":
            shares = mask.to(states.dtype).unsqueeze(-1)
            vector = (states * shares).sum(1) / shares.sum(1).clamp(min=1)
        else:
            vector = read.pooler_output if self.settings["pooler"] else states[:, 0]
        return nn.functional.linear(vector, self.head["output_weight"], self.head["output_bias"])

    @torch.no_grad()
    def scores(self, texts: Sequence[str], batch_size: int = 32) -> Tensor:
        """Probabilities (n, L) of texts: of one that is read in windows the highest of theirs."""
        found = [torch.zeros(0, len(self.labels))]
        for start in range(0, len(texts), batch_size):
            pieces = [list(self._pieces(text)) for text in texts[start : start + batch_size]]
            flat = [piece for one in pieces for piece in one]
            parts = [flat[at : at + batch_size] for at in range(0, len(flat), batch_size)]
            logits = torch.cat([self(*self._padded(part)).cpu() for part in parts])
            highest = [of_text.amax(0) for of_text in logits.split([len(one) for one in pieces])]
            found.append(torch.stack(highest).sigmoid())
        return torch.cat(found)

    def predict(self, texts: Sequence[str]) -> list[list[tuple[str, float]]]:
        """The labels of each text with their scores, the surest first."""
        scores = self.scores(texts)
        above, order = scores > torch.as_tensor(self.threshold), scores.argsort(1, descending=True)
        return [
            [(self.labels[column], float(row[column])) for column in ranks.tolist() if given[column]]
            for row, given, ranks in zip(scores, above, order, strict=True)
        ]

    def _pieces(self, text: str) -> Iterator[list[int]]:
        """What is read of a text, special tokens included: its start, its start and end, or all of it in windows."""
        before, after, long = self.settings["before"], self.settings["after"], self.settings["long"]
        room = self.settings["max_length"] - len(before) - len(after)
        own = self._tokens(text, room if long == "head" else MOST_TOKENS)
        if len(own) <= room:
            parts = [own]
        elif long == "head-tail":
            tail = room // 2
            parts = [own[: room - tail] + own[-tail:]]
        else:
            parts = [own[start : start + room] for start in range(0, len(own), room)]
        yield from ([*before, *part, *after] for part in parts)

    def _tokens(self, text: str, most: int) -> list[int]:
        """The first `most` tokens of a text; of a long one no more letters are split than these need."""
        whole, letters = text[:MOST_LETTERS], 8 * most + 100
        while True:
            made = self.tokenizer(whole[:letters], add_special_tokens=False, verbose=False)
            owners = made.word_ids()
            if letters >= len(whole) or (owners and owners.index(owners[-1]) >= most):
                return made["input_ids"][:most]
            letters *= 16

    def _padded(self, pieces: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Token numbers (B, T) and mask (B, T), where the model is."""
        place = next(self.encoder.parameters()).device
        width = max(len(piece) for piece in pieces)
        ids = torch.tensor([piece + [self.settings["pad"]] * (width - len(piece)) for piece in pieces], device=place)
        lengths = torch.tensor([len(piece) for piece in pieces], device=place)
        return ids, torch.arange(width, device=place) < lengths[:, None]


def load(folder: str | Path) -> Classifier:
    """The classifier in an exported folder."""
    return Classifier(folder)
