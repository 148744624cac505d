"""From token numbers to logits (B, L): bodies read documents, heads give each label a logit.

`Transformer` and `WordVectors` read tokens; `Convolutions`, `ConvolvedSequence`, `Recurrent` and `Pooled` read states;
`Linear`, `LabelWiseAttention` and `core.models.decoders` give logits. `build_network` joins them as a `TextNetwork`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from core.config.schema import ModelConfig
from core.models.decoders import SequenceDecoder
from core.models.tokens import encoder_source, unreachable

ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""What encoders call it: BERT and its kin, and DistilBERT and newer ones."""

WIDE_SCALE = 8.0
"""What features of the wide path are multiplied by: a document's have length 1 over some sixty words, and are then
about as large as what other layers read, so that one learning rate serves both."""


class Transformer(nn.Module):
    """A pretrained encoder's last hidden states, (B, T, H), or with `pooler` what its own pooler makes, (B, 1, H).

    Its attention drops out what `dropout` says, not what its authors chose: with any dropout PyTorch's scaled dot
    products have no fast form on a CPU. The lowest `frozen_layers` stay as they are, which spares their gradients: the
    embeddings are the first, and the last layer is always trained.

    Source: Devlin et al. 2019, as implemented by Hugging Face transformers.
    """

    def __init__(
        self,
        source: str,
        name: str,
        *,
        frozen: bool,
        pooler: bool,
        frozen_layers: int = 0,
        dropout: float = 0.0,
        pretrained: bool = True,
    ) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel

        from core.models import on_cpu

        options: dict[str, Any] = {"trust_remote_code": False, "attn_implementation": on_cpu.ATTENTION}
        options["dtype"] = torch.float32
        try:
            settings = AutoConfig.from_pretrained(source, trust_remote_code=False)
            for key in ATTENTION_DROPOUT:
                if hasattr(settings, key):
                    setattr(settings, key, dropout)
            if pretrained:
                self.encoder = AutoModel.from_pretrained(source, config=settings, use_safetensors=True, **options)
            else:
                self.encoder = AutoModel.from_config(settings, **options)
        except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
            raise unreachable(name, error) from None
        on_cpu.use_fast_dropout(self.encoder)
        self.pooler = pooler and getattr(self.encoder, "pooler", None) is not None
        if getattr(self.encoder, "pooler", None) is not None and not self.pooler:
            self.encoder.pooler = None  # what it computes is not read, and would never have a gradient
        # Frozen: the whole encoder, or its lowest layers; the last one is always trained.
        self.width = int(self.encoder.config.hidden_size)
        self.frozen = frozen
        if frozen:
            self.encoder.requires_grad_(False)
        for layer in self.layers()[:-1][:frozen_layers]:
            for parameter in layer:
                parameter.requires_grad_(False)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Hidden states of token numbers (B, T) and mask (B, T)."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            read = self.encoder(input_ids=ids, attention_mask=mask)
        return read.pooler_output.unsqueeze(1) if self.pooler else read.last_hidden_state

    def train(self, mode: bool = True) -> Transformer:
        """A frozen encoder drops nothing out."""
        return super().train(mode and not self.frozen)

    def layers(self) -> list[list[nn.Parameter]]:
        """Its parameters from the embeddings to the last layer."""
        found: dict[int, list[nn.Parameter]] = {}
        for name, parameter in self.encoder.named_parameters():
            numbers = [int(word) for word in name.split(".") if word.isdigit()]
            found.setdefault(numbers[0] + 1 if numbers else 0, []).append(parameter)
        return [found[place] for place in sorted(found)]


class WordVectors(nn.Module):
    """A vector for each word, learnt from scratch, (B, T, E); padding is zero."""

    def __init__(self, size: int, width: int, dropout: float) -> None:
        super().__init__()
        self.vectors = nn.Embedding(size, width, padding_idx=0)
        self.dropout = nn.Dropout(min(dropout, 0.2))
        self.width = width
        with torch.no_grad():
            self.vectors.weight.mul_(0.1)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors (B, T, E) of token numbers (B, T) and mask (B, T)."""
        return self.dropout(self.vectors(ids)) * mask.unsqueeze(-1)


class Convolutions(nn.Module):
    """Filters of several widths over the states of a document, the highest answer of each in each of `chunks` parts.

    The parts are parts of each document's own length, whatever it is padded to.

    Sources: Kim 2014 (TextCNN, one part); Liu et al. 2017 (XML-CNN, dynamic max pooling over several parts).
    """

    def __init__(self, width: int, filters: int, *, widths: tuple[int, ...], chunks: int = 1) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, size, padding=size // 2) for size in widths)
        self.chunks = chunks
        self.width = len(widths) * filters * chunks

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """The answers (B, width) of states (B, T, E) and mask (B, T)."""
        columns = states.transpose(1, 2)
        places = _parts(mask, self.chunks) if self.chunks > 1 else None
        found = []
        for convolution in self.convolutions:
            answers = torch.relu(convolution(columns))[..., : columns.shape[-1]]
            if places is None:
                highest = functional.adaptive_max_pool1d(answers * mask.unsqueeze(1), 1)
            else:
                read = places.flatten(1).unsqueeze(1).expand(-1, answers.shape[1], -1)
                highest = functional.max_pool1d(answers.gather(2, read), places.shape[2])
            found.append(highest.flatten(1))
        return torch.cat(found, dim=1)


def _parts(mask: Tensor, chunks: int) -> Tensor:
    """Places of the tokens in each of C parts of a document's own length, (B, C, W), from its mask (B, T).

    Part c of n tokens goes from floor(c n / C) to ceil((c + 1) n / C), as in adaptive pooling, so that a shorter
    document fills every part as well; a part of fewer than W tokens repeats its last.
    """
    lengths = mask.sum(1, keepdim=True).clamp(min=1)
    part = torch.arange(chunks, device=mask.device)
    first, last = part * lengths // chunks, ((part + 1) * lengths + chunks - 1) // chunks - 1
    widest = -(-mask.shape[1] // chunks) + 1
    return torch.minimum(first.unsqueeze(2) + torch.arange(widest, device=mask.device), last.unsqueeze(2))


class ConvolvedSequence(nn.Module):
    """Convolutions read by an LSTM, of which the highest state of each unit is kept, (B, width).

    Source: Chen et al. 2017 (CNN-RNN). Theirs writes labels one after the other; here each label has a logit of its
    own, so that every loss can train it.
    """

    def __init__(self, width: int, filters: int, hidden: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, filters, 3, padding=1)
        self.recurrent = nn.LSTM(filters, hidden, batch_first=True)
        self.width = hidden

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """The highest states (B, width) of states (B, T, E) and mask (B, T)."""
        answers = torch.relu(self.convolution(states.transpose(1, 2))).transpose(1, 2)
        sequence, _ = self.recurrent(answers * mask.unsqueeze(-1))
        return sequence.float().masked_fill(~mask.unsqueeze(-1), -1.0).amax(1)


class Recurrent(nn.Module):
    """A bidirectional GRU over the states of a document, (B, T, 2H)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.recurrent = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.width = 2 * hidden

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (B, T, 2H) of states (B, T, E) and mask (B, T), 0 where there is padding."""
        # Documents are read to their own end, so that padding does not change what stands before it.
        lengths = mask.sum(1).clamp(min=1)
        if states.device.type != "cpu":
            packed = nn.utils.rnn.pack_padded_sequence(states, lengths.cpu(), batch_first=True, enforce_sorted=False)
            unpacked, _ = self.recurrent(packed)
            return nn.utils.rnn.pad_packed_sequence(unpacked, batch_first=True, total_length=states.shape[1])[0]
        # On a CPU the gradient of a packed sequence takes time by the square of its length: each document is turned
        # around within its own length instead.
        place = torch.arange(states.shape[1], device=states.device)
        there = (place < lengths.unsqueeze(1)).unsqueeze(-1)
        turned = torch.where(there[..., 0], lengths.unsqueeze(1) - 1 - place, place).unsqueeze(-1)
        forwards = self._read(states, "l0")
        backwards = self._read(states.gather(1, turned.expand_as(states)), "l0_reverse")
        both = torch.cat([forwards, backwards.gather(1, turned.expand_as(backwards))], dim=-1)
        return both * there

    def _read(self, states: Tensor, direction: str) -> Tensor:
        """States (B, T, H) by the weights of one direction, from the first to the last."""
        weights = [
            getattr(self.recurrent, f"{kind}_{direction}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        start = states.new_zeros(1, len(states), self.recurrent.hidden_size)
        return torch.gru(states, start, weights, True, 1, 0.0, self.training, False, True)[0]


class Pooled(nn.Module):
    """The mean of a document's states, or its first one, (B, H)."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.width, self.kind = width, kind

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """A vector (B, H) of states (B, T, H) and mask (B, T)."""
        if self.kind == "cls":
            return states[:, 0]
        shares = mask.to(states.dtype).unsqueeze(-1)
        return (states * shares).sum(1) / shares.sum(1).clamp(min=1)


class Linear(nn.Module):
    """Logits from a document's vector: one linear layer, or one hidden layer before it.

    The bias starts at given logits, as in `TfidfNetwork`, and the weights small, so that training does not
    begin by unlearning.
    """

    def __init__(self, pool: nn.Module, start: Tensor, *, dropout: float, hidden: int = 0) -> None:
        super().__init__()
        self.pool, self.dropout = pool, nn.Dropout(dropout)
        self.hidden = nn.Linear(pool.width, hidden) if hidden else None  # type: ignore[arg-type]
        self.output = nn.Linear(hidden or pool.width, len(start))  # type: ignore[arg-type]
        nn.init.normal_(self.output.weight, std=0.02)
        with torch.no_grad():
            self.output.bias.copy_(start)

    def features(self, states: Tensor, mask: Tensor) -> Tensor:
        """What the output layer reads, (B, H)."""
        vector = self.pool(states, mask)
        if self.hidden is not None:
            vector = torch.relu(self.hidden(self.dropout(vector)))
        return self.dropout(vector)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, L) of states (B, T, H) and mask (B, T)."""
        return self.output(self.features(states, mask))


class LabelWiseAttention(nn.Module):
    """Each label reads the document with an attention of its own.

    Source: Mullenbach et al. 2018 (CAML), Chalkidis et al. 2019 (BIGRU-LWAN).
    """

    def __init__(self, width: int, start: Tensor, *, dropout: float) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.empty(len(start), width).normal_(std=0.02))
        self.weights = nn.Parameter(torch.empty(len(start), width).normal_(std=0.02))
        self.bias = nn.Parameter(start.clone())
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, L) of states (B, T, H) and mask (B, T)."""
        states = self.dropout(states)
        attention = torch.einsum("bth,lh->blt", states, self.queries.to(states.dtype))
        attention = attention.float().masked_fill(~mask.unsqueeze(1), -1e9).softmax(-1)
        answers = torch.einsum("bth,lh->blt", states, self.weights.to(states.dtype))
        return (attention * answers.float()).sum(-1) + self.bias


class TextNetwork(nn.Module):
    """A body and a head, and beside them a wide path: a linear layer on TF-IDF, whose logits are added to theirs.

    A document read in several windows gives one row for each; its logit is the highest of them.

    Source: Cheng et al. 2016 (wide and deep learning).

    Args:
        body: reads tokens.
        head: gives logits of what the body reads.
    """

    def __init__(self, body: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.body, self.head = body, head
        self.wide: nn.EmbeddingBag | None = None

    def widen(self, words: int, labels: int) -> None:
        """Adds a wide path, whose weights (words, labels) start at 0."""
        self.wide = nn.EmbeddingBag.from_pretrained(
            torch.zeros(words, labels), freeze=False, mode="sum", include_last_offset=True
        )

    def features(self, ids: Tensor, mask: Tensor) -> Tensor:
        """What the output layer reads, (B, H), of documents that are read in one piece."""
        return self.head.features(self.body(ids, mask), mask)  # type: ignore[operator]

    def forward(self, ids: Tensor, mask: Tensor, owner: Tensor | None = None, *features: Tensor) -> Tensor:
        """Logits (B, L) of token numbers (W, T), mask (W, T) and, where there are windows, their document (W,).

        Features are what the wide path reads, as `TfidfNetwork.forward` does; without them it adds nothing.
        """
        logits = self.head(self.body(ids, mask), mask)
        if owner is not None:
            documents = int(owner[-1]) + 1
            highest = logits.new_full((documents, logits.shape[1]), -torch.inf)
            logits = highest.scatter_reduce(0, owner.unsqueeze(1).expand_as(logits), logits, "amax")
        if self.wide is not None and features:
            columns, values, offsets = features
            logits = logits + self.wide(columns, offsets, per_sample_weights=WIDE_SCALE * values)
        return logits


def build_network(config: ModelConfig, size: int, start: Tensor, *, folder: Path | None = None) -> TextNetwork:
    """The network of a model that reads tokens, without a label graph or a wide path.

    Args:
        config: of any model but `svm` and `tfidf`.
        size: of the vocabulary.
        start: logits of the labels before training, (L,).
        folder: a trained run's, whose weights will be loaded: nothing pretrained is read.

    Raises:
        UserError: the pretrained encoder cannot be loaded.
    """
    # A pretrained encoder.
    if config.name == "transformer":
        source = str(folder / "encoder") if folder else encoder_source(config.encoder)
        encoder = Transformer(
            source,
            config.encoder,
            frozen=config.freeze,
            frozen_layers=config.frozen_layers,
            pooler=config.pooling == "cls",
            dropout=config.attention_dropout,
            pretrained=folder is None,
        )
        if config.pooling == "lwan":
            return TextNetwork(encoder, LabelWiseAttention(encoder.width, start, dropout=config.dropout))
        pool: nn.Module = Pooled(encoder.width, config.pooling)
        return TextNetwork(encoder, Linear(pool, start, dropout=config.dropout))
    # Word vectors learnt from scratch, and what reads them.
    body = WordVectors(size, config.embedding, config.dropout)
    if config.name in ("bigru-lwan", "encdec", "ocd"):
        recurrent = Recurrent(config.embedding, config.hidden)
        head: nn.Module = LabelWiseAttention(recurrent.width, start, dropout=config.dropout)
        if config.name != "bigru-lwan":
            sizes = {"hidden": config.hidden, "beam": config.beam, "most": config.max_labels}
            head = SequenceDecoder(recurrent.width, start, dropout=config.dropout, **sizes)
        return TextNetwork(Chain(body, recurrent), head)
    hidden = 0
    if config.name == "textcnn":
        pool = Convolutions(config.embedding, config.filters, widths=(3, 4, 5))
    elif config.name == "xml-cnn":
        pool, hidden = Convolutions(config.embedding, config.filters, widths=(2, 4, 8), chunks=8), config.hidden
    else:
        pool = ConvolvedSequence(config.embedding, config.filters, config.hidden)
    return TextNetwork(body, Linear(pool, start, dropout=config.dropout, hidden=hidden))


class Chain(nn.Module):
    """Two modules in sequence, both of which get the mask."""

    def __init__(self, first: nn.Module, second: nn.Module) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """States of token numbers (B, T) and mask (B, T)."""
        return self.second(self.first(ids, mask), mask)
