"""A linear layer of words and many labels: sparse gradients, steps of the rows of a batch's words alone, its memory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from core import losses
from core.config.defaults import PAPER_LOSSES
from core.config.schema import ModelConfig, RunConfig, TrainConfig
from core.data import sources
from core.jobs import worker
from core.models import tfidf
from core.models.batches import SparseInputs
from core.models.many_svms import Hyperplanes
from core.models.tfidf import PRUNED, TfidfNetwork, WordSums, sum_rows
from core.runs import folder, predictions, scorer
from core.runs.plan import make_config
from core.system.errors import UserError
from core.trainer import checkpoint as checkpoints
from core.trainer import optimizer as optimizers
from core.trainer import setup
from core.trainer.checkpoint import load_weights, read_checkpoint, separate_storage, write_checkpoint
from core.trainer.loop import train
from core.trainer.memory import check_memory_of_words, memory_free, memory_needed, memory_of_words
from core.trainer.optimizer import MANY_WEIGHTS, WORD_RATE, Batch, FactoredAdagrad, learns_by_words
from core.trainer.scoring import predict
from core.trainer.state import State
from tests.helpers.training import execute_until, outcome, prepare, same

N, V, L = 60, 30, 8
RNG = np.random.default_rng(0)
USED = V - 3
"""Words that any train document has."""
DRAWN = sp.random_array((N, USED), density=0.2, rng=RNG, format="csr", dtype=np.float32)
FEATURES = sp.csr_array((DRAWN.data, DRAWN.indices, DRAWN.indptr), shape=(N, V))
TARGETS = sp.csr_array(RNG.random((N, L)) < np.linspace(0.5, 0.1, L))
COUNTS = np.asarray(TARGETS.sum(0)).ravel().astype(int)
START = torch.logit(torch.from_numpy(COUNTS / N).float())


def network(*, by_words: bool = True, dropout: float = 0.0) -> TfidfNetwork:
    torch.manual_seed(0)
    return TfidfNetwork(V, START, ModelConfig(dropout=dropout), by_words=by_words)


def loss_of(name: str = "bce") -> losses.LongTailLoss:
    loss = losses.build_loss(name, COUNTS, N, setting="pubmed")
    assert isinstance(loss, losses.LongTailLoss)
    return loss


def weights(state: State) -> torch.Tensor:
    """Of words and labels."""
    assert isinstance(state.network, TfidfNetwork)
    return state.network.features.weight.detach()


def steps(
    state: State, config: TrainConfig, name: str = "bce", *, most: int = 1000, factor: float = 1.0
) -> list[float]:
    """The loss after each step, of at most so many."""
    found, plain = [], loss_of(name)

    def loss(logits: torch.Tensor, targets: Any) -> torch.Tensor:
        return factor * plain(logits, targets)

    for step in train(state, loss, SparseInputs(FEATURES), TARGETS, config=config, seed=0, device="cpu"):
        found.append(step.train_loss)
        state.unevaluated = None
        if len(found) == most:
            break
    return found


CONFIG = TrainConfig(epochs=4, batch_size=16)
KINDS = (
    "a label without documents",
    "one label in all",
    "all labels in every document",
    "all labels in one document",
    "labels alike",
    "documents without words",
)
"""What data can be like."""


@given(seed=st.integers(0, 10**6), documents=st.integers(1, 5), labels=st.integers(1, 4), parts=st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_the_sums_of_a_batch_are_those_of_the_dense_gradient(
    seed: int, documents: int, labels: int, parts: int
) -> None:
    rng = np.random.default_rng(seed)
    x = sp.csr_array(sp.random_array((documents, 7), density=0.3, rng=rng, format="csr", dtype=np.float32))
    pull = torch.from_numpy(rng.normal(size=(documents, labels)).astype(np.float32))
    dense = TfidfNetwork(7, torch.zeros(labels), ModelConfig())
    ours = TfidfNetwork(7, torch.zeros(labels), ModelConfig(), by_words=True)
    for rows in np.array_split(np.arange(documents), parts):
        for one in (dense, ours):
            logits = one(*SparseInputs(x).tensors(rows, "cpu"))
            assert not logits.any()
            (logits * pull[rows]).sum().backward()
    expected, of_bias = dense.features.weight.grad, dense.bias.grad
    assert expected is not None
    assert of_bias is not None
    assert isinstance(ours.features, WordSums)
    assert ours.features.weight.grad is None
    batch = Batch.join(ours.features.products)
    assert batch.words.tolist() == sorted(set(x.indices))  # each word of the batch once
    torch.testing.assert_close(batch.of_words, expected.square().sum(1)[batch.words], atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(batch.of_labels, expected.square().sum(0), atol=1e-4, rtol=1e-3)
    if len(batch.words):
        found = sum_rows(batch.slopes, batch.documents, batch.values, batch.offsets)
        torch.testing.assert_close(found, expected[batch.words])
    norm = FactoredAdagrad(ours, lr=1.0).measure_norm()
    squares = expected.square().sum() + of_bias.square().sum()
    assert norm == pytest.approx(float(squares.sqrt()), rel=1e-3)


def train_both(ours: TfidfNetwork, theirs: TfidfNetwork, x: sp.csr_array, rate: float) -> None:
    """Five steps on the same pulls: by words, and Adagrad's (Duchi et al. 2011) on dense gradients scaled to norm 1."""
    optimizer, rng = FactoredAdagrad(ours, lr=rate), torch.Generator().manual_seed(0)
    squares = [torch.zeros_like(parameter) for parameter in theirs.parameters()]
    for _ in range(5):
        pull = torch.randn(x.shape[0], len(ours.bias), generator=rng)
        optimizer.zero_grad()
        theirs.zero_grad()
        for one in (ours, theirs):
            (one(*SparseInputs(x).tensors(np.arange(x.shape[0]), "cpu")) * pull).sum().backward()
        norm = optimizer.measure_norm()
        optimizer.step()
        with torch.no_grad():
            for parameter, summed in zip(theirs.parameters(), squares, strict=True):
                assert parameter.grad is not None
                summed += (parameter.grad / norm).square()
                parameter.sub_(rate * parameter.grad / norm / summed.sqrt())


@pytest.mark.parametrize(("words", "labels"), [(1, 6), (6, 1), (1, 1)])
def test_with_one_word_or_one_label_it_is_adagrad(words: int, labels: int) -> None:
    x = sp.csr_array(np.random.default_rng(0).random((4, words), np.float32) + 0.1)
    ours, theirs = (TfidfNetwork(words, torch.zeros(labels), ModelConfig(), by_words=by) for by in (True, False))
    train_both(ours, theirs, x, rate=0.3)
    torch.testing.assert_close(ours.features.weight, theirs.features.weight, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(ours.bias, theirs.bias, atol=1e-4, rtol=1e-3)


def test_words_that_a_batch_lacks_do_not_move_and_its_own_decay() -> None:
    x = sp.csr_array((np.ones(2, np.float32), [1, 3], [0, 1, 2]), shape=(2, 5))
    moved = []
    for decay in (0.0, 0.1):
        one = TfidfNetwork(5, torch.zeros(3), ModelConfig(), by_words=True)
        torch.nn.init.ones_(one.features.weight)
        optimizer = FactoredAdagrad(one, lr=0.5, weight_decay=decay)
        one(*SparseInputs(x).tensors(np.arange(2), "cpu")).square().sum().backward()
        optimizer.measure_norm()
        optimizer.step()
        moved.append(one.features.weight.detach())
        assert torch.equal(moved[-1][[0, 2, 4]], torch.ones(3, 3))
    torch.testing.assert_close(moved[0][[1, 3]] - moved[1][[1, 3]], torch.full((2, 3), 0.05))


def test_a_step_without_gradient_changes_nothing() -> None:
    one = network()
    optimizer = FactoredAdagrad(one, lr=1.0)
    before = [parameter.detach().clone() for parameter in one.parameters()]
    empty = sp.csr_array((2, V), dtype=np.float32)
    for pull in (None, 0.0):
        optimizer.zero_grad()
        if pull is not None:
            (one(*SparseInputs(empty).tensors(np.arange(2), "cpu")) * pull).sum().backward()
        assert optimizer.measure_norm() == 0
        optimizer.step()
    for parameter, earlier in zip(one.parameters(), before, strict=True):
        assert torch.equal(parameter, earlier)
    # A batch of texts without known words moves the bias alone.
    optimizer.zero_grad()
    one(*SparseInputs(empty).tensors(np.arange(2), "cpu")).sum().backward()
    assert optimizer.measure_norm() > 0
    optimizer.step()
    assert not one.features.weight.any()
    assert not torch.equal(one.bias, before[1])


@pytest.mark.parametrize("name", PAPER_LOSSES)
def test_every_loss_of_the_paper_trains_and_words_never_seen_stay_zero(name: str) -> None:
    state = State.begin(network(), CONFIG, N)
    assert isinstance(state.optimizer, FactoredAdagrad)
    found = steps(state, CONFIG, name)
    assert found[-1] < found[3]  # mean of the last epoch, of the first
    weight = weights(state)
    assert torch.isfinite(weight).all()
    assert not weight[USED:].any()
    assert weight[:USED].abs().sum() > 0


@pytest.mark.parametrize("name", ["bce", "db", "cb-ntr"])
@pytest.mark.parametrize("kind", KINDS)
def test_labels_and_documents_of_every_kind_are_trained(name: str, kind: str) -> None:
    features, targets = FEATURES, TARGETS.toarray()
    if kind == "a label without documents":
        targets[:, 3] = False
    elif kind == "one label in all":
        targets = targets[:, :1]
    elif kind == "all labels in every document":
        targets[:] = True
    elif kind == "all labels in one document":
        targets[:] = False
        targets[7] = True
    elif kind == "labels alike":
        targets[:] = targets[:, :1]
    else:
        features = sp.csr_array(FEATURES.toarray() * (np.arange(N) % 3 > 0)[:, None].astype(np.float32))
    counts = targets.sum(axis=0)
    loss = losses.build_loss(name, counts, N, setting="pubmed", on_missing="mask")
    start = torch.logit(torch.from_numpy(counts.clip(0.5, N - 0.5) / N).float())
    one = TfidfNetwork(V, start, ModelConfig(), by_words=True)
    state = State.begin(one, CONFIG, N)
    for _ in train(state, loss, SparseInputs(features), sp.csr_array(targets), config=CONFIG, seed=0, device="cpu"):
        state.unevaluated = None
    assert all(parameter.isfinite().all() for parameter in one.parameters())
    scores = np.concatenate(list(predict(one, SparseInputs(features), device="cpu")))
    assert scores.shape == targets.shape
    if kind == "a label without documents":
        assert not one.features.weight[:, 3].any()
        assert (scores[:, 3] < 0.1).all()
    elif kind == "labels alike":
        np.testing.assert_allclose(scores, np.repeat(scores[:, :1], L, axis=1), atol=1e-5)
        assert scores[targets[:, 0], 0].mean() > scores[~targets[:, 0], 0].mean()
    elif kind == "all labels in every document":
        assert scores.min() > 0.9
    elif kind == "all labels in one document":
        assert (scores[7] > np.median(scores, axis=0)).all()


def test_a_loss_times_a_constant_trains_the_same_network() -> None:
    found = []
    for factor in (1.0, 1e-9, 1e6):
        state = State.begin(network(), CONFIG, N)
        steps(state, CONFIG, factor=factor)
        found.append(weights(state))
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, atol=1e-3, rtol=1e-3)


def test_a_label_that_is_hardly_ever_pulled_takes_no_step_longer_than_the_rate() -> None:
    one = TfidfNetwork(2, torch.zeros(3), ModelConfig(), by_words=True)
    optimizer = FactoredAdagrad(one, lr=0.1)
    x = SparseInputs(sp.csr_array(np.array([[1.0, 0.5]], np.float32)))
    (one(*x.tensors(np.arange(1), "cpu")) * torch.tensor([1.0, 1e-25, 0.0])).sum().backward()
    optimizer.measure_norm()
    optimizer.step()
    for parameter in one.parameters():
        assert parameter.isfinite().all()
        assert parameter.abs().max() <= 0.1 + 1e-6


def test_a_resumed_run_ends_bit_for_bit_where_it_would_have(tmp_path: Path) -> None:
    whole = State.begin(network(dropout=0.2), CONFIG, N)
    expected = steps(whole, CONFIG, "db")
    for stop in (3, 4, 6):
        begun = State.begin(network(dropout=0.2), CONFIG, N)
        steps(begun, CONFIG, "db", most=stop)
        write_checkpoint(tmp_path / str(stop), begun, {})
        resumed = State.begin(network(dropout=0.2), CONFIG, N)
        assert read_checkpoint(tmp_path / str(stop), resumed) == {}
        assert steps(resumed, CONFIG, "db") == expected[stop:]
        for one, other in zip(whole.network.parameters(), resumed.network.parameters(), strict=True):
            assert torch.equal(one, other)


def test_gradients_of_several_parts_are_summed_row_by_row() -> None:
    class Halved(SparseInputs):
        def parts(self, rows: np.ndarray, most: int) -> list[np.ndarray]:
            return [rows[: len(rows) // 2], rows[len(rows) // 2 :]]

    found = []
    for inputs in (SparseInputs(FEATURES), Halved(FEATURES)):
        state = State.begin(network(), CONFIG, N)
        for _ in train(state, loss_of(), inputs, TARGETS, config=CONFIG, seed=0, device="cpu"):
            state.unevaluated = None
        found.append(weights(state))
    torch.testing.assert_close(*found, atol=1e-4, rtol=1e-3)


def test_small_weights_are_left_out_of_what_is_kept_and_of_the_scores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tfidf, "WEIGHTS_AT_ONCE", 3 * V)
    one = network()
    torch.nn.init.normal_(one.features.weight, std=PRUNED)
    one.features.weight.data[2, 5], one.features.weight.data[:, 7] = PRUNED, 0.0
    before, bias = one.features.weight.detach().clone(), one.bias.detach().clone()
    kept = Hyperplanes.from_arrays(one.prune(tmp_path), V)
    expected = torch.where(before.abs() < PRUNED, 0.0, before)
    assert 0 < kept.weights.nnz < 0.5 * before.numel()
    assert expected[2, 5] == np.float32(PRUNED)
    np.testing.assert_array_equal(kept.weights.toarray(), expected)
    np.testing.assert_array_equal(kept.intercepts, bias)
    assert torch.equal(one.features.weight, expected)
    again = one.prune(tmp_path)
    assert list(tmp_path.iterdir()) == []
    one.drop_words()  # what was kept does not hang on it
    np.testing.assert_array_equal(Hyperplanes.from_arrays(again, V).weights.toarray(), expected)


def test_a_matrix_is_kept_whole_where_it_is_smaller_than_its_weights_with_their_places(tmp_path: Path) -> None:
    one = network()
    torch.nn.init.ones_(one.features.weight)
    one.features.weight.data[:, 0] = 0.5 * PRUNED
    assert one.prune(tmp_path) == {}
    assert not one.features.weight[:, 0].any()
    assert bool((one.features.weight[:, 1:] == 1).all())
    torch.nn.init.zeros_(one.features.weight)
    nothing = Hyperplanes.from_arrays(one.prune(tmp_path), V)
    assert nothing.weights.nnz == 0


def config(*changes: str, model: str = "tfidf") -> RunConfig:
    return make_config(data="synthetic", model=model, loss="bce", seed=0, changes=changes)


def test_which_runs_learn_by_words() -> None:
    many, few = (MANY_WEIGHTS // 90 + 1, 90), (MANY_WEIGHTS // 90, 90)
    assert learns_by_words(config(), *many)
    assert not learns_by_words(config(), *few)
    for other in ("model.hidden=8", "train.optimizer=adamw"):
        assert not learns_by_words(config(other), *many)
    assert not learns_by_words(config(model="textcnn"), *many)


def test_the_rate_falls_by_the_schedule_from_its_share() -> None:
    state = State.begin(network(), CONFIG, N)
    assert state.optimizer.param_groups[0]["lr"] == CONFIG.learning_rate * WORD_RATE
    steps(state, CONFIG)
    assert state.optimizer.param_groups[0]["lr"] == pytest.approx(0)


@pytest.mark.parametrize("labels", [3_680, 18_211])
def test_memory_that_will_not_suffice_is_said_with_the_words_that_would_fit(labels: int) -> None:
    free = 1_100_000_000 + 50_000 * 4 * labels
    with pytest.raises(UserError, match=r"100,000 words x .* model\.max_features=") as said:
        check_memory_of_words(config(), 100_000, 9_000, labels, free)
    fitting = int(str(said.value).rpartition("=")[2].rstrip("."))
    assert 40_000 < fitting < 80_000
    check_memory_of_words(config(), fitting, 9_000, labels, free)
    with pytest.raises(UserError, match="Memory will not suffice"):
        check_memory_of_words(config(), fitting + 10, 9_000, labels, free)
    with pytest.raises(UserError, match="tree"):
        check_memory_of_words(config(), 100_000, 9_000, labels, 1_000_000)


def test_what_a_run_holds_already_is_free_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Full)
    held = psutil.Process().memory_info().rss
    assert memory_free("cpu") == pytest.approx(held, rel=0.2)


def test_pubmed_whole_is_foretold_near_its_weights() -> None:
    needed = memory_of_words(config(), 100_000, 214_897, 18_211)
    assert 4 * 100_000 * 18_211 < needed < 1.2 * 4 * 100_000 * 18_211
    one = TfidfNetwork(100, torch.zeros(50), ModelConfig(), by_words=True)
    assert memory_needed(config(), one, 1000, 50) == memory_of_words(config(), 100, 1000, 50)


def test_tensors_that_share_memory_are_copied_and_others_are_not() -> None:
    first = torch.arange(4.0)
    found = separate_storage({"a": first, "b": first[2:], "c": torch.ones(2)})
    assert found["a"].data_ptr() == first.data_ptr()
    first[3] = 9
    assert found["b"].tolist() == [2.0, 3.0]


def test_weights_are_read_in_parts_and_those_of_another_network_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def made(width: int = 5) -> torch.nn.Module:
        return torch.nn.Sequential(
            torch.nn.Linear(7, width), torch.nn.BatchNorm1d(width)
        )  # it counts its batches, a scalar

    file, one = tmp_path / "best.safetensors", made()
    one[1].num_batches_tracked.add_(3)
    save_file(separate_storage(one.state_dict()), file)
    for at_once in (1, 20, 1 << 26):
        monkeypatch.setattr(checkpoints, "WEIGHTS_AT_ONCE", at_once)
        other = made()
        load_weights(other, file)
        for name, value in one.state_dict().items():
            assert torch.equal(other.state_dict()[name], value)
    for wrong in (made(4), torch.nn.Linear(7, 5)):
        with pytest.raises(ValueError, match=r"another network|shape"):
            load_weights(wrong, file)


def train_in_one_of_two_processes(rank: int, store: str, found: Any) -> None:
    """Trains by words beside another process, and keeps the weights."""
    torch.set_num_threads(1)
    os.environ["RANK"] = str(rank)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    state = State.begin(network(), CONFIG, N)
    steps(state, CONFIG, "db", most=4)
    found[rank] = weights(state).numpy()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_train_what_one_does(tmp_path: Path) -> None:
    context = torch.multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        found = manager.dict()
        processes = [
            context.Process(target=train_in_one_of_two_processes, args=(rank, str(tmp_path / "store"), found))
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        first, second = (found[rank] for rank in range(2))
    np.testing.assert_array_equal(first, second)
    state = State.begin(network(), CONFIG, N)
    steps(state, CONFIG, "db", most=4)
    np.testing.assert_allclose(first, weights(state).numpy(), atol=1e-4)


@pytest.mark.slow
def test_a_run_that_learns_by_words_is_stopped_resumed_scored_and_explained(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(optimizers, "MANY_WEIGHTS", 0)
    path = prepare("tfidf", ["model.dropout=0.3"])
    with caplog.at_level("INFO", "tailscope"):
        worker.execute(path)
    assert "a step moves the weights of its documents' words alone" in caplog.text
    undisturbed = outcome(path)
    monkeypatch.setenv("TAILSCOPE_CACHE", str(tmp_path / "again"))
    path = prepare("tfidf", ["model.dropout=0.3"], checkpoint_minutes=5.0)
    for step in (1, 7, 5):
        execute_until(path, step)
    worker.execute(path)
    same(outcome(path), undisturbed)
    run = folder.get_run(path.name)
    loaded, kept = scorer.load(run), predictions.read_predictions(run)
    texts = list(sources.load(run.config.data).texts(kept.rows[:3]))
    np.testing.assert_allclose(loaded.scores(texts), np.asarray(kept.scores[:3]), atol=2e-3)
    assert loaded.contributions(texts[0], 0)["adds"].abs().sum() > 0


@pytest.mark.slow
def test_a_run_without_the_memory_is_refused_before_its_weights_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizers, "MANY_WEIGHTS", 0)
    monkeypatch.setattr(setup, "memory_free", lambda _: 1000)
    monkeypatch.setattr(setup, "TfidfNetwork", None)  # none is made
    path = prepare("tfidf", [])
    with pytest.raises(UserError, match=r"Memory will not suffice: .* take model 'tree'"):
        worker.execute(path)
    (run,) = folder.list_folders()
    assert (run.state, run.kind) == ("failed", "refused")
