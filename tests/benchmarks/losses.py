"""Seconds and memory of the losses: `python tests/benchmarks/losses.py [cpu|cuda] [--compiled]`.

Prints forward + backward, as ratios to `F.binary_cross_entropy_with_logits` on the same logits and float targets, and
the peak of memory beyond logits and targets, gradient included, in tensors (B, L). "composed" is the same loss as torch
operations that autograd takes apart, `LongTailLoss.compose`. For the label set of 670,091 it compares an output layer:
`LinearLoss` in blocks against nn.Linear and BCE; weights and gradients of the layer are not counted in its memory.
Times are the least of many, on a CPU with one thread unless OMP_NUM_THREADS says otherwise. The profiler chatters on
stderr.
"""

from __future__ import annotations

import copy
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.profiler import ProfilerActivity, profile

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from core.losses import LOSSES, LinearLoss, LongTailLoss, build_loss

DEVICE = "cuda" if "cuda" in sys.argv else "cpu"
HIDDEN = 64


def wait() -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def seconds(steps: dict[str, Callable[[], None]], least: float = 1.0) -> dict[str, float]:
    """The least seconds of each step, what it takes undisturbed; they take turns, on a busy machine as well.

    The first call of a turn does not count: it finds another step's memory in the cache.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
        step()
    began = time.perf_counter()
    while time.perf_counter() - began < least * len(steps) or len(times[next(iter(steps))]) < 5:
        for name, step in steps.items():
            step()
            for _ in range(4):
                wait()
                start = time.perf_counter()
                step()
                wait()
                times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def peak(step: Callable[[], None], leaves: list[Tensor]) -> float:
    """Bytes that a step allocates beyond what is there before it, at the highest; gradients are not there yet."""
    for leaf in leaves:
        leaf.grad = None
    if DEVICE == "cuda":
        wait()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        wait()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        step()
    allocations = [e for e in watched.profiler.kineto_results.events() if e.name() == "[memory]"]
    total = highest = 0
    for event in sorted(allocations, key=lambda e: e.start_ns()):
        total += event.nbytes()
        highest = max(highest, total)
    return highest


def problem(documents: int, size: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Counts of a long tail, and index pairs of about 12 labels a document (2 where there are few)."""
    torch.manual_seed(0)
    counts = (200_000 / torch.arange(1, size + 1) ** 0.9).long().clamp_min(2)
    each = 12 if size > 1000 else 2
    rows = torch.arange(documents).repeat_interleave(each)
    return counts, (rows.to(DEVICE), torch.randint(size, (len(rows),)).to(DEVICE))


def losses_alone(documents: int, size: int) -> None:
    counts, pairs = problem(documents, size)
    logits = (torch.randn(documents, size) - 4).to(DEVICE).requires_grad_()
    targets = torch.zeros(documents, size, device=DEVICE)
    targets[pairs] = 1.0
    whole = logits.numel() * 4

    def run(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            logits.grad = None
            loss().backward()

        return step

    plain = run(lambda: binary_cross_entropy_with_logits(logits, targets))
    steps = {"plain": plain}
    if "--compiled" in sys.argv:
        quick = torch.compile(lambda: binary_cross_entropy_with_logits(logits, targets))
        steps["compiled"] = run(quick)
    took = seconds(steps)
    base = f"BCE {took['plain'] * 1e3:.3f} ms, {peak(plain, [logits]) / whole:.1f} tensors"
    base += "".join(f"; compiled {seconds / took['plain']:.2f}x" for seconds in [*took.values()][1:])
    print(f"\n({documents}, {size}) on {DEVICE}: {base}")
    ways = ["dense", "pairs", "composed", *(["compiled"] if "--compiled" in sys.argv else [])]
    print(f"{'':16}" + "".join(f"{way + ' time':>15}{'memory':>8}" for way in ways))
    for name in LOSSES:
        loss = build_loss(name, counts, 214_897).to(DEVICE)
        steps = {
            "plain": plain,
            "dense": run(lambda: loss(logits, targets)),  # noqa: B023
            "pairs": run(lambda: loss(logits, pairs)),  # noqa: B023
        }
        if isinstance(loss, LongTailLoss):
            steps["composed"] = run(lambda: loss.compose(logits, targets) / logits.numel())  # noqa: B023
        if "compiled" in ways:
            torch.compiler.reset()
            fast = torch.compile(copy.deepcopy(loss))
            steps["compiled"] = run(lambda: fast(logits, targets))  # noqa: B023
        took = seconds(steps, 0.4)
        cells = (
            f"{took[way] / took['plain']:>14.2f}x{peak(steps[way], [logits]) / whole:>8.1f}" if way in steps else ""
            for way in ways
        )
        print(f"{name:16}" + "".join(f"{cell:>23}" for cell in cells), flush=True)


def output_layer(documents: int, size: int) -> None:
    counts, pairs = problem(documents, size)
    features = torch.randn(documents, HIDDEN, device=DEVICE)
    layer = LinearLoss(HIDDEN, build_loss("bce", counts, 214_897), device=DEVICE)
    parameters = [*layer.parameters()]
    gradients = sum(p.numel() * 4 for p in parameters)

    def run(loss: Callable[[], Tensor]) -> Callable[[], None]:
        def step() -> None:
            for parameter in parameters:
                parameter.grad = None
            loss().backward()

        return step

    def plain() -> Tensor:
        targets = torch.zeros(documents, size, device=DEVICE)
        targets[pairs] = 1.0
        return binary_cross_entropy_with_logits(layer.logits(features), targets)

    most = peak(run(plain), parameters) - gradients
    print(f"\n({documents}, {size}) on {DEVICE}, output layer: nn.Linear({HIDDEN}) and BCE, {most / 1e6:.0f} MB")
    print(f"{'':16}{'blocks time':>15}{'memory':>8}")
    for name in (name for name in LOSSES if LOSSES[name].group != "others"):
        loss: LongTailLoss = build_loss(name, counts, 214_897).to(DEVICE)
        layer.loss = loss
        blocked = run(lambda: layer(features, pairs))
        took = seconds({"plain": run(plain), "blocked": blocked}, 1.0)
        memory = (peak(blocked, parameters) - gradients) / most
        print(f"{name:16}{took['blocked'] / took['plain']:>14.2f}x{memory:>8.3f}", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    losses_alone(32, 90)
    losses_alone(32, 18_211)
    output_layer(64, 670_091)
