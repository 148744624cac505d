"""The tree of labels and the SVMs of many labels: laws, borders, and what bad input does to them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from core.metrics import kept_scores
from core.models import label_tree, many_svms
from core.models.label_tree import Tree, describe_labels, grow_tree, plan_tree, score_tree, split_labels
from core.models.many_svms import Hyperplanes, fit_tasks, foretell_memory, join, plan_labels
from core.system import processes
from core.system.places import ROOT
from tests.helpers.runs import until

TOPICS, EACH = 12, 8


def documents(labels=TOPICS, each=EACH, noise=6, seed=0):
    """Documents of one topic each: two words of their own, and words that all share; the targets are the topics."""
    rng = np.random.default_rng(seed)
    topic = np.repeat(np.arange(labels), each)
    own = np.zeros((len(topic), 2 * labels), np.float32)
    own[np.arange(len(topic)), 2 * topic] = 1
    own[np.arange(len(topic)), 2 * topic + 1] = rng.random(len(topic))
    dense = np.hstack([own, 0.3 * rng.random((len(topic), noise)).astype(np.float32)])
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    return sp.csr_array(dense), sp.csr_array(np.eye(labels, dtype=bool)[topic])


def fitted(features, targets, *, clusters=4, depth=10, prune=0.0, processes=1, seed=0):
    tree = grow_tree(features, targets, clusters=clusters, depth=depth, seed=seed)
    tasks = plan_tree(tree, features, targets)
    return tree, join(fit_tasks(features, tasks, C=1.0, prune=prune, seed=seed, processes=processes), features.shape[1])


def scored(features, targets, wanted=None, *, beam=10, **options):
    tree, planes = fitted(features, targets, **options)
    wanted = features if wanted is None else wanted
    batches = score_tree(tree, planes, wanted, labels=targets.shape[1], beam=beam)
    return sp.vstack(list(batches), format="csr").toarray()


@pytest.mark.parametrize(("clusters", "depth"), [(2, 10), (4, 10), (4, 1), (5, 0), (100, 10)])
def test_a_tree_tells_topics_apart_whatever_its_shape(clusters, depth):
    features, targets = documents()
    scores = scored(features, targets, clusters=clusters, depth=depth)
    np.testing.assert_array_equal(scores.argmax(axis=1), np.repeat(np.arange(TOPICS), EACH))
    assert 0 <= scores.min() <= scores.max() <= 1


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_every_label_with_a_document_is_one_leaf_and_a_node_has_few_children(data):
    labels, clusters = data.draw(st.integers(1, 40)), data.draw(st.integers(2, 9))
    depth = data.draw(st.integers(0, 4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    targets = sp.csr_array(rng.random((20, labels)) < data.draw(st.sampled_from([0.02, 0.2, 1.0])))
    features = sp.csr_array((rng.random((20, 7)) < 0.3).astype(np.float32))
    tree = grow_tree(features, targets, clusters=clusters, depth=depth, seed=0)
    tree.check(labels)
    found = tree.labels[tree.labels >= 0]
    np.testing.assert_array_equal(np.sort(found), np.flatnonzero(targets.sum(axis=0)))
    for label in found:
        path = tree.path(label)
        assert tree.labels[path[-1]] == label
        assert [tree.parents[node] for node in path] == [-1, *path[:-1]]
        assert len(path) <= depth + 1
    levels = np.zeros(len(tree.parents) + 1, int)  # the last is the root's, -1
    for node, parent in enumerate(tree.parents):
        levels[node] = levels[parent] + 1
    for node in range(-1, len(tree.parents)):
        children = tree.children(node)
        assert children.stop - children.start <= clusters or levels[node] == depth


def test_a_label_has_the_product_along_its_path():
    features, targets = documents()
    tree, planes = fitted(features, targets, clusters=3)
    (batch,) = score_tree(tree, planes, features, labels=TOPICS, beam=100)
    margins = features @ planes.weights.toarray() + planes.intercepts
    for label in range(TOPICS):
        expected = np.prod([1 / (1 + np.exp(-3 * margins[:, node])) for node in tree.path(label)], axis=0)
        np.testing.assert_allclose(batch.toarray()[:, label], expected, rtol=1e-4)


def test_documents_are_scored_some_at_a_time_more_of_short_ones(monkeypatch):
    features, targets = documents()
    tree, planes = fitted(features, targets)
    (whole,) = score_tree(tree, planes, features, labels=TOPICS, beam=3)
    words = features.nnz // features.shape[0]
    monkeypatch.setattr(label_tree, "DOCUMENTS_AT_ONCE", 7)
    for short, most, size in ((words, 50, 7), (2 * words, 50, 14), (9 * words, 50, 50)):
        monkeypatch.setattr(label_tree, "SHORT", short)
        monkeypatch.setattr(label_tree, "MOST_AT_ONCE", most)
        batches = list(score_tree(tree, planes, features, labels=TOPICS, beam=3))
        assert {batch.shape[0] for batch in batches[:-1]} == {size}
        np.testing.assert_array_equal(sp.vstack(batches).toarray(), whole.toarray())


def test_a_narrow_beam_keeps_the_scores_of_what_it_reaches():
    features, targets = documents()
    tree = Tree(np.repeat([-1, 0, 1, 2, 3], [4, 3, 3, 3, 3]).astype(np.int32), np.append([-1] * 4, np.arange(TOPICS)))
    tasks = plan_tree(tree, features, targets)
    planes = join(fit_tasks(features, tasks, C=1.0, prune=0.0, seed=0, processes=1), features.shape[1])
    for beam in (1, 2, 3):
        found = [
            next(iter(score_tree(tree, planes, features, labels=TOPICS, beam=one))).toarray() for one in (100, beam)
        ]
        reached = found[1] > 0
        np.testing.assert_allclose(found[1][reached], found[0][reached], rtol=1e-6)
        np.testing.assert_array_equal(reached.sum(axis=1), 3 * beam)
        np.testing.assert_array_equal(found[1].argmax(axis=1), found[0].argmax(axis=1))


def test_a_seed_gives_the_same_tree_and_another_one_may_not():
    features, targets = documents(30, 4)
    first, again = (fitted(features, targets, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first[0].labels, again[0].labels)
    np.testing.assert_array_equal(first[1].weights.toarray(), again[1].weights.toarray())
    others = [grow_tree(features, targets, clusters=4, depth=10, seed=seed).labels.tolist() for seed in range(4)]
    assert any(other != first[0].labels.tolist() for other in others)


@pytest.mark.slow
def test_several_processes_fit_the_numbers_of_one(monkeypatch):
    monkeypatch.setattr(many_svms, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(many_svms, "ENTRIES_AT_ONCE", 2000)
    features, targets = documents()
    one, two = (fitted(features, targets, processes=processes)[1] for processes in (1, 2))
    np.testing.assert_array_equal(one.weights.toarray(), two.weights.toarray())
    np.testing.assert_array_equal(one.intercepts, two.intercepts)


KILLED = """
import numpy as np, scipy.sparse as sp
from core.models import label_tree, many_svms
many_svms.WORTH_PROCESSES, many_svms.ENTRIES_AT_ONCE = 0, 10_000
rng = np.random.default_rng(0)
x, y = sp.csr_array(rng.random((300, 40))), sp.csr_array(rng.random((300, 9_000)) < 0.1)
for _ in many_svms.fit_tasks(x, many_svms.plan_labels(x, y), C=1.0, prune=0.0, seed=0, processes=2):
    print("fitted", flush=True)
"""


@pytest.mark.slow
def test_the_processes_end_when_the_one_that_started_them_is_killed(tmp_path):
    environment = {**os.environ, processes.RUN_VARIABLE: str(tmp_path.resolve()), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, "-c", KILLED], env=environment, stdout=subprocess.PIPE) as killed:
        assert killed.stdout.readline() == b"fitted\n"
        assert len(list(processes.processes_of(tmp_path))) > 2
        killed.kill()
    until(lambda: not list(processes.processes_of(tmp_path)), 60)


# What data can be like.


def test_a_label_without_documents_is_not_in_the_tree_and_scores_0():
    features, targets = documents()
    wider = sp.csr_array(sp.hstack([targets, sp.csr_array((targets.shape[0], 2), dtype=bool)], format="csr"))
    tree, _ = fitted(features, wider)
    assert tree.path(TOPICS) == tree.path(TOPICS + 1) == []
    scores = scored(features, wider)
    np.testing.assert_array_equal(scores[:, TOPICS:], 0)
    np.testing.assert_array_equal(scores[:, :TOPICS], scored(features, targets))


@pytest.mark.parametrize("clusters", [2, 100])
def test_one_label_in_all(clusters):
    features, _ = documents()
    some = sp.csr_array((np.arange(features.shape[0]) % 3 == 0)[:, None])
    assert scored(features, some, clusters=clusters).shape == (features.shape[0], 1)
    everywhere = sp.csr_array(np.ones((features.shape[0], 1), bool))
    np.testing.assert_allclose(scored(features, everywhere, clusters=clusters), 1.0)


@pytest.mark.parametrize("clusters", [2, 4, 100])
def test_all_labels_in_every_document(clusters):
    features, targets = documents(5)
    everywhere = sp.csr_array(np.ones(targets.shape, bool))
    np.testing.assert_allclose(scored(features, everywhere, clusters=clusters), 1.0)


def test_all_labels_in_one_document_and_none_elsewhere():
    features, targets = documents(5)
    one = np.zeros(targets.shape, bool)
    one[7] = True
    scores = scored(features, sp.csr_array(one), clusters=2)
    np.testing.assert_allclose(scores, np.repeat(scores[:, :1], 5, axis=1), atol=1e-6)
    assert scores[7, 0] > np.median(scores[:, 0])


@pytest.mark.parametrize("labels", [3, 9, 40])
def test_labels_that_always_come_together_are_split_all_the_same(labels):
    features, targets = documents(2, 10)
    alike = sp.csr_array(np.repeat(targets.toarray()[:, :1], labels, axis=1))
    tree, _ = fitted(features, alike, clusters=4, depth=3)
    assert sorted(tree.labels[tree.labels >= 0]) == list(range(labels))
    scores = scored(features, alike, clusters=4, depth=3, beam=100)
    assert (scores[:10].min(axis=0) > scores[10:].max(axis=0)).all()


def test_documents_without_known_words_have_finite_scores():
    features, targets = documents()
    unknown = sp.csr_array((2, features.shape[1]), dtype=np.float32)
    scores = scored(features, targets, unknown)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(scores[0], scores[1])
    # The same in training: of a label's documents, and of all.
    emptied = sp.csr_array(sp.vstack([features, unknown], format="csr"))
    more = sp.csr_array(sp.vstack([targets, targets[:2]], format="csr"))
    assert np.isfinite(scored(emptied, more)).all()
    nothing = sp.csr_array(features.shape, dtype=np.float32)
    assert np.isfinite(scored(nothing, targets)).all()
    assert np.isfinite(describe_labels(nothing, targets).data).all()


def test_no_document_to_score_and_no_label_to_learn():
    features, targets = documents()
    tree, planes = fitted(features, targets)
    assert list(score_tree(tree, planes, features[:0], labels=TOPICS, beam=10)) == []
    tree = grow_tree(features, sp.csr_array(targets.shape, dtype=bool), clusters=4, depth=3, seed=0)
    assert len(tree.parents) == 0
    assert plan_tree(tree, features, sp.csr_array(targets.shape, dtype=bool)) == []


def test_labels_alike_are_parted_evenly():
    vectors = sp.csr_array(np.ones((10, 3), np.float32))
    groups = split_labels(vectors, np.arange(10), clusters=5, seed=0)
    assert sorted(np.concatenate(groups)) == list(range(10))
    assert len(groups) > 1


@pytest.mark.parametrize(("clusters", "evenly"), [(5, True), (6, False)])
def test_most_labels_of_a_large_node_do_not_stay_together(clusters, evenly):
    """Sixty labels, of which 50 have the same words: with 5 at once a large node, which is parted evenly."""
    own = np.repeat(np.arange(11), [50, *[1] * 10])
    vectors = sp.csr_array(np.eye(11, dtype=np.float32)[own])
    sizes = [len(group) for group in split_labels(vectors, np.arange(60), clusters=clusters, seed=1)]
    assert (sum(sizes), len(sizes) <= clusters) == (60, True)
    assert (sizes == [12] * 5) if evenly else (max(sizes) >= 50)


# Files and memory.


@pytest.mark.parametrize(
    ("parents", "labels"),
    [
        ([0], [0]),
        ([-1, 1], [-1, 0]),
        ([-1, -1, 0], [-1, 0, 0]),
        ([-1, -1, 0], [1, 0, 2]),
        ([-1, -1], [0, 9]),
        ([-1, -1], [0, -1]),
        ([0, -1], [0, 1]),
        ([-2], [0]),
        ([-1], [0, 1]),
    ],
)
def test_a_damaged_tree_is_refused(parents, labels):
    with pytest.raises(ValueError, match="tree"):
        Tree(np.array(parents, np.int32), np.array(labels, np.int32)).check(3)


def test_hyperplanes_read_back_what_they_wrote_and_refuse_damage():
    features, targets = documents()
    _, planes = fitted(features, targets, prune=0.05)
    arrays = planes.to_arrays()
    again = Hyperplanes.from_arrays(arrays, features.shape[1])
    np.testing.assert_array_equal(again.weights.toarray(), planes.weights.toarray())
    damages = {
        "weights.indices": arrays["weights.indices"] + features.shape[1],
        "weights.indptr": arrays["weights.indptr"][::-1].copy(),
        "weights.data": arrays["weights.data"][:-1],
        "intercepts": arrays["intercepts"][:-1],
    }
    for name, damaged in damages.items():
        with pytest.raises(ValueError):
            Hyperplanes.from_arrays(arrays | {name: damaged}, features.shape[1])
    with pytest.raises(LookupError):
        Hyperplanes.from_arrays({"intercepts": arrays["intercepts"]}, features.shape[1])


def test_pruned_weights_are_no_smaller_and_the_others_unchanged():
    features, targets = documents()
    (whole,), (pruned,) = (
        list(fit_tasks(features, plan_labels(features, targets), C=1.0, prune=prune, seed=0, processes=1))
        for prune in (0.0, 0.2)
    )
    dense = whole.weights.toarray()
    np.testing.assert_array_equal(pruned.weights.toarray(), np.where(np.abs(dense) >= 0.2, dense, 0))
    assert pruned.weights.nnz < whole.weights.nnz


def test_margins_of_many_labels_in_batches(monkeypatch):
    features, targets = documents()
    (planes,) = fit_tasks(features, plan_labels(features, targets), C=1.0, prune=0.0, seed=0, processes=1)
    whole = np.concatenate(list(planes.margins(features)))
    monkeypatch.setattr(many_svms, "SCORES_AT_ONCE", 5 * TOPICS)
    batches = list(planes.margins(features))
    assert {len(batch) for batch in batches[:-1]} == {5}
    np.testing.assert_array_equal(np.concatenate(batches), whole)


def test_tasks_are_split_and_joined_in_order(monkeypatch):
    features, targets = documents()
    (whole,) = fit_tasks(features, plan_labels(features, targets), C=1.0, prune=0.0, seed=0, processes=1)
    monkeypatch.setattr(many_svms, "ENTRIES_AT_ONCE", features.nnz * 5)
    tasks = plan_labels(features, targets)
    assert [len(task.documents) for task in tasks] == [5, 5, 2]
    parts = join(fit_tasks(features, tasks, C=1.0, prune=0.0, seed=0, processes=1), features.shape[1])
    np.testing.assert_array_equal(parts.weights.toarray(), whole.weights.toarray())


def test_foretold_memory_falls_with_prune_and_counts_the_weights():
    features, targets = documents(40, 4)
    tree = grow_tree(features, targets, clusters=8, depth=5, seed=0)
    tasks = plan_tree(tree, features, targets)
    foretold = foretell_memory(features, tasks, C=1.0, seed=0, processes=1)
    needed = [foretold(prune) for prune in (0.0, 0.05, 0.2, 100.0)]
    assert needed == sorted(needed, reverse=True)
    planes = join(fit_tasks(features, tasks, C=1.0, prune=0.05, seed=0, processes=1), features.shape[1])
    weights = (foretold(0.05) - foretold(100.0)) / many_svms.WEIGHT_BYTES
    assert 0.6 * planes.weights.nnz < weights < 1.6 * planes.weights.nnz
    assert foretell_memory(features, [], C=1.0, seed=0, processes=1)(0.0) == foretold(100.0)
    assert join([], 3).weights.shape == (3, 0)


def test_sparse_scores_are_kept_as_dense_ones_are():
    rng = np.random.default_rng(0)
    dense = rng.random((7, 1500)).astype(np.float32)
    kept, sparse = (kept_scores.keep_scores([one], 1500) for one in (dense, sp.csr_array(dense)))
    np.testing.assert_array_equal(kept.toarray(), sparse.toarray())
    few = dense[:, :40] * (rng.random((7, 40)) < 0.3)
    np.testing.assert_array_equal(kept_scores.keep_scores([sp.csr_array(few)], 40), few.astype(np.float16))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.booleans())
def test_the_largest_of_a_row_are_those_that_a_sort_finds(seed, most, equals):
    rng = np.random.default_rng(seed)
    dense = rng.integers(1, 4, (5, 9)) if equals else rng.normal(size=(5, 9))
    dense = np.where(rng.random(dense.shape) < 0.7, dense, 0).astype(np.float32)
    found = kept_scores.keep_largest(sp.csr_array(dense)[:, rng.permutation(9)], 9)
    matrix = sp.csr_array((found.data[::-1], found.indices[::-1], np.cumsum([0, *np.diff(found.indptr)[::-1]])))
    expected = np.zeros((5, 9), np.float32)
    for row, values in enumerate(matrix.toarray()):
        stored = [column for column in np.argsort(-values, kind="stable") if values[column]]
        expected[row, stored[:most]] = values[stored[:most]]
    kept = kept_scores.keep_largest(matrix, most)
    np.testing.assert_array_equal(kept.toarray(), expected[:, : matrix.shape[1]])
    assert kept.has_sorted_indices
