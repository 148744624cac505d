from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn
from torch.nn import functional

from core.config.defaults import MODELS
from core.config.schema import ModelConfig, RunConfig, TrainConfig
from core.losses import build_loss
from core.models.batches import SparseInputs, TokenInputs
from core.models.label_graph import add_label_graph, fold_label_graph, label_graph
from core.models.networks import Convolutions, Recurrent, build_network
from core.models.tfidf import TfidfNetwork
from core.models.tfidf_features import TfidfEncoder
from core.models.tokens import Tokens, Words
from core.system.errors import UserError
from core.trainer.blocks import blocked
from core.trainer.loop import class_aware, train
from core.trainer.memory import CACHED, tokens_at_once
from core.trainer.optimizer import ADAM_EPSILON, make_optimizer
from core.trainer.precision import resolve_precision
from core.trainer.scoring import predict
from core.trainer.state import State

TEXTS = [f"{'wheat grain' if i % 3 else 'gold metal'} filler{i % 5} word {'more ' * (i % 7)}" for i in range(90)]
TARGETS = sp.csr_array(np.array([[i % 3 > 0, i % 3 == 0, i % 3 == 0 and i % 2 == 0] for i in range(90)]))
PRIORS = torch.tensor([0.6, 0.3, 0.15])
START = torch.logit(PRIORS)
BCE = torch.nn.functional.binary_cross_entropy_with_logits
NETWORKS = ("textcnn", "xml-cnn", "cnn-rnn", "bigru-lwan")
SMALL = {"embedding": 16, "filters": 8, "max_length": 16, "min_df": 1, "dropout": 0.1}


def settings(name, **more):
    hidden = {} if name == "textcnn" else {"hidden": 12}
    model = dict(MODELS[name].model) | SMALL | hidden | more
    return ModelConfig(name=name, **model)


def made(name="textcnn", long="head", **more):
    """A network with its inputs, from a seed."""
    config = settings(name, **more)
    words = Words.fit(TEXTS, config)
    torch.manual_seed(0)
    network = build_network(config, words.size, START)
    return network, TokenInputs(Tokens.of(words.encode(TEXTS)), words, np.arange(90), config.max_length, long)


def fitted(name="textcnn", loss=BCE, **changes):
    network, inputs = made(name)
    options = {"optimizer": "adamw", "learning_rate": 0.01, "epochs": 12, "batch_size": 16, "clip": 1.0} | changes
    config = TrainConfig(**options)
    state = State.begin(network, config, 90)
    steps = list(train(state, loss, inputs, TARGETS, config=config, seed=0, device="cpu"))
    return state, steps, np.concatenate(list(predict(network, inputs, device="cpu")))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_learns_what_a_word_tells(name):
    _, steps, scores = fitted(name)
    assert steps[-1].train_loss < 0.5 * steps[5].train_loss
    assert ((scores > 0.5)[:, :2] == TARGETS.toarray()[:, :2]).mean() > 0.95


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("long", ["head", "window"])
def test_what_a_document_scores_hangs_on_no_other_document_and_on_no_padding(name, long):
    network, inputs = made(name, long, **({"max_length": 8} if long == "window" else {}))
    together = np.concatenate(list(predict(network, inputs, device="cpu")))
    network.eval()
    with torch.no_grad():
        alone = [torch.sigmoid(network(*inputs.tensors(np.array([row]), "cpu"))).numpy() for row in range(90)]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    assert np.isfinite(together).all()


@pytest.mark.parametrize("chunks", [1, 3, 8])
def test_a_document_is_pooled_over_parts_of_its_own_length(chunks):
    torch.manual_seed(0)
    layer = Convolutions(4, 5, widths=(2, 3), chunks=chunks)
    lengths = torch.tensor([1, 2, 7, 8, 9, 16, 29, 40])
    mask = torch.arange(40) < lengths.unsqueeze(1)
    states = torch.randn(8, 40, 4) * mask.unsqueeze(-1)
    pooled = layer(states, mask)
    for row, length in enumerate(lengths):
        own = states[row : row + 1, :length].transpose(1, 2)
        answers = [torch.relu(one(own))[..., :length] for one in layer.convolutions]
        expected = torch.cat([functional.adaptive_max_pool1d(one, chunks).flatten() for one in answers])
        torch.testing.assert_close(pooled[row], expected)


@pytest.mark.parametrize("lengths", [[1], [9, 9], [1, 4, 9, 2], [3, 1, 1]])
def test_a_recurrent_network_reads_both_ways_to_a_document_s_own_end_as_a_packed_one_does(lengths):
    torch.manual_seed(0)
    layer = Recurrent(5, 4)
    mask = torch.arange(9) < torch.tensor(lengths).unsqueeze(1)
    states = torch.randn(len(lengths), 9, 5, requires_grad=True)
    packed = nn.utils.rnn.pack_padded_sequence(states, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
    expected = nn.utils.rnn.pad_packed_sequence(layer.recurrent(packed)[0], batch_first=True, total_length=9)[0]
    found = layer(states, mask)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(found.shape)
    trained = [states, *layer.parameters()]
    ours, theirs = (torch.autograd.grad((one * weights).sum(), trained) for one in (found, expected))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_a_step_in_parts_is_the_step_in_one():
    network, inputs = made(dropout=0.0)
    gradients = []
    for most in (16_384, 20):
        config = TrainConfig(optimizer="adamw", learning_rate=0.01, epochs=1, batch_size=90, max_tokens=most)
        network, inputs = made(dropout=0.0)
        list(train(State.begin(network, config, 90), BCE, inputs, TARGETS, config=config, seed=0, device="cpu"))
        gradients.append({name: value.grad.clone() for name, value in network.named_parameters()})
    for name, value in gradients[0].items():
        torch.testing.assert_close(value, gradients[1][name], rtol=1e-4, atol=1e-6)


def test_memory_that_runs_out_lowers_what_is_computed_at_once():
    asked = []

    def loss(logits, targets):
        asked.append(len(logits))
        if len(logits) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return BCE(logits, targets)

    state, steps, _ = fitted(loss=loss, epochs=1, batch_size=64)
    assert [step.step for step in steps] == [1, 2]
    assert asked[0] > 20
    assert sum(size for size in asked if size <= 20) >= 90
    assert state.tokens_at_once < 20 * 16


def test_memory_that_runs_out_at_one_document_is_said():
    def loss(logits, targets):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(UserError, match="Memory ran out at a single document"):
        fitted(loss=loss)


def test_a_loss_that_explodes_ends_training():
    calls = []

    def loss(logits, targets):
        calls.append(1)
        return BCE(logits, targets) * (1e5 if len(calls) > 3 else 1)

    with pytest.raises(UserError, match="epoch 1, step 4"):
        fitted(loss=loss)


def test_the_label_graph_mixes_the_weights_of_labels_that_come_together():
    graph = label_graph(TARGETS).to_dense()
    torch.testing.assert_close(graph.sum(1), torch.ones(3))
    torch.testing.assert_close(graph, torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.0, 0.5, 0.5]]))
    network, inputs = made()
    add_label_graph(network, TARGETS)
    network(*inputs.tensors(np.arange(4), "cpu"))[:, 1].sum().backward()
    reached = label_vectors(network).grad.abs().sum(1) > 0
    assert reached.tolist() == [False, True, True]


def label_vectors(network):
    (found,) = (value for name, value in network.named_parameters() if name.endswith(".original"))
    return found


@pytest.fixture(params=[*NETWORKS, "tfidf", "transformer"])
def any_network(request, tiny_encoder):
    """A network of each kind whose weights of labels can be made by a graph, with its inputs and a learning rate."""
    name = request.param
    if name == "tfidf":
        config = ModelConfig(hidden=12, min_df=1, dropout=0.1)
        features = TfidfEncoder.fit(TEXTS, config).encode(TEXTS)
        torch.manual_seed(0)
        return TfidfNetwork(features.shape[1], START, config), SparseInputs(features), {"learning_rate": 0.5}
    if name == "transformer":
        config = ModelConfig(name=name, encoder=str(tiny_encoder), pooling="lwan", dropout=0.1)
        _, inputs = made()
        torch.manual_seed(0)
        return build_network(config, 100, START), inputs, {"optimizer": "adamw", "learning_rate": 0.005}
    return *made(name), {"optimizer": "adamw", "learning_rate": 0.01}


@pytest.mark.slow
def test_a_label_graph_learns_on_any_network_and_is_folded_into_its_weights(any_network):
    network, inputs, options = any_network
    plain = {name: value.shape for name, value in network.state_dict().items()}
    add_label_graph(network, TARGETS)
    before = label_vectors(network).detach().clone()
    config = TrainConfig(epochs=15, batch_size=16, clip=1.0, **options)
    steps = list(train(State.begin(network, config, 90), BCE, inputs, TARGETS, config=config, seed=0, device="cpu"))
    assert steps[-1].train_loss < 0.5 * steps[5].train_loss
    assert ((label_vectors(network) - before).abs().amax(1) > 0).all()
    learnt = np.concatenate(list(predict(network, inputs, device="cpu")))
    assert ((learnt > 0.5)[:, :2] == TARGETS.toarray()[:, :2]).mean() > 0.95
    assert blocked(network, build_loss("db", [54, 36, 18], 90)) is None
    fold_label_graph(network)
    assert {name: value.shape for name, value in network.state_dict().items()} == plain
    np.testing.assert_allclose(np.concatenate(list(predict(network, inputs, device="cpu"))), learnt, atol=1e-6)


def test_a_network_begins_with_the_logits_it_is_given():
    network, inputs = made()
    scores = np.concatenate(list(predict(network, inputs, device="cpu")))
    np.testing.assert_allclose(scores, np.broadcast_to(PRIORS, (90, 3)), atol=0.05)


def test_scores_are_shifted_by_the_log_odds_of_frequency():
    network, inputs = made()
    plain, shifted = (
        torch.logit(torch.from_numpy(np.concatenate(list(predict(network, inputs, device="cpu", shift=shift)))))
        for shift in (0.0, START)
    )
    torch.testing.assert_close(plain - shifted, START.expand(90, 3), atol=1e-3, rtol=1e-3)


def test_class_aware_draws_give_every_label_its_share():
    rows = class_aware(TARGETS)(np.random.default_rng(0))
    assert len(rows) == 90
    assert TARGETS[rows].toarray().sum(0)[2] >= 30 > TARGETS.toarray().sum(0)[2]


def test_a_transformers_layers_and_head_have_rates_of_their_own(tiny_encoder):
    config = RunConfig.model_validate(
        {
            "model": {"name": "transformer", "encoder": str(tiny_encoder), "frozen_layers": 0},
            "loss": {"name": "db"},
            "train": {"learning_rate": 1.0, "head_rate": 5.0, "layer_decay": 0.5, "weight_decay": 0.1, "warmup": 0},
        }
    )
    network = build_network(config.model, 100, START)
    groups = State.begin(network, config.train, 90).optimizer.param_groups
    assert {group["lr"] for group in groups} == {5.0, 1.0, 0.5, 0.25}
    assert all((group["weight_decay"] == 0) == (group["params"][0].ndim == 1) for group in groups)


def test_a_transformer_computes_fewer_tokens_at_once_on_a_cpu_and_never_more_than_asked(tiny_encoder):
    config = ModelConfig(name="transformer", encoder=str(tiny_encoder))
    network = build_network(config, 100, START)
    asked = (16_384, CACHED, 100)
    assert [tokens_at_once(network, most) for most in asked] == [CACHED, CACHED, 100]
    assert [tokens_at_once(network.to("meta"), most) for most in asked] == list(asked)
    assert [tokens_at_once(made()[0], most) for most in asked] == list(asked)


@pytest.mark.parametrize(("frozen", "trained"), [(0, 3), (1, 2), (2, 1), (9, 1)])
def test_the_lowest_layers_can_stay_as_they_are(tiny_encoder, frozen, trained):
    config = ModelConfig(name="transformer", encoder=str(tiny_encoder), frozen_layers=frozen)
    body = build_network(config, 100, START).body
    learns = [all(parameter.requires_grad for parameter in layer) for layer in body.layers()]
    assert learns == [False] * (3 - trained) + [True] * trained


def test_what_attention_drops_out_is_the_runs_own_choice(steady_encoder):
    ids = torch.arange(5, 17).reshape(2, 6)
    for share in (0.0, 0.5):
        config = ModelConfig(name="transformer", encoder=str(steady_encoder), dropout=0.0, attention_dropout=share)
        network = build_network(config, 100, START).train()
        once, again = (network(ids, torch.ones(2, 6, dtype=torch.bool)) for _ in range(2))
        assert torch.equal(once, again) == (share == 0)


@pytest.mark.slow
def test_the_learning_rate_rises_and_follows_its_schedule():
    rates = {}
    for schedule in ("linear", "cosine", "constant"):
        steps = fitted(epochs=10, schedule=schedule, warmup=0.1)[1]
        rates[schedule] = np.array([step.learning_rate for step in steps]) / 0.01
        assert rates[schedule].max() == pytest.approx(1.0)
        assert (np.diff(rates[schedule])[:5] > 0).all()
    np.testing.assert_allclose(rates["constant"][6:], 1.0)
    for schedule in ("linear", "cosine"):
        assert (np.diff(rates[schedule])[6:] < 0).all()
        assert rates[schedule][-1] < 0.02
    np.testing.assert_allclose(rates["cosine"][6:], (1 - np.cos(np.pi * rates["linear"][6:])) / 2)


@pytest.mark.parametrize(
    ("name", "torchs"),
    [
        ("sgd", partial(torch.optim.SGD, momentum=0.9, nesterov=True)),
        ("adamw", partial(torch.optim.AdamW, eps=ADAM_EPSILON, fused=True)),
    ],
)
def test_an_optimizer_steps_as_that_of_torch_does(name, torchs):
    found = []
    for make in (None, torchs):
        torch.manual_seed(0)
        network, config = torch.nn.Linear(4, 3, bias=False), TrainConfig(optimizer=name, learning_rate=0.1)
        optimizer = make(network.parameters(), lr=0.1, weight_decay=config.weight_decay) if make else None
        optimizer = optimizer or make_optimizer(network, config)
        for _ in range(4):
            optimizer.zero_grad()
            network(torch.randn(5, 4)).square().sum().backward()
            optimizer.step()
        state = optimizer.state_dict()["state"][0]
        found.append([network.weight.detach(), *(state[key] for key in sorted(state))])
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_loss_times_a_constant_trains_the_same_network(optimizer):
    found = [
        fitted(loss=lambda *given, scale=scale: BCE(*given) * scale, optimizer=optimizer, clip=0.0)[2]
        for scale in (1.0, 2.0**-10)
    ]
    np.testing.assert_allclose(*found, rtol=1e-3)


def test_a_frozen_transformer_trains_its_head_alone(tiny_encoder):
    config = ModelConfig(name="transformer", encoder=str(tiny_encoder), freeze=True)
    network = build_network(config, 100, START)
    names = {name.partition(".")[0] for name, value in network.named_parameters() if value.requires_grad}
    assert names == {"head"}
    assert not network.train().body.encoder.training


def test_half_precision_is_chosen_by_the_device_or_refused():
    assert resolve_precision("fp32", "cpu") == "fp32"
    assert resolve_precision("auto", "cpu") in ("fp32", "bf16")
    with pytest.raises(UserError, match="fp16 needs a GPU"):
        resolve_precision("fp16", "cpu")


def test_settings_that_a_model_does_not_read_are_refused():
    with pytest.raises(UserError, match=r"'textcnn' does not read model\.pooling"):
        RunConfig.model_validate({"model": {"name": "textcnn", "pooling": "cls"}, "loss": {"name": "db"}})
    with pytest.raises(UserError, match=r"set model\.hidden"):
        RunConfig.model_validate({"model": {"name": "tfidf", "head": "label-graph"}, "loss": {"name": "db"}})
    for name, more, words in (
        ("textcnn", {}, "for model 'transformer'"),
        ("transformer", {"optimizer": "sgd"}, "train.optimizer=adamw"),
        ("transformer", {"precision": "fp16"}, "set train.precision=bf16"),
        ("transformer", {"compile": True}, "goes with neither train.compile"),
    ):
        train = {"shard": True, **more}
        with pytest.raises(UserError, match=words):
            RunConfig.model_validate({"model": {"name": name}, "loss": {"name": "db"}, "train": train})
    given = RunConfig.model_validate({"model": {"name": "textcnn"}, "loss": {"name": "db"}, "train": {"epochs": 3}})
    assert (given.train.epochs, given.train.optimizer, given.model.max_length) == (3, "adamw", 300)


@pytest.mark.parametrize("name", ["db", "cb-ntr", "bce"])
def test_a_step_in_blocks_of_labels_is_the_step_on_all_logits(name):
    loss = build_loss(name, [54, 36, 18], 90)
    weights = []
    for whole in (True, False):
        config = TrainConfig(optimizer="adamw", learning_rate=0.01, epochs=2, batch_size=30)
        network, inputs = made(dropout=0.0)
        state, used = State.begin(network, config, 90), loss
        if not whole:
            state.forward, used = blocked(network, loss)
        list(train(state, used, inputs, TARGETS, config=config, seed=0, device="cpu"))
        weights.append(dict(network.named_parameters()))
    for key, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][key], rtol=1e-3, atol=1e-4)
    assert blocked(network, build_loss("zlpr", [54, 36, 18], 90)) is None
    assert blocked(made("bigru-lwan")[0], loss) is None
