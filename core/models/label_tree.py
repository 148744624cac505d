"""A tree of labels: a linear SVM at each node tells its documents from those of the nodes beside it.

A label's score is the product, along its path from the root, of the sigmoids of the margins there; only the best nodes
of a level are looked into. Source: Khandagale et al. 2020 (Bonsai); Yu et al. 2022 (PECOS).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from core.metrics.kept_scores import keep_largest
from core.models.many_svms import Hyperplanes, Task, list_columns, with_small_numbers

SHARPNESS = 3.0
"""A margin times this is the logit of its node: at 1, where an SVM is content, the node's probability is 0.95."""
WORDS_OF_LABEL = 200
"""Strongest words of a label, by which it is clustered."""
ROUNDS = 20
"""Of k-means, at most."""
LABELS_AT_ONCE = 4096
"""Labels whose words are added up at once."""
DOCUMENTS_AT_ONCE, MOST_AT_ONCE = 2048, 16_384
"""Documents that are scored at once: so many, and of short ones, which leave the time to the nodes, up to so many."""
SHORT = 128
"""Words of a document of which so many are scored at once; of half as many twice as many."""
LARGE = 10
"""A node has many labels, if more than this times as many as are told apart at once."""


@dataclass(frozen=True)
class Tree:
    """M nodes under a root, level by level; the children of a node lie together.

    Attributes:
        parents: the node above each, (M,) int32, never falling; -1 is the root.
        labels: the label that a node is, (M,) int32; -1 of an inner node.
    """

    parents: np.ndarray
    labels: np.ndarray

    @cached_property
    def starts(self) -> np.ndarray:
        """Where the children of the root begin, then those of each node, and M: (M + 2,)."""
        return np.searchsorted(self.parents, np.arange(-1, len(self.parents) + 1))

    def children(self, node: int) -> slice:
        """The nodes below a node, none of a label. The root is -1."""
        return slice(int(self.starts[node + 1]), int(self.starts[node + 2]))

    def path(self, label: int) -> list[int]:
        """Nodes from the root's child down to a label; none if the tree does not have it."""
        found = np.flatnonzero(self.labels == label)
        path = [int(found[0])] if len(found) else []
        while path and self.parents[path[0]] >= 0:
            path.insert(0, int(self.parents[path[0]]))
        return path

    def check(self, labels: int) -> None:
        """Checks a tree that was read from a file.

        Raises:
            ValueError: a node lies above itself, has both a label and children or neither, or a label of `labels` is
                there twice.
        """
        parents, own = self.parents, self.labels
        if parents.ndim != 1 or parents.shape != own.shape or parents.dtype.kind != "i" or own.dtype.kind != "i":
            raise ValueError(f"the tree has {parents.shape} parents and {own.shape} labels")
        above = (parents >= -1) & (parents < np.arange(len(parents)))
        if not above.all() or (np.diff(parents) < 0).any():
            raise ValueError("a node of the tree does not lie below its parent")
        inner = np.diff(self.starts)[1:] > 0
        leaves = own[~inner]
        if (own[inner] != -1).any() or (leaves < 0).any() or (leaves >= labels).any():
            raise ValueError("a node of the tree is neither one label nor a group of them")
        if len(np.unique(leaves)) != len(leaves):
            raise ValueError("a label is in the tree twice")


def grow_tree(features: sp.csr_array, targets: sp.csr_array, *, clusters: int, depth: int, seed: int) -> Tree:
    """Clusters labels by the words of their documents, again and again, until a node has few of them.

    Labels without a document are not in the tree.

    Args:
        features: of the train part, (N, V).
        targets: (N, L).
        clusters: labels of a node at most, below which there are no clusters.
        depth: levels of clusters at most; below the last one a node has all of its labels as children.
        seed: of k-means.
    """
    there = np.flatnonzero(np.diff(sp.csc_array(targets).indptr))
    vectors = describe_labels(features, targets[:, there])
    parents, labels = list[int](), list[int]()
    waiting = deque([(-1, 0, np.arange(len(there)))])
    while waiting:
        node, level, members = waiting.popleft()
        if len(members) <= clusters or level == depth:
            groups = [members[[place]] for place in range(len(members))]
        else:
            groups = split_labels(vectors[members], members, clusters=clusters, seed=seed)
        for group in groups:
            if len(group) > 1:
                waiting.append((len(parents), level + 1, group))
            labels.append(int(there[group[0]]) if len(group) == 1 else -1)
            parents.append(node)
    return Tree(np.array(parents, np.int32), np.array(labels, np.int32))


def describe_labels(features: sp.csr_array, targets: sp.csr_array) -> sp.csr_array:
    """The sum of the features of each label's documents, its `WORDS_OF_LABEL` strongest words, of length 1: (L, V)."""
    by_label = sp.csr_array(targets.T.astype(np.float32))
    blocks = [sp.csr_array((0, features.shape[1]), dtype=np.float32)]
    for start in range(0, by_label.shape[0], LABELS_AT_ONCE):
        sums = sp.csr_array(by_label[start : start + LABELS_AT_ONCE] @ features)
        blocks.append(keep_largest(sums, WORDS_OF_LABEL))
    vectors = sp.csr_array(sp.vstack(blocks, format="csr"))
    lengths = np.sqrt(np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel())
    scale = np.repeat(1 / np.where(lengths > 0, lengths, 1), np.diff(vectors.indptr))
    return with_small_numbers(
        sp.csr_array((vectors.data * scale, vectors.indices, vectors.indptr), shape=vectors.shape), np.float32
    )


def split_labels(vectors: sp.csr_array, members: np.ndarray, *, clusters: int, seed: int) -> list[np.ndarray]:
    """Labels in groups of like words, twice as many as their number asks.

    They are parted evenly where all words are alike, and where so many labels are nearly alike that most of a large
    node's would stay together: it would be parted again and again, and each time all of its documents be fitted.

    Spherical k-means, as products of sparse matrices: ten times as fast as scikit-learn's on rows of so many columns.
    Source: Dhillon & Modha 2001.

    Args:
        vectors: of these labels, (n, V), each of length 1.
        members: the labels, (n,), more than `clusters`.
        clusters: groups at most.
        seed: of the first centres.
    """
    number = min(clusters, -(-2 * len(members) // clusters))
    starts = np.random.default_rng(seed).choice(len(members), number, replace=False)
    centres, found = vectors[np.sort(starts)].toarray(), np.full(len(members), -1)
    for _ in range(ROUNDS):
        before, found = found, np.asarray(vectors @ centres.T).argmax(axis=1)
        if np.array_equal(before, found):
            break
        chosen = sp.csr_array(
            (np.ones(len(found), np.float32), (found, np.arange(len(found)))), shape=(number, len(found))
        )
        centres = (chosen @ vectors).toarray()
        lengths = np.linalg.norm(centres, axis=1, keepdims=True)
        centres /= np.where(lengths > 0, lengths, 1)
    groups = [members[found == one] for one in np.unique(found)]
    large = len(members) > LARGE * clusters and 2 * max(map(len, groups)) > len(members)
    return np.array_split(np.concatenate(groups), number) if large or len(groups) == 1 else groups


def plan_tree(tree: Tree, features: sp.csr_array, targets: sp.csr_array) -> list[Task]:
    """The SVMs of a tree's nodes, in the order of the nodes: children are told apart on the documents of their parent.

    These have a label below it; the root's are all documents.
    """
    sizes = np.diff(features.indptr)
    below = list_documents(tree, targets)
    tasks: list[Task] = []
    for node in np.unique(tree.parents):
        documents = below[tree.children(node)]
        if node < 0:
            tasks += Task(None, documents, int(sizes.sum())).split()
        else:
            rows = below[node]
            places = [np.searchsorted(rows, found) for found in documents]
            tasks += Task(rows, places, int(sizes[rows].sum())).split()
    return tasks


def list_documents(tree: Tree, targets: sp.csr_array) -> list[np.ndarray]:
    """The documents that have a label at or below each node, rising, one array a node."""
    columns = list_columns(targets)
    found = [columns[label] if label >= 0 else np.zeros(0, np.int32) for label in tree.labels]
    for node in range(len(found) - 1, -1, -1):
        if tree.labels[node] < 0:
            found[node] = np.unique(np.concatenate(found[tree.children(node)]))
    return found


def score_tree(
    tree: Tree, planes: Hyperplanes, features: sp.csr_array, *, labels: int, beam: int
) -> Iterator[sp.csr_array]:
    """Probabilities of the labels that are looked at, 0 of all others: batches of (B, L) float32.

    Args:
        tree: of the labels.
        planes: of its nodes.
        features: (N, V).
        labels: L.
        beam: nodes of a level that are looked into for each document.
    """
    words = max(1, features.nnz // max(1, features.shape[0]))
    size = min(MOST_AT_ONCE, DOCUMENTS_AT_ONCE * max(1, SHORT // words))
    for start in range(0, features.shape[0], size):
        yield _score_batch(tree, planes, features[start : start + size], labels, beam)


def _score_batch(tree: Tree, planes: Hyperplanes, features: sp.csr_array, labels: int, beam: int) -> sp.csr_array:
    shape = (features.shape[0], labels)
    rows, columns, values = [np.zeros(0, int)], [np.zeros(0, np.int32)], [np.zeros(0, np.float32)]
    # Level by level: documents, the nodes that are looked into for them, and the logarithms of these nodes' scores.
    documents, nodes = np.arange(shape[0]), np.full(shape[0], -1)
    logs = np.zeros(shape[0], np.float32)
    while len(documents):
        further = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0, np.float32))]
        order = np.argsort(nodes, kind="stable")
        for group in np.split(order, np.flatnonzero(np.diff(nodes[order])) + 1):
            # Children of one node: their scores for all documents that look into it.
            children, here = tree.children(int(nodes[group[0]])), documents[group]
            weights = sp.csr_array(planes.weights[:, children])
            margins = (features[here] @ weights).toarray() + planes.intercepts[children]
            found = (logs[group][:, None] - np.logaddexp(0, -SHARPNESS * margins)).astype(np.float32)
            # Labels are done, inner nodes go on.
            own = tree.labels[children]
            inner = children.start + np.flatnonzero(own < 0)
            rows.append(np.repeat(here, len(own) - len(inner)))
            columns.append(np.tile(own[own >= 0], len(here)))
            values.append(found[:, own >= 0].ravel())
            further.append((np.repeat(here, len(inner)), np.tile(inner, len(here)), found[:, own < 0].ravel()))
        # Beam: the best nodes of each document, of equal ones the first.
        documents, nodes, logs = (np.concatenate(part) for part in zip(*further, strict=True))
        order = np.lexsort((nodes, -logs, documents))
        documents, nodes, logs = documents[order], nodes[order], logs[order]
        best = np.arange(len(documents)) - np.searchsorted(documents, documents) < beam
        documents, nodes, logs = documents[best], nodes[best], logs[best]
    scores = np.exp(np.concatenate(values))
    return sp.csr_array(sp.coo_array((scores, (np.concatenate(rows), np.concatenate(columns))), shape=shape))
