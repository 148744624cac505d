"""A step of the packaged encoder on a CPU: `python -m tests.benchmarks.encoder_step [--tokens 64 128 256]`.

Batches of 32 documents, whose last tenth of tokens is padding, in bf16. Each row has the least of `--times` seconds of
what PyTorch and transformers do by themselves, of what `core.models.on_cpu` does instead, and of both in turn: the
attention of a layer, forward and backward; the mask of one dropout; forward and backward of the whole encoder.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModel

from core.models import on_cpu, tokens
from core.models.networks import Transformer

DOCUMENTS, PADDING = 32, 0.1
SHARE = 0.1
"""That is dropped out."""


def race(theirs: Callable[[], object], ours: Callable[[], object], times: int) -> str:
    """The least seconds of both, in turn, in milliseconds, and their ratio."""
    least = [float("inf")] * 2
    for _ in range(times + 1):
        for place, work in enumerate((theirs, ours)):
            began = time.perf_counter()
            work()
            least[place] = min(least[place], time.perf_counter() - began)
    return f"{1e3 * least[0]:8.1f} ms, ours {1e3 * least[1]:8.1f} ms, {least[1] / least[0]:.2f} times"


def mask_of(length: int) -> Tensor:
    """Which tokens may be read, (B, T)."""
    return (torch.arange(length) < (1 - PADDING) * length).expand(DOCUMENTS, -1)


def race_attention(length: int, heads: int, width: int, times: int) -> str:
    parts = [torch.randn(DOCUMENTS, length, heads, width, dtype=torch.bfloat16).requires_grad_() for _ in range(3)]
    slope = torch.randn(DOCUMENTS, length, heads, width, dtype=torch.bfloat16)
    seen = mask_of(length)[:, None, None, :].expand(-1, 1, length, -1)

    def theirs() -> None:
        query, key, value = (one.transpose(1, 2) for one in parts)
        read = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        read.transpose(1, 2).backward(slope)

    def ours() -> None:
        query, key, value = (one.transpose(1, 2) for one in parts)
        read, _ = on_cpu.attend(nn.Identity(), query, key, value, seen, is_causal=False)
        read.backward(slope)

    return race(theirs, ours, times)


def race_dropout(length: int, width: int, times: int) -> str:
    read, dropout = torch.randn(DOCUMENTS, length, width, dtype=torch.bfloat16), on_cpu.Dropout(SHARE).train()
    return race(lambda: functional.dropout(read, SHARE), lambda: dropout(read), times)


def race_steps(length: int, times: int) -> str:
    ids, mask = torch.randint(1000, 20_000, (DOCUMENTS, length)), mask_of(length).long()
    source = tokens.encoder_source(tokens.PACKAGED)
    settings = AutoConfig.from_pretrained(source, attention_probs_dropout_prob=0.0)
    plain = AutoModel.from_pretrained(source, config=settings, dtype=torch.float32, attn_implementation="sdpa")
    own = Transformer(source, tokens.PACKAGED, frozen=False, pooler=False)

    def step(network: nn.Module, read: Callable[[], Tensor]) -> None:
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            states = read()
        states[:, 0].float().square().mean().backward()

    plain.train()
    own.train()
    return race(
        lambda: step(plain, lambda: plain(input_ids=ids, attention_mask=mask).last_hidden_state),
        lambda: step(own, lambda: own(ids, mask)),
        times,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="A step of the packaged encoder on a CPU.")
    parser.add_argument("--tokens", nargs="+", type=int, default=[64, 128, 256])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=4)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(0)
    for length in asked.tokens:
        print(f"{length} tokens, attention of a layer   {race_attention(length, 12, 32, asked.times)}", flush=True)
        drop = race_dropout(length, 384, asked.times)
        print(f"{length} tokens, one dropout            {drop}", flush=True)
        print(f"{length} tokens, the whole encoder      {race_steps(length, asked.times)}", flush=True)


if __name__ == "__main__":
    main()
