"""From text to numbers: an encoder is fitted on the train part, then turns any text into features."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import scipy.sparse as sp
from safetensors.numpy import save_file

from core.config.schema import ModelConfig
from core.system.arrays import read_tensors
from core.system.errors import UserError
from core.system.files import read_json, write_json

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer


class TfidfEncoder:
    """Words (and, if asked, pairs of words) weighted by tf idf, each document scaled to length 1.

    Source: Salton & Buckley 1988, as implemented by scikit-learn's `TfidfVectorizer`.
    """

    def __init__(self, vectorizer: TfidfVectorizer) -> None:
        self._vectorizer = vectorizer

    @classmethod
    def fit(cls, texts: Iterable[str], config: ModelConfig) -> TfidfEncoder:
        """Learns vocabulary and idf from the train part.

        Raises:
            UserError: no word is left after `min_df`.
        """
        vectorizer = _vectorizer(bigrams=config.bigrams, min_df=config.min_df, max_features=config.max_features)
        try:
            vectorizer.fit(texts)
        except ValueError as error:
            raise UserError(f"TF-IDF finds no word in the train part ({error}). Lower model.min_df.") from None
        return cls(vectorizer)

    @property
    def words(self) -> list[str]:
        """The vocabulary in the order of the feature columns, (V,)."""
        return list(self._vectorizer.get_feature_names_out())

    def encode(self, texts: Iterable[str]) -> sp.csr_array:
        """Features of N texts, (N, V) float32; a text without known words is a row of zeros."""
        return sp.csr_array(self._vectorizer.transform(texts))

    def save(self, folder: Path) -> None:
        """Writes `vocabulary.json` and `idf.safetensors`."""
        bigrams = self._vectorizer.ngram_range[1] == 2
        write_json(folder / "vocabulary.json", {"bigrams": bigrams, "words": self.words})
        save_file({"idf": np.asarray(self._vectorizer.idf_, dtype=np.float32)}, folder / "idf.safetensors")

    @classmethod
    def load(cls, folder: Path) -> TfidfEncoder:
        """Reads what `save` wrote.

        Raises:
            UserError: a file is missing, or cannot be read.
            ValueError: damaged, or the files do not fit together.
        """
        stored = read_json(folder / "vocabulary.json")
        words = stored.get("words") if isinstance(stored, dict) else None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("vocabulary.json holds no words")
        idf = read_tensors(folder / "idf.safetensors").get("idf")
        if idf is None or idf.shape != (len(words),) or len(set(words)) != len(words) or not words:
            raise ValueError("vocabulary.json and idf.safetensors do not fit together")
        columns = {word: column for column, word in enumerate(words)}
        vectorizer = _vectorizer(bigrams=bool(stored.get("bigrams")), vocabulary=columns)
        vectorizer.idf_ = idf
        return cls(vectorizer)


def _vectorizer(*, bigrams: bool, **options: object) -> TfidfVectorizer:
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(dtype=np.float32, ngram_range=(1, 2 if bigrams else 1), **options)
