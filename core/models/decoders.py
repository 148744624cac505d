"""Decoders that write a document's labels one after another; what they read of a text is theirs to attend to.

`SequenceDecoder` is the head of a `TextNetwork`: trained by `write_loss` (each label in the order of the labels) or
`complete_loss` (in any order), it gives logits of the probability that each label is written at all. So thresholds,
pages and reports serve it as they serve the other models.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1, so that their logits are finite."""
LEFT = 1e-3
"""Writing ends where the sequences that go on have less probability than this."""


class SequenceDecoder(nn.Module):
    """A GRU that writes labels, reading a document's states by attention; each label is written at most once.

    Label l is number l and the end is number L, which also stands before the first label. Labels are sorted by their
    number of train documents, so that the order of their numbers is that of their frequency.

    Args:
        width: H of the states that it reads.
        start: logits of the labels before training, (L,); the first label is drawn by them at first.
        hidden: units of the GRU.
        dropout: share of its states left out in a step.
        beam: sequences that are followed at once where labels are scored.
        most: labels that a sequence has at most.

    Sources: Nam et al., NeurIPS 2017 (labels as a sequence, the most frequent first); Luong et al., EMNLP 2015
    (attention after the recurrent step).
    """

    def __init__(self, width: int, start: Tensor, *, hidden: int, dropout: float, beam: int, most: int) -> None:
        super().__init__()
        self.labels, self.beam, self.most = len(start), beam, most
        self.vectors = nn.Embedding(self.labels + 1, hidden)
        self.first = nn.Linear(2 * width, hidden)
        self.cell = nn.GRU(hidden, hidden, batch_first=True)
        self.query = nn.Linear(hidden, width, bias=False)
        self.joined = nn.Linear(hidden + width, hidden)
        self.output = nn.Linear(hidden, self.labels + 1)
        self.dropout = nn.Dropout(dropout)
        with torch.no_grad():
            self.vectors.weight.mul_(0.1)
            nn.init.normal_(self.output.weight, std=0.02)
            self.output.bias[: self.labels] = start
            self.output.bias[self.labels] = 0.0

    def features(self, states: Tensor, mask: Tensor) -> Tensor:
        """States (B, T, H) and their mask in one tensor, (B, T, H + 1): what the losses are computed from."""
        return torch.cat([states, mask.unsqueeze(-1).to(states.dtype)], dim=-1)

    def forward(self, states: Tensor, mask: Tensor) -> Tensor:
        """Logits (B, L) of the probability that a label is written, of states (B, T, H) and mask (B, T).

        A label's probability is summed over the sequences that a beam search follows, at whichever place it stands in
        them: what lies beyond the beam is missing, so that the sum is never too high.
        """
        states = states.float()
        rows, end = len(states), self.labels
        memory = self._start(states, mask)  # (1, B, U)
        # Of each sequence in the beam: its probability, its labels, the last one, and the state of the GRU.
        share = states.new_ones(rows, 1)
        written = torch.zeros(rows, 1, self.labels, dtype=torch.bool, device=states.device)
        last = torch.full((rows, 1), end, device=states.device)
        found = states.new_zeros(rows, self.labels)
        for _ in range(self.most):
            beam = last.shape[1]
            logits, memory = self._step(last.reshape(-1, 1), memory, states, mask, beam)
            logits = logits.reshape(rows, beam, end + 1)
            logits = logits.masked_fill(functional.pad(written, (0, 1)), -torch.inf)
            next_shares = share.unsqueeze(2) * logits.softmax(-1)[..., :end]  # (B, K, L): one label more
            found = found + next_shares.sum(1)
            # The beam of the next step: the most probable sequences that go on.
            share, chosen = next_shares.flatten(1).topk(min(self.beam, beam * end))
            if float(share.sum(1).max()) < LEFT:
                break
            origin, last = chosen // end, chosen % end
            written = written.gather(1, origin.unsqueeze(2).expand(-1, -1, end)).scatter(2, last.unsqueeze(2), True)
            memory = memory.reshape(rows, beam, -1).gather(1, origin.unsqueeze(2).expand(-1, -1, memory.shape[-1]))
            memory = memory.reshape(1, rows * last.shape[1], -1)
        return torch.logit(found.clamp(LEAST, 1 - LEAST))

    def write_loss(self, features: Tensor, targets: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Cross-entropy of writing a document's labels in their order and then the end, the mean of its steps and of B.

        Args:
            features: of `features`, (B, T, H + 1).
            targets: (B, L), or the index pairs of the ones.
        """
        states, mask = features[..., :-1], features[..., -1] > 0
        wanted, there = self.sequences(targets, len(states))
        before = functional.pad(wanted[:, :-1], (1, 0), value=self.labels)
        answers, _ = self._read(self.vectors(before), self._start(states, mask), states, mask)
        logits = self.output(answers).float()
        # What is written already is no choice.
        gone = functional.one_hot(before, self.labels + 1).cumsum(1).bool()
        gone[..., self.labels] = False
        logits = logits.masked_fill(gone, -torch.inf)
        steps = functional.cross_entropy(logits.transpose(1, 2), wanted, reduction="none")
        return ((steps * there).sum(1) / there.sum(1)).mean()

    def complete_loss(self, features: Tensor, targets: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Optimal completion distillation for sets: the decoder writes by itself, and learns at each step what is best.

        After any sequence of its own the best that can follow is any of the true labels that are still missing, each as
        good as the others, and the end where none is. So no order of labels is taught, and the decoder meets its own
        mistakes while it is trained.

        Args:
            features: of `features`, (B, T, H + 1).
            targets: (B, L), or the index pairs of the ones.

        Sources: Sabour et al., ICLR 2019; for sets of labels Tsai & Lee, AAAI 2020.
        """
        states, mask = features[..., :-1], features[..., -1] > 0
        end, rows = self.labels, len(states)
        missing = self._dense(targets, rows)  # true labels not yet written
        steps = min(int(missing.sum(1).max()) + 1, self.most + 1)
        written = torch.zeros_like(missing)
        memory, last = self._start(states, mask), torch.full((rows, 1), end, device=states.device)
        goes_on = torch.ones(rows, dtype=torch.bool, device=states.device)
        total, counted = states.new_zeros(rows), states.new_zeros(rows)
        for _ in range(steps):
            logits, memory = self._step(last, memory, states, mask, 1)
            logits = logits.masked_fill(functional.pad(written, (0, 1)), -torch.inf)
            left = missing.sum(1, keepdim=True)
            best = torch.cat([missing / left.clamp(min=1), (left == 0).to(logits.dtype)], dim=1)
            losses = -(best * logits.log_softmax(-1).masked_fill(best == 0, 0.0)).sum(1)
            total, counted = total + losses * goes_on, counted + goes_on
            # The decoder's own next label, drawn by its probabilities.
            last = torch.multinomial(logits.detach().softmax(-1), 1)
            is_label = last < end
            place = last.clamp(max=end - 1)
            written = written.scatter(1, place, written.gather(1, place) | is_label)
            missing = missing & ~written
            goes_on = goes_on & is_label.squeeze(1)
        return (total / counted).mean()

    def sequences(self, targets: Tensor | tuple[Tensor, Tensor], rows: int) -> tuple[Tensor, Tensor]:
        """Of B documents their labels in order, the end after them and as padding, (B, S), and which places count."""
        documents, columns = targets if isinstance(targets, tuple) else targets.nonzero(as_tuple=True)
        order = torch.argsort(documents * self.labels + columns)
        documents, columns = documents[order], columns[order]
        sizes = torch.bincount(documents, minlength=rows)
        place = torch.arange(len(documents), device=documents.device) - (sizes.cumsum(0) - sizes)[documents]
        wanted = torch.full((rows, int(sizes.max()) + 1), self.labels, device=documents.device)
        wanted[documents, place] = columns
        return wanted, torch.arange(wanted.shape[1], device=documents.device) <= sizes.unsqueeze(1)

    def _dense(self, targets: Tensor | tuple[Tensor, Tensor], rows: int) -> Tensor:
        """Targets as a matrix, (B, L) bool."""
        if not isinstance(targets, tuple):
            return targets > 0
        dense = torch.zeros(rows, self.labels, dtype=torch.bool, device=targets[0].device)
        dense[targets] = True
        return dense

    def _start(self, states: Tensor, mask: Tensor) -> Tensor:
        """State of the GRU before the first label, (1, B, U): from mean and highest values of the document's states."""
        shares = mask.to(states.dtype).unsqueeze(-1)
        mean = (states * shares).sum(1) / shares.sum(1).clamp(min=1)
        highest = states.masked_fill(~mask.unsqueeze(-1), -1.0).amax(1)
        return torch.tanh(self.first(torch.cat([mean, highest], dim=-1))).unsqueeze(0)

    def _step(self, last: Tensor, memory: Tensor, states: Tensor, mask: Tensor, beam: int) -> tuple[Tensor, Tensor]:
        """Logits (B x K, L + 1) of what follows the last labels (B x K, 1), and the state of the GRU after them."""
        answers, memory = self._read(self.vectors(last), memory, states, mask, beam)
        return self.output(answers.squeeze(1)).float(), memory

    def _read(
        self, inputs: Tensor, memory: Tensor, states: Tensor, mask: Tensor, beam: int = 1
    ) -> tuple[Tensor, Tensor]:
        """What the output layer reads, (B x K, S, U), after vectors (B x K, S, U), and the last state of the GRU."""
        steps, memory = self.cell(inputs, memory)
        # The K sequences of a document attend to the same states.
        queries = self.query(steps).reshape(len(states), beam * steps.shape[1], -1)
        marks = torch.bmm(queries, states.transpose(1, 2)).masked_fill(~mask.unsqueeze(1), -1e9)
        context = torch.bmm(marks.softmax(-1), states).reshape(len(steps), steps.shape[1], -1)
        return self.dropout(torch.tanh(self.joined(torch.cat([steps, context], dim=-1)))), memory
