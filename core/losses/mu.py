"""The authors' rule for `mu`, which pages read without PyTorch."""

from __future__ import annotations

from typing import Any


def mu_of_ratios(rising: Any) -> float:
    """Halfway between the mean and the median of r over the positives of the training part.

    The mean is documents / label assignments; the median is 1 where most labels stand alone.

    Source: Huang et al., EMNLP 2021, released code.

    Args:
        rising: r of each positive, sorted, (A,) with A at least 1: a tensor or a NumPy array.
    """
    many = len(rising)
    median = (rising[(many - 1) // 2] + rising[many // 2]) / 2
    return float(rising.mean() + median) / 2
