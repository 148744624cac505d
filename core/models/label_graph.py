"""A label graph on the output layer: labels that come together share their weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core.models.networks import LabelWiseAttention, TextNetwork

LABEL_VECTORS = 128
"""Length of a label's vector in the label graph."""


class LabelGraph(nn.Module):
    """Weights of labels (L, H), made from vectors that are mixed along a graph of which labels come together.

    Two layers: W = A relu(A E U) V with E the vectors (L, 128) and A the label graph's rows, which sum to 1. It is a
    parametrization of PyTorch: whatever layer reads its weights reads these, and the vectors are what is trained.

    Source: Pal et al. 2020 (MAGNET), with the graph of co-occurrence instead of learnt attention.

    Args:
        graph: sparse (L, L), of `label_graph`.
        weights: (L, H), in whose place these come; about as large at first.
    """

    graph: Tensor

    def __init__(self, graph: Tensor, weights: Tensor) -> None:
        super().__init__()
        self.first = nn.Linear(LABEL_VECTORS, LABEL_VECTORS, bias=False)
        self.second = nn.Linear(LABEL_VECTORS, weights.shape[1], bias=False)
        nn.init.normal_(self.second.weight, std=float(weights.detach().std()))
        self.register_buffer("graph", graph, persistent=False)

    def right_inverse(self, weights: Tensor) -> Tensor:
        """The vectors that training begins with, (L, 128), by chance."""
        return torch.randn(len(weights), LABEL_VECTORS)

    def forward(self, vectors: Tensor) -> Tensor:
        """Weights (L, H) of vectors (L, 128)."""
        with torch.autocast(vectors.device.type, enabled=False):  # sparse products have no half precision
            mixed = torch.relu(torch.sparse.mm(self.graph, self.first(vectors)))
            return self.second(torch.sparse.mm(self.graph, mixed))


def add_label_graph(network: nn.Module, targets: sp.csr_array) -> None:
    """Has a network's weights of labels made by a `LabelGraph` of the train part's targets (N, L)."""
    layer, name = _label_weights(network)
    graph = LabelGraph(label_graph(targets), getattr(layer, name))
    parametrize.register_parametrization(layer, name, graph, unsafe=True)  # vectors have another shape than weights


def fold_label_graph(network: nn.Module) -> None:
    """Puts the weights that a network's label graph makes in its place: scoring needs no more."""
    parametrize.remove_parametrizations(*_label_weights(network))


def _label_weights(network: Any) -> tuple[nn.Module, str]:
    """Where a network's weights of labels (L, H) are: a module and their name in it."""
    head: Any = network.head if isinstance(network, TextNetwork) else network
    return (head, "weights") if isinstance(head, LabelWiseAttention) else (head.output, "weight")


def label_graph(targets: sp.csr_array) -> Tensor:
    """How labels come together: half the label, half those that share its documents, sparse (L, L), rows sum to 1.

    The second half is divided by the documents that they share with it; a label that is always alone has only itself.
    `targets` are (N, L).
    """
    together = sp.csr_array(targets.T.astype(np.float32) @ targets.astype(np.float32))
    together.setdiag(0)
    together.eliminate_zeros()
    sums = np.asarray(together.sum(axis=1)).ravel()
    own = sp.diags_array(np.where(sums > 0, 0.5, 1.0))
    rows = sp.coo_array(own + sp.diags_array(0.5 / np.maximum(sums, 1)) @ together)
    places = torch.from_numpy(np.stack(rows.coords).astype(np.int64))
    values = torch.from_numpy(rows.data.astype(np.float32))
    return torch.sparse_coo_tensor(places, values, rows.shape, check_invariants=True).coalesce()
