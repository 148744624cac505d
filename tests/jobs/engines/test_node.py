"""What the process on a node makes of a worker, above all of one of several that train together."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli.main import main
from core.jobs import launch, training, worker
from core.jobs.engines import Need, Offer, find_need, node, slurm_job
from core.runs import journal
from core.runs.folder import get_folder
from core.runs.layout import JOB_VARIABLE, NODE_VARIABLE, PEER_LOST, WORKER_VARIABLE, job_file, peer_failure_file
from core.runs.plan import make_config
from core.system.errors import PeerLost, UserError
from core.system.files import read_json, write_json
from core.trainer import distributed
from tests.helpers.laws import law
from tests.helpers.runs import make_folder

SMALL = ["data.synthetic.documents=300", "data.synthetic.labels=8"]
FIRST, SECOND = ({"RANK": rank, "WORLD_SIZE": "2"} for rank in "01")


def config_of(*changes, model="tfidf", loss="bce"):
    return make_config(data="synthetic", model=model, loss=loss, seed=0, changes=[*SMALL, *changes])


@pytest.fixture
def run(monkeypatch):
    """The folder of a run whose worker is odd."""
    monkeypatch.setenv(WORKER_VARIABLE, "tests.helpers.odd_worker")
    monkeypatch.setattr(node, "SEND_EVERY", 0.2)
    monkeypatch.setattr(node, "OUTLIVES", 0.4)
    for name in ("RANK", "WORLD_SIZE", node.HUNG_VARIABLE):  # `run_worker` sets them in its process
        monkeypatch.setenv(name, "1")
        monkeypatch.delenv(name)
    monkeypatch.setenv("ODD", "")
    path = make_folder(config_of())
    journal.update_status(path, state="running")
    return path


@pytest.mark.parametrize(
    ("what", "process", "status"),
    [
        ("exit 0", {}, 0),
        ("exit 1", {}, 1),
        ("die", {}, -9),
        ("exit 75", FIRST, PEER_LOST),
        ("exit 75", SECOND, PEER_LOST),
        ("exit 1", SECOND, 1),
        ("die", SECOND, -9),
    ],
)
def test_the_status_of_a_worker_is_handed_on(run, what, process, status):
    assert node.run_worker(str(run), {"ODD": what, **process}) == status
    log = "log-1.txt" if process is SECOND else "log.txt"
    assert (run / log).read_text() == f"process {process.get('RANK', 0)}\n"


@pytest.mark.slow
@pytest.mark.parametrize(("what", "process", "status"), [("hang", FIRST, -9), ("sleep", FIRST, -9), ("rest", FIRST, 0)])
def test_a_worker_that_waits_for_others_without_a_beat_is_ended(run, what, process, status):
    began = time.monotonic()
    assert node.run_worker(str(run), {"ODD": what, node.HUNG_VARIABLE: "0.01", **process}) == status
    assert time.monotonic() - began < 20
    assert ("hung" in [event["what"] for event in journal.read_events(run)]) is (status != 0)


@pytest.mark.slow
def test_a_worker_alone_is_never_ended_for_its_silence(run):
    assert node.run_worker(str(run), {"ODD": "rest", node.HUNG_VARIABLE: "0.001"}) == 0


@pytest.mark.parametrize("what", ["sleep", "exit 75", "exit 1", "die"])
@pytest.mark.parametrize("state", ["finished", "stopped", "failed"])
def test_a_process_that_is_not_the_first_ends_well_when_the_run_has_ended(run, what, state):
    journal.update_status(run, state=state)
    assert node.run_worker(str(run), {"ODD": what, **SECOND}) == 0


@pytest.mark.parametrize("minutes", ["", "soon", "1e400"])
def test_odd_minutes_are_the_usual_ones(monkeypatch, minutes):
    monkeypatch.setenv(node.HUNG_VARIABLE, minutes)
    assert node._read_patience() >= 60 * node.HUNG_MINUTES


# --- what a run with several processes asks ---


@pytest.mark.parametrize(
    ("sizes", "changes", "sentence"),
    [
        (((1, 0), (1, 0)), ["train.processes=3"], "room for 2 of train.processes=3, with 1 core each"),
        (((4, 0), (0, 0)), ["train.processes=5"], "room for 4 of train.processes=5"),
        (((4, 1), (1, 1)), ["train.processes=3", "train.device=cuda"], r"cannot give the 3 GPU\(s\)"),
        (
            ((1, 3), (4, 0)),
            ["train.processes=3", "train.device=cuda"],
            "room for 1 of .*, with 1 core and a GPU each",
        ),
        ((), [], "no node that is up"),
    ],
)
def test_processes_that_never_have_room_are_refused(sizes, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        find_need(config_of(*changes), Offer(sizes))


def test_each_process_asks_for_its_own_place(monkeypatch):
    monkeypatch.setenv("TAILSCOPE_ENGINE_CPUS", "2")
    assert find_need(config_of("train.processes=3"), Offer(((4, 0), (2, 0)))) == Need(cpus=2, gpus=0, processes=3)
    assert find_need(config_of("train.processes=2"), Offer(((4, 1), (2, 1)))) == Need(cpus=2, gpus=1, processes=2)
    at_once = config_of("train.processes=2", model="svm", loss=None)
    assert find_need(at_once, Offer(((4, 1),))) == Need(cpus=4, gpus=0, processes=1)


@law(50)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=5).map(tuple),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_places_never_take_more_than_a_node_has(sizes, cpus, gpus):
    need = Need(cpus, gpus, 1)
    places = Offer(sizes).count_places(need)
    assert places == sum(Offer((size,)).count_places(need) for size in sizes)
    assert places * cpus <= sum(has for has, _ in sizes)
    assert places * gpus <= sum(has for _, has in sizes)
    assert bool(places) is any(has >= cpus and cards >= gpus for has, cards in sizes)


@law(50)
@given(st.integers(1, 10**9), st.integers(0, 100))
def test_tasks_of_a_job_meet_at_a_port_that_no_other_start_has(job, starts):
    slurm = {"SLURM_JOB_ID": str(job), "SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_NTASKS": "2"}
    slurm |= {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7", "SLURM_RESTART_COUNT": str(starts)}
    found, again = slurm_job.find_ranks(slurm), slurm_job.find_ranks(slurm | {"SLURM_RESTART_COUNT": str(starts + 1)})
    assert 1024 < int(found["MASTER_PORT"]) < 32_768
    assert found["MASTER_PORT"] != again["MASTER_PORT"]
    assert {name: found[name] for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR")} == {
        "RANK": "1",
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "10.0.0.7",
    }


# --- a process that is lost, and one that fails by itself ---


@pytest.fixture
def on_node(monkeypatch):
    """The folder of a run of two processes whose job a cluster has; this process is a worker on a node."""
    path = make_folder(config_of("train.processes=2"))
    write_json(job_file(path), {"engine": "ray", "job": "a", "submitted": 1.0})
    monkeypatch.setenv(NODE_VARIABLE, "0")
    monkeypatch.setenv(JOB_VARIABLE, "a")
    return path


def raise_it(error):
    def raised(*_):
        raise error

    return raised


def test_a_run_whose_other_process_is_lost_goes_on(on_node, monkeypatch):
    monkeypatch.setattr(worker, "PEER_WRITES", 0.0)
    monkeypatch.setattr(training, "fit", raise_it(PeerLost("gone")))
    monkeypatch.setenv("TAILSCOPE_WEBHOOK", "http://127.0.0.1:9")
    monkeypatch.setattr("sys.argv", ["core", "train", str(on_node)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == PEER_LOST
    assert get_folder(on_node.name).state == "running"
    assert [event["what"] for event in journal.read_events(on_node)] == ["started", "another process was lost"]


def test_on_one_machine_it_fails_and_can_be_resumed(monkeypatch):
    path = make_folder(config_of("train.processes=2"))
    monkeypatch.setattr(worker, "PEER_WRITES", 0.0)
    monkeypatch.setattr(training, "fit", raise_it(PeerLost("Another process of the run has ended")))
    with pytest.raises(UserError, match="Another process"):
        worker.execute(path)
    found = get_folder(path.name)
    assert (found.state, found.kind) == ("failed", "killed")
    assert "goes on from its checkpoint" in found.why


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (UserError("No such encoder."), "Process 2 failed: No such encoder."),
        (MemoryError(), "Process 2 failed: Memory ran out."),
        (OSError(28, "No space left on device"), "Process 2 failed: The disk is full"),
        (ValueError("odd"), "Process 2 failed: ValueError: odd"),
    ],
)
def test_why_another_process_failed_is_why_the_run_failed(on_node, monkeypatch, error, words):
    monkeypatch.setattr(training, "replicate", raise_it(error))
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(type(error)):
        worker.execute(on_node)
    monkeypatch.delenv("RANK")
    # The first process loses it, or begins again with the others.
    monkeypatch.setattr(training, "fit", raise_it(PeerLost("gone")))
    with pytest.raises(UserError, match=words):
        worker.execute(on_node)
    found = get_folder(on_node.name)
    assert found.state == "failed"
    assert words in found.why
    journal.update_status(on_node, state="queued")
    with pytest.raises(UserError, match=words):
        worker._take_device(on_node)
    # Resumed, it is asked anew.
    peer_failure_file(on_node, 1).write_text("{ half")
    assert worker._read_peer_failure(on_node) is None
    journal.update_status(on_node, state="failed")
    monkeypatch.setattr(launch.local, "start", lambda *_: None)
    launch.resume(on_node.name, engine="local")
    assert not peer_failure_file(on_node, 1).exists()


def test_another_process_of_a_run_that_was_ended_elsewhere_does_nothing(on_node, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(training, "replicate", raise_it(AssertionError("it must not train")))
    journal.update_status(on_node, state="stopped")
    worker.execute(on_node)
    journal.update_status(on_node, state="queued")
    write_json(job_file(on_node), read_json(job_file(on_node)) | {"job": "b"})
    worker.execute(on_node)


@pytest.mark.parametrize(
    ("words", "lost"),
    [
        ("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:4", True),
        ("[../third_party/gloo/gloo/transport/tcp/unbound_buffer.cc:81] Timed out waiting 1800000ms", True),
        ("NCCL error in: ProcessGroupNCCL.cpp:1234, remote process exited or there was a network error", True),
        ("mat1 and mat2 shapes cannot be multiplied", False),
        ("CUDA error: device-side assert triggered", False),
        ("DefaultCPUAllocator: can't allocate memory", False),
    ],
)
def test_which_errors_tell_of_a_lost_process(words, lost):
    assert distributed.tells_loss(RuntimeError(words)) is lost
