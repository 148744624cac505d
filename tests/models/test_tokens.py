import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from core.config.schema import DataConfig, ModelConfig, SyntheticConfig
from core.data import sources
from core.models import tokens
from core.models.batches import SparseInputs, TokenInputs
from core.models.tokens import Subwords, Tokens, Words
from core.system import places
from core.system.errors import UserError
from core.system.places import ROOT

TEXTS = ["wheat grain wheat", "Gold, metal!", "", "wheat gold new"]
PIECES = ["Gold: a goldmine", "the mine of gold", "wheat, grain and wheat", "some grain in unpadded sacks"] * 5
TIED = ["".join(pair) for pair in itertools.permutations("abcdefgh", 4)]
"""Words whose pairs of letters are all equally frequent."""


@pytest.fixture(scope="module")
def packaged():
    return Subwords.load(tokens.encoder_source(tokens.PACKAGED))


def words(**options):
    return Words.fit(TEXTS, ModelConfig(name="textcnn", **{"min_df": 1} | options))


def inputs(lengths, long="head", max_length=8, encoder=None):
    made = Tokens.of([list(range(2, 2 + length)) for length in lengths])
    return TokenInputs(made, encoder or words(), np.arange(len(lengths)), max_length, long)


def test_words_are_numbered_by_the_documents_that_have_them(tmp_path):
    made = words()
    assert list(made.vocabulary) == ["gold", "wheat", "grain", "metal", "new"]
    assert made.encode(TEXTS)[0] == [3, 4, 3]
    assert made.encode(["wheat unheard-of GOLD"]) == [[3, 1, 1, 2]]
    assert made.words([3, 1, 0]) == ["wheat", "?", ""]
    assert list(words(max_features=1).vocabulary) == ["gold"]
    made.save(tmp_path)
    assert Words.load(tmp_path) == made
    with pytest.raises(UserError, match=r"model\.min_df"):
        words(min_df=4)


def subwords(texts=PIECES, **options):
    return Subwords.fit(texts, ModelConfig(name="textcnn", vocabulary="subwords", **options))


def test_subwords_are_joined_of_frequent_pairs_and_known_again_from_their_files(tmp_path):
    made = subwords()
    (ids,) = made.encode(["GOLD, goldgrain & wheats 小麦!"])
    assert made.words(ids) == ["▁gold", "▁gold", "g", "rain", "▁wheat", "s", "▁", "[UNK]"]
    assert (ids[-1], made.pad, made.before, made.after) == (tokens.UNKNOWN, 0, (), ())
    made.save(tmp_path)
    again = Subwords.read(tmp_path)
    assert (again.size, again.fingerprint, again.encode(PIECES)) == (made.size, made.fingerprint, made.encode(PIECES))
    assert again.encode(["[PAD] a", ""]) == made.encode(["pad", "!"])


def test_subwords_are_as_many_as_asked_at_most_and_those_that_are_frequent_enough():
    assert subwords(max_features=30).size == 32 < subwords().size
    assert subwords(min_df=20).size < subwords(min_df=2).size
    for none in ({"texts": ["", "a !"]}, {"min_df": 1000}, {"max_features": 5}):
        with pytest.raises(UserError, match=r"Lower model\.min_df, or raise model\.max_features"):
            subwords(**none)


@pytest.mark.slow
def test_every_process_learns_the_same_subwords():
    script = "from tests.models import test_tokens as here\nprint(here.subwords(here.TIED).fingerprint)"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=env, check=True)
    assert done.stdout.strip() == subwords(TIED).fingerprint


def test_the_packaged_tokenizer_frames_a_document_by_its_special_tokens(packaged):
    whole = packaged.tokenizer("gold and silver").input_ids
    (own,) = packaged.encode(["gold and silver"])
    assert [*packaged.before, *own, *packaged.after] == whole
    assert packaged.most == 512
    assert packaged.encode([""]) == [[]]


@pytest.mark.slow
def test_a_document_of_two_million_words_is_cut_and_one_without_words_is_read(packaged):
    (numbers,) = packaged.encode(["gold " * 2_000_000])
    assert len(numbers) == tokens.LONGEST
    ids, mask = inputs([0, 3]).tensors(np.array([0, 1]), "cpu")
    assert mask.sum(1).tolist() == [1, 3]
    assert ids[0].tolist() == [tokens.UNKNOWN, 0, 0]
    ids, mask = inputs([0], encoder=packaged).tensors(np.array([0]), "cpu")
    assert ids.tolist() == [[*packaged.before, *packaged.after]]


def test_what_cannot_be_loaded_is_said_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for source in ("no-such-model-anywhere", str(tmp_path)):
        with pytest.raises(UserError, match=r"model\.encoder .* cannot be loaded"):
            Subwords.load(source)


def test_a_tokenizer_of_another_network_is_refused(tmp_path, packaged):
    from transformers import BertConfig

    packaged.tokenizer.save_pretrained(tmp_path)
    BertConfig(vocab_size=100).save_pretrained(tmp_path)
    with pytest.raises(UserError, match="do not belong together"):
        Subwords.load(str(tmp_path))


def test_tokens_are_made_once_and_a_damaged_copy_is_made_again():
    corpus = sources.load(DataConfig(name="synthetic", synthetic=SyntheticConfig(documents=50)))
    encoder = Words.fit(corpus.texts(corpus.parts["train"]), ModelConfig(name="textcnn"))
    heard = []
    first = tokens.tokenize(corpus, encoder, lambda phase, done: heard.append(done))
    assert heard == [1.0]
    again = tokens.tokenize(corpus, encoder, lambda phase, done: heard.append(done))
    assert heard == [1.0]
    assert again[7].tolist() == first[7].tolist() == encoder.encode([corpus.text(7)])[0]
    (file,) = places.cache_dir().glob("tokens/*/tokens.bin")
    file.write_bytes(file.read_bytes()[:-4])
    assert tokens.tokenize(corpus, encoder, lambda phase, done: heard.append(done))[49].tolist()
    assert heard == [1.0, 1.0]


@pytest.mark.parametrize("long", ["head", "head-tail", "window"])
def test_long_documents_are_cut_as_asked(long):
    made = inputs([3, 20], long)
    ids, mask, *owner = made.tensors(np.array([1, 0]), "cpu")
    rows = [row[keep].tolist() for row, keep in zip(ids, mask, strict=True)]
    every = list(range(2, 22))
    expected = {
        "head": [every[:8]],
        "head-tail": [every[:4] + every[-4:]],
        "window": [every[:8], every[8:16], every[16:]],
    }[long]
    assert rows == [*expected, [2, 3, 4]]
    if long == "window":
        assert owner[0].tolist() == [0, 0, 0, 1]
        assert made.lengths(np.array([0, 1])).tolist() == [3, 24]


def test_a_pass_holds_every_document_once_and_batches_hold_documents_of_like_length():
    rng = np.random.default_rng(0)
    made = inputs(rng.integers(1, 200, 1000).tolist(), max_length=200)
    batches = made.order(rng.permutation(1000), rng, 10)
    assert sorted(np.concatenate(batches).tolist()) == list(range(1000))
    padded = sum(made.lengths(batch).max() * len(batch) for batch in batches)
    assert padded < 1.1 * made.lengths(np.arange(1000)).sum()
    assert [len(batch) for batch in SparseInputs(np.zeros((7, 1))).order(np.arange(7), rng, 3)] == [3, 3, 1]


def test_parts_never_hold_more_tokens_than_there_is_room_for():
    made = inputs([5, 1, 8, 3, 3, 3, 2], max_length=8)
    parts = made.parts(np.arange(7), 10)
    assert np.concatenate(parts).tolist() == list(range(7))
    assert all(len(part) == 1 or made.lengths(part).max() * len(part) <= 10 for part in parts)
    assert len(made.parts(np.arange(7), 1000)) == 1
    assert [len(part) for part in made.parts(np.arange(7), 1)] == [1] * 7


def test_an_encoder_package_with_other_files_is_refused(tmp_path):
    tokens.encoder_source(tokens.PACKAGED)  # the real one is known
    with pytest.raises(UserError, match=r"its file model.safetensors is not the one of all-MiniLM-L6-v2"):
        tokens.check_package(tmp_path / "missing")
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(UserError, match=r"SHA-256 [0-9a-f]{16}, not 53aa51172d142c89\): install the package again"):
        tokens.check_package(tmp_path)
