import numpy as np
import pytest
import scipy.sparse as sp
import torch

from core.config.schema import ModelConfig, TrainConfig
from core.models.batches import SparseInputs
from core.models.svm import LinearRule, fit_svm
from core.models.tfidf import TfidfNetwork
from core.models.tfidf_features import TfidfEncoder
from core.system.errors import UserError
from core.trainer.loop import train
from core.trainer.scoring import predict
from core.trainer.state import State

TEXTS = [f"{'wheat grain' if i % 3 else 'gold metal'} filler{i % 5} word" for i in range(60)]
TARGETS = sp.csr_array(np.array([[i % 3 > 0, i % 3 == 0, i == 3] for i in range(60)]))
BCE = torch.nn.functional.binary_cross_entropy_with_logits
CONFIG = ModelConfig(hidden=8, min_df=1, dropout=0.1)


def features():
    return TfidfEncoder.fit(TEXTS, CONFIG).encode(TEXTS)


def tensors(x):
    return SparseInputs(x).tensors(np.arange(x.shape[0]), "cpu")


def fitted(config=CONFIG, loss=BCE, seed=0, epochs=3):
    torch.manual_seed(seed)
    x = SparseInputs(features())
    network = TfidfNetwork(x.features.shape[1], torch.logit(torch.tensor([0.6, 0.3, 0.02])), config)
    settings = TrainConfig(epochs=epochs, batch_size=16, learning_rate=0.5)
    state = State.begin(network, settings, len(x))
    steps = list(train(state, loss, x, TARGETS, config=settings, seed=seed, device="cpu"))
    return steps, np.concatenate(list(predict(network, x, device="cpu")))


def test_the_encoder_reads_back_what_it_wrote(tmp_path):
    encoder = TfidfEncoder.fit(TEXTS, CONFIG)
    encoder.save(tmp_path)
    again = TfidfEncoder.load(tmp_path)
    assert again.words == encoder.words
    np.testing.assert_array_equal(again.encode(TEXTS).toarray(), encoder.encode(TEXTS).toarray())


def test_no_word_left_is_said():
    with pytest.raises(UserError, match=r"model\.min_df"):
        TfidfEncoder.fit(["a b", ""], ModelConfig(min_df=1))


@pytest.mark.parametrize("hidden", [0, 8])
def test_a_text_without_words_gets_the_priors_before_training(hidden):
    network = TfidfNetwork(5, torch.logit(torch.tensor([0.5, 0.01])), ModelConfig(hidden=hidden)).eval()
    for parameter in (network.bias,) if hidden else ():
        torch.nn.init.constant_(parameter, -1.0)
    scores = torch.sigmoid(network(*tensors(sp.csr_array((3, 5), dtype=np.float32))))
    torch.testing.assert_close(scores, torch.tensor([[0.5, 0.01]] * 3))


@pytest.mark.parametrize("hidden", [0, 8])
def test_the_sparse_path_equals_dense_algebra(hidden):
    x = sp.random_array((6, 7), density=0.4, rng=np.random.default_rng(0), format="csr", dtype=np.float32)
    torch.manual_seed(0)
    network = TfidfNetwork(7, torch.logit(torch.tensor([0.5, 0.1, 0.2])), ModelConfig(hidden=hidden)).eval()
    dense = torch.from_numpy(x.toarray()) @ network.features.weight + network.bias
    expected = network.output(torch.relu(dense)) if hidden else dense
    torch.testing.assert_close(network(*tensors(x)), expected)


def test_a_seed_gives_the_same_numbers_and_another_seed_others():
    np.testing.assert_array_equal(fitted(seed=1)[1], fitted(seed=1)[1])
    assert not np.array_equal(fitted(seed=1)[1], fitted(seed=2)[1])


def test_a_loss_times_a_constant_trains_the_same_network():
    scaled = fitted(loss=lambda z, y: 10 * BCE(z, y))[1]
    np.testing.assert_allclose(scaled, fitted()[1], atol=1e-3)


def test_training_reports_each_step_and_learns():
    steps, scores = fitted(epochs=30)
    assert [s.ended_epoch for s in steps[:5]] == [False, False, False, True, False]
    assert steps[-1].epoch == 30
    assert steps[-1].train_loss < steps[3].train_loss
    assert ((scores > 0.5)[:, :2] == TARGETS.toarray()[:, :2]).mean() > 0.95


def test_a_loss_that_is_no_number_ends_training_with_the_usual_causes():
    with pytest.raises(UserError, match=r"epoch 1, step 1.*learning_rate"):
        fitted(loss=lambda z, y: z.sum() * float("nan"))


def test_the_svm_separates_and_handles_labels_with_no_and_with_all_documents():
    targets = sp.csr_array(np.column_stack([TARGETS.toarray()[:, :2], np.zeros(60, bool), np.ones(60, bool)]))
    x = features()
    rule = LinearRule(np.zeros((x.shape[1], 4), np.float32), np.zeros(4, np.float32))
    assert list(fit_svm(x, targets, rule, config=CONFIG, seed=0, block=2)) == [0.5, 1.0]
    margins = np.concatenate(list(rule.margins(x)))
    np.testing.assert_array_equal(margins > 0, targets.toarray())
