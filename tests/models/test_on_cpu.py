import pytest
import torch
from torch import nn
from torch.nn import functional

from core.config.schema import ModelConfig
from core.models import on_cpu
from core.models.networks import Transformer
from core.models.tokens import encoder_source

SIZES = (3, 4, 24, 8)


def inputs(kind: torch.dtype) -> list[torch.Tensor]:
    """Query, key, value and the gradient of what is read, (B, heads, T, D)."""
    torch.manual_seed(0)
    return [torch.randn(SIZES).to(kind) for _ in range(4)]


def hide_the_end(least: int = 5) -> torch.Tensor:
    """A mask (B, 1, T, T) of documents of different lengths."""
    lengths = torch.tensor([SIZES[2], least, 2 * least])
    seen = torch.arange(SIZES[2]) < lengths[:, None]
    return seen[:, None, None, :].expand(-1, 1, SIZES[2], -1)


def exact_gradients(mask: torch.Tensor | None) -> list[torch.Tensor]:
    """What is read and three gradients, of bfloat16 numbers, in float64 by the definition."""
    query, key, value, slope = (one.double() for one in inputs(torch.bfloat16))
    parts = [one.requires_grad_() for one in (query, key, value)]
    products = parts[0] @ parts[1].transpose(-1, -2) / SIZES[3] ** 0.5
    if mask is not None:
        products = products.masked_fill(~mask, -torch.inf)
    read = products.softmax(-1) @ parts[2]
    read.backward(slope)
    return [read.detach(), *(one.grad for one in parts)]  # type: ignore[list-item]


def distance(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.double() - wanted).norm() / wanted.norm())


def of_kernel(attention, mask):
    """What a function reads under autocast, and its gradients."""
    *parts, slope = inputs(torch.bfloat16)
    parts = [one.requires_grad_() for one in parts]
    with torch.autocast("cpu", torch.bfloat16):
        read = attention(*parts, mask)
    assert read.dtype == torch.bfloat16
    read.backward(slope)
    return [read.detach(), *(one.grad for one in parts)]


@pytest.mark.parametrize("masked", [False, True])
def test_attention_with_gradients_is_nearer_to_the_exact_one_than_that_of_bfloat16(masked):
    mask = hide_the_end() if masked else None
    wanted = exact_gradients(mask)

    def ours(query, key, value, mask):
        return on_cpu.attend(nn.Identity(), query, key, value, mask, is_causal=False)[0].transpose(1, 2)

    def theirs(query, key, value, mask):
        return functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    found, plain = of_kernel(ours, mask), of_kernel(theirs, mask)
    for mine, other, exact in zip(found, plain, wanted, strict=True):
        assert distance(mine, exact) <= distance(other, exact) < 0.02
    for mine, exact in zip(found, wanted, strict=True):
        assert distance(mine, exact) < 0.003  # what rounding the result to bfloat16 leaves


def test_a_mask_of_numbers_hides_as_one_of_truths():
    query, key, value, _ = inputs(torch.bfloat16)
    seen = hide_the_end()
    numbers = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill(~seen, torch.finfo(torch.bfloat16).min)
    query.requires_grad_()
    by_truths, _ = on_cpu.attend(nn.Identity(), query, key, value, seen, is_causal=False)
    by_numbers, _ = on_cpu.attend(nn.Identity(), query, key, value, numbers, is_causal=False)
    assert torch.equal(by_truths, by_numbers)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_what_has_no_gradient_is_read_as_transformers_reads_it(kind):
    query, key, value, _ = inputs(kind)
    mask = hide_the_end()
    found, _ = on_cpu.attend(nn.Identity(), query, key, value, mask, is_causal=False)
    wanted = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2)
    assert torch.equal(found, wanted)


def test_an_encoder_reads_and_learns_as_with_attention_of_transformers(tiny_encoder):
    networks = []
    for name in (on_cpu.ATTENTION, "sdpa"):
        source = encoder_source(ModelConfig(name="transformer", encoder=str(tiny_encoder)).encoder)
        network = Transformer(source, "tiny", frozen=False, pooler=False)
        network.encoder.set_attn_implementation(name)
        networks.append(network.eval())
    ids, mask = torch.randint(1, 40, (5, 9)), torch.ones(5, 9, dtype=torch.long)
    mask[2, 4:] = mask[3, 1:] = 0
    read = [network(ids, mask) for network in networks]
    assert torch.equal(*read)
    for each in read:
        (each * mask.unsqueeze(-1)).square().sum().backward()
    for mine, other in zip(*(network.parameters() for network in networks), strict=True):
        assert (mine.grad is None) == (other.grad is None)
        assert mine.grad is None or torch.equal(mine.grad, other.grad)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.9])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_dropout_drops_its_share_and_keeps_the_mean_and_the_gradient(share, kind):
    torch.manual_seed(1)
    dropout, read = on_cpu.Dropout(share).train(), torch.ones(301, 999, dtype=kind, requires_grad=True)
    left = dropout(read)
    assert left.dtype == kind
    kept = left != 0
    deviation = (share * (1 - share) / read.numel()) ** 0.5
    assert abs(float(kept.float().mean()) - (1 - share)) < 5 * deviation + 1 / on_cpu.STEPS
    assert torch.allclose(left[kept].float(), torch.tensor(1 / (1 - share)), rtol=0.01)
    left.sum().backward()
    assert torch.equal(read.grad, left.detach())
    # Neighbours, whose bits come from one number, are dropped independently.
    flat = kept.flatten().float() - kept.float().mean()
    for step in (1, 2, 3, 4):
        together = float((flat[:-step] * flat[step:]).mean()) / (share * (1 - share))
        assert abs(together) < 5 / read.numel() ** 0.5


def test_dropout_draws_from_the_seed_and_rests_in_evaluation():
    read, dropout = torch.randn(7, 5), on_cpu.Dropout(0.5).train()
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        drawn.append(dropout(read))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert dropout.eval()(read) is read
    assert on_cpu.Dropout(0.0).train()(read) is read
    assert not on_cpu.Dropout(1.0).train()(read).any()


def test_every_dropout_of_an_encoder_is_the_fast_one_and_as_strong(tiny_encoder):
    source = encoder_source(ModelConfig(name="transformer", encoder=str(tiny_encoder)).encoder)
    encoder = Transformer(source, "tiny", frozen=False, pooler=False).train().encoder
    found = [module for module in encoder.modules() if isinstance(module, on_cpu.Dropout)]
    assert len(found) >= 2 * encoder.config.num_hidden_layers + 1
    assert {one.p for one in found} <= {encoder.config.hidden_dropout_prob, 0.0}
    assert all(one.training for one in found)
    assert not [module for module in encoder.modules() if type(module) is nn.Dropout]
