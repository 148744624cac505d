"""What a run on a cluster is, by its folder and by what the cluster says; what is wrong is said in a sentence."""

import json
import os
import re
import time
from importlib.metadata import version

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.cli.main import main
from core.data import sources
from core.jobs import clusters, engines, launch, sweeps
from core.jobs.engines import ray, slurm
from core.runs import folder, journal
from core.runs.folder import LIVE, get_folder
from core.runs.layout import job_file, stop_flag
from core.runs.plan import make_config
from core.system.errors import UserError
from core.system.files import read_json, write_json
from tests.helpers.cluster_server import serve_cluster
from tests.helpers.damages import WHOLE
from tests.helpers.laws import law
from tests.helpers.runs import make_folder
from tests.jobs.test_faults import full_disk

JOB = "a-job-0123"


@pytest.fixture
def server(monkeypatch):
    """A cluster's address with a token."""
    with serve_cluster() as found:
        monkeypatch.setenv("TAILSCOPE_RAY_ADDRESS", found.address)
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        monkeypatch.setenv("RAY_AUTH_TOKEN", "t0ken")
        yield found


@pytest.fixture
def nowhere(monkeypatch):
    """An address where nothing answers."""
    monkeypatch.setenv("TAILSCOPE_RAY_ADDRESS", "http://127.0.0.1:9")
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)


def make_config_of(seed=0, *changes):
    small = ["data.synthetic.documents=300", "data.synthetic.labels=8"]
    return make_config(data="synthetic", model="tfidf", loss="bce", seed=seed, changes=[*small, *changes])


def make_run(status="running", where="", **job):
    """The folder of a run whose job a cluster has."""
    path = make_folder(make_config_of())
    journal.update_status(path, state=status, **({"started": 100.0} if status == "running" else {}))
    write_json(job_file(path), {"engine": "ray", "job": JOB, "where": where, "submitted": 1.0, **job})
    clusters.note(path.name)
    return path


def job_of(path):
    return journal.read_job(path)[0]


def list_jobs(status, message=""):
    return (
        200,
        {},
        [{"submission_id": JOB, "status": status, "message": message}, {"submission_id": None, "status": "x"}],
    )


@pytest.mark.parametrize("answer", ["", "waiting", "running", "ending"])
def test_a_run_on_a_cluster_lives_without_a_lock_until_the_cluster_says_that_it_ended(answer):
    path = make_run(state=answer)
    assert get_folder(path.name).state == "running"
    with pytest.raises(UserError, match="is running: stop it first"):
        launch.delete(path.name)


def test_a_job_that_waits_again_is_queued_until_its_worker_has_started_again():
    path = make_run(state="waiting", started=100.0)
    found = get_folder(path.name)
    assert (found.state, found.progress["phase"]) == ("queued", "waiting for ray")
    journal.update_status(path, started=50.0)  # by a node whose clock is late
    assert get_folder(path.name).state == "running"


@pytest.mark.parametrize(("asked", "state"), [(False, "lost"), (True, "stopped")])
def test_a_job_that_ended_without_a_word_of_the_run(asked, state):
    path = make_run(state="ended", words="out of memory")
    if asked:
        stop_flag(path).touch()
    found = get_folder(path.name)
    assert found.state == state
    assert ("out of memory" in found.reason) is not asked
    journal.update_status(path, state="finished", progress={})
    assert get_folder(path.name).state == "finished"


@pytest.mark.parametrize("shift", [-3600.0, 3600.0, -1e9])
def test_no_clock_of_a_node_matters(shift):
    path = make_run()
    journal.update_status(path, started=time.time() + shift)
    write_json(path / "heartbeat.json", {"time": time.time() + shift, "cpu": 1.0})
    found = get_folder(path.name)
    assert (found.state, found.remark) == ("running", "")


def test_a_run_whose_submission_was_killed_never_reached_its_cluster():
    path = make_run(status="queued", job="")
    found = get_folder(path.name)
    assert found.state == "lost"
    assert "never reached" in found.reason


def test_an_end_must_be_said_twice(server):
    path = make_run(where=server.address)
    server.said = list_jobs("FAILED", "killed\n by  the driver")
    clusters.ask_clusters(at_once=True)
    assert (job_of(path).state, get_folder(path.name).state) == ("ending", "running")
    clusters.ask_clusters(at_once=True)
    found = get_folder(path.name)
    assert found.state == "lost"
    assert "The cluster says: killed by the driver" in found.reason
    # Nothing more is asked of it.
    asked = len(server.headers)
    clusters.ask_clusters(at_once=True)
    clusters.ask_clusters(at_once=True)
    assert len(server.headers) <= asked + 1


def test_an_end_that_is_taken_back_is_none(server):
    path = make_run(where=server.address)
    for status in ("FAILED", "RUNNING", "FAILED", "PENDING"):
        server.said = list_jobs(status)
        clusters.ask_clusters(at_once=True)
    assert job_of(path).state == "waiting"
    assert get_folder(path.name).state == "queued"


def test_a_cluster_is_asked_once_for_all_runs_and_not_at_every_look(server):
    first = make_run(where=server.address)
    other = make_folder(make_config_of(1))
    write_json(job_file(other), {"engine": "ray", "job": "b", "where": server.address})
    clusters.note(other.name)
    server.said = list_jobs("RUNNING")
    for _ in range(20):
        clusters.ask_clusters()
    assert len(server.headers) == 1
    assert (job_of(first).state, job_of(other).state) == ("running", "ending")


def test_a_cluster_that_does_not_answer_changes_no_state_and_says_since_when(server, nowhere, monkeypatch):
    path = make_run(where="http://127.0.0.1:9", state="running")
    clusters.ask_clusters(at_once=True)
    since = job_of(path).unreachable
    found = get_folder(path.name)
    assert found.state == "running"
    words = time.strftime("%H:%M", time.localtime(since))
    assert found.remark.startswith(f"The cluster does not answer since {words}. The Ray cluster at http://127.0.0.1:9")
    clusters.ask_clusters(at_once=True)
    assert job_of(path).unreachable == since
    # It answers again.
    write_json(job_file(path), read_json(job_file(path)) | {"where": server.address})
    monkeypatch.setenv("TAILSCOPE_RAY_ADDRESS", server.address)
    server.said = list_jobs("RUNNING")
    clusters.ask_clusters(at_once=True)
    assert get_folder(path.name).remark == ""


def test_a_stop_that_the_cluster_does_not_hear_is_asked_of_the_worker(nowhere):
    path = make_run(where="http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"does not answer: .* It was asked to stop, and does so after its next step"):
        launch.stop(path.name, grace=0.0)
    assert stop_flag(path).exists()
    assert get_folder(path.name).state == "running"


def test_no_other_address_than_the_one_that_is_named_is_asked_or_gets_the_token(server):
    path = make_run(where="http://127.0.0.1:9")
    clusters.ask_clusters(at_once=True)
    assert server.headers == []
    assert f"submitted to http://127.0.0.1:9, and {server.address} is named now" in get_folder(path.name).remark
    server.said = (302, {"Location": "http://127.0.0.1:9/api/jobs/"}, b"")
    with pytest.raises(engines.Unreachable, match="does not answer like a Ray cluster: 302"):
        engines.load_cluster("ray").describe()
    assert [headers["Authorization"] for headers in server.headers] == ["Bearer t0ken"]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ((401, {}, b"no"), "refuses the token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"),
        ((404, {}, b""), "does not answer like a Ray cluster: 404"),
        ((200, {}, b"<html>"), "does not answer like a Ray cluster"),
        ((200, {}, b'{"a": 1}'), "does not answer like a Ray cluster"),
        ((200, {}, [1, "x"]), "does not answer like a Ray cluster"),
        ((200, {}, [{"status": "RUNNING"}]), "does not answer like a Ray cluster"),
        ((200, {}, WHOLE["depth 10,000"]), "does not answer like a Ray cluster"),
        ((200, {"Content-Length": "50"}, b"[]"), "does not answer"),
    ],
)
def test_what_answers_unlike_a_cluster_is_a_sentence(server, said, sentence, cache):
    server.said = said
    with pytest.raises(UserError, match=sentence):
        launch.submit(make_config_of(), engine="ray")
    assert not list((cache / "runs").glob("*"))


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TAILSCOPE_RAY_ADDRESS", "", "Which Ray cluster"),
        ("TAILSCOPE_RAY_ADDRESS", "ray://x", "write an address such as"),
        ("TAILSCOPE_RAY_ADDRESS", "http://a b", "write an address such as"),
        ("TAILSCOPE_RAY_ADDRESS", "http://u:p@host:1", "write an address such as"),
        ("TAILSCOPE_RAY_ADDRESS", "file:///etc/passwd", "write an address such as"),
        ("RAY_AUTH_TOKEN", "a\nb", "letters that no token has"),
        ("TAILSCOPE_ENGINE_CPUS", "many", "TAILSCOPE_ENGINE_CPUS says 'many'"),
        ("TAILSCOPE_ENGINE_CPUS", "500", "No node of the cluster has 500 cores: the largest has 4"),
    ],
)
def test_what_is_named_wrongly_is_a_sentence(server, monkeypatch, name, value, sentence):
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=sentence):
        sweeps.submit([make_config_of(0), make_config_of(1)], engine="ray")


@pytest.mark.parametrize("ray", ["2.9.3", "3.0.0.dev0", "2.60.0+local" + "x" * 99])
def test_a_cluster_of_another_version_is_a_sentence(server, ray, cache):
    server.version = {"version": "4", "ray_version": ray, "ray_commit": "abc"}
    with pytest.raises(
        UserError, match=rf"runs Ray {re.escape(ray[:20])}, and Ray \d+\.\d+\.\d+ is installed here: install"
    ):
        launch.submit(make_config_of(), engine="ray")
    assert not list((cache / "runs").glob("*"))
    assert "is installed here" in clusters.describe_engine("ray")


@pytest.mark.parametrize(
    "said", [{}, [], None, {"ray_version": None}, {"ray_version": 2}, {"ray_version": version("ray")}]
)
def test_a_cluster_that_does_not_say_its_version_or_the_same_is_taken(server, said):
    server.version = said
    assert clusters.describe_engine("ray").endswith("has 1 node, 4 cores, 1 GPU, 0 unfinished jobs.")


@pytest.mark.slow
def test_a_cluster_may_take_longer_for_its_first_job_than_for_a_question(server):
    server.thinks = 6.0
    run = launch.submit(make_config_of(), engine="ray")
    assert get_folder(run.id).state == "queued"
    assert server.methods.count("POST") == 1


def test_a_cluster_that_has_just_been_started_takes_the_job_a_moment_later(server):
    server.early = 2
    launch.submit(make_config_of(), engine="ray")
    assert server.methods.count("POST") == 3


def test_a_cluster_that_never_takes_jobs_is_a_sentence(server, cache, monkeypatch):
    server.early = 1000
    monkeypatch.setattr(ray, "SUBMIT_SECONDS", 0.6)
    with pytest.raises(UserError, match="refuses the job: No available agent to submit job"):
        launch.submit(make_config_of(), engine="ray")
    assert server.methods.count("POST") > 1
    assert not list((cache / "runs").glob("*"))


def test_a_shared_disk_that_is_full_is_a_sentence_and_nothing_is_submitted(server, cache):
    config, other = make_config_of(), make_folder(make_config_of(1))
    sources.load(config.data)
    with full_disk(), pytest.raises(UserError, match="cannot be started: File too large"):
        launch.submit(config, engine="ray")
    assert [path.name for path in (cache / "runs").iterdir()] == [other.name]
    assert "POST" not in server.methods
    # What a cluster answers meanwhile is not kept, and no state flips for that.
    path = make_run(where=server.address)
    server.said = list_jobs("FAILED")
    with full_disk():
        clusters.ask_clusters(at_once=True)
        clusters.ask_clusters(at_once=True)
    assert get_folder(path.name).state == "running"


@pytest.mark.parametrize(("engine", "package"), [("ray", "ray"), ("slurm", "submitit")])
def test_an_engine_that_is_not_installed_is_a_sentence(monkeypatch, engine, package):
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == package else name)
    with pytest.raises(UserError, match=f"`pip install -r requirements-{engine}.txt`"):
        launch.submit(make_config_of(), engine=engine)


def test_an_unknown_engine_is_a_sentence(monkeypatch, capsys):
    monkeypatch.setenv("TAILSCOPE_ENGINE", "kubernetes")
    with pytest.raises(UserError, match=r"TAILSCOPE_ENGINE says 'kubernetes': there is local, ray, slurm\."):
        launch.submit(make_config_of())
    monkeypatch.setattr("sys.argv", ["core", "train", "--data", "synthetic", "--loss", "bce", "--engine", "rai"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "Did you mean 'ray'?" in capsys.readouterr().err


def test_where_a_run_goes(monkeypatch):
    assert engines.choose_engine() == "local"
    monkeypatch.setenv("TAILSCOPE_ENGINE", "slurm")
    assert engines.choose_engine() == "slurm"
    assert engines.choose_engine(had="ray") == "ray"
    assert engines.choose_engine("local", had="ray") == "local"


def test_the_engine_is_no_part_of_the_question():
    assert "engine" not in json.dumps(make_config_of().model_dump())


@pytest.mark.parametrize("content", WHOLE.values(), ids=WHOLE)
def test_a_damaged_engine_file_flips_no_state_and_says_what_to_do(content):
    path = make_run()
    job_file(path).write_bytes(content)
    clusters.ask_clusters(at_once=True)
    found = get_folder(path.name)
    assert found.state == "running"
    assert "delete that file, then resume the run" in found.remark
    with pytest.raises(UserError, match=r"engine\.json"):
        launch.stop(path.name, grace=0.0)
    job_file(path).unlink()
    assert get_folder(path.name).state == "stopped"


@pytest.mark.parametrize("job", ["../../x", "a b", "a;rm -rf", "-x", "a/b", "x" * 300, "a\n", "$(id)", 5, None, "é"])
def test_a_hostile_job_id_reaches_no_cluster(server, job):
    path = make_run(where=server.address)
    write_json(job_file(path), read_json(job_file(path)) | {"job": job})
    clusters.ask_clusters(at_once=True)
    assert server.headers == []
    assert "engine.json is damaged" in get_folder(path.name).remark
    for cluster in ("ray", "slurm"):
        if isinstance(job, str):
            with pytest.raises(UserError, match="is no id of a job"):
                engines.load_cluster(cluster).stop(job)


@law(25)
@given(
    st.dictionaries(
        st.sampled_from(["engine", "job", "where", "state", "words", "started", "unreachable", "why"]),
        st.none()
        | st.text(max_size=8)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.sampled_from(["ray", "ended", "running", "job"]),
    )
)
def test_whatever_an_engine_file_holds_the_run_has_a_state(tmp_path_factory, entries):
    path = tmp_path_factory.getbasetemp() / "a-0"
    path.mkdir(exist_ok=True)
    write_json(path / "status.json", {"state": "running"})
    write_json(job_file(path), entries)
    found = folder.read_folder(path)
    assert found.state in (*LIVE, "lost")
    assert found.state in LIVE or entries.get("state") == "ended" or entries.get("job") == ""


def test_a_resumed_run_does_not_take_the_answer_of_its_last_job(server):
    path = make_run(where=server.address)
    old = job_of(path)
    write_json(job_file(path), read_json(job_file(path)) | {"job": "b"})
    clusters._keep_answer(path, old, "ended", "")
    clusters._keep_answer(path, old, "ended", "")
    assert (job_of(path).job, job_of(path).state) == ("b", "")


def test_a_cluster_that_refuses_leaves_an_ended_run_as_it_was(nowhere):
    path = make_run(status="stopped", where="http://127.0.0.1:9")
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    for anew in (False, True):
        with pytest.raises(UserError, match="does not answer"):
            launch.resume(path.name, anew=anew)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("partition=gpu;id", "write name=value"),
        ("partition", "write name=value"),
        ("partition=--wrap=id", "write name=value"),
        ("wrap=id", "There is no option of TAILSCOPE_SLURM named 'wrap'"),
        ("partitoin=gpu", "Did you mean 'partition'?"),
        ("mem=$(id)", "write name=value"),
    ],
)
def test_options_of_slurm_are_words(monkeypatch, options, sentence):
    monkeypatch.setenv("TAILSCOPE_SLURM", options)
    with pytest.raises(UserError) as said:
        slurm.read_options()
    assert sentence in str(said.value)


def test_slurm_that_is_not_here_is_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(engines.Unreachable, match="there is no sinfo here"):
        launch.submit(make_config_of(), engine="slurm")


@pytest.fixture
def commands(monkeypatch, tmp_path):
    """Puts commands of Slurm in front of all others, which are shell scripts."""

    def put(**scripts):
        for name, script in scripts.items():
            tmp_path.joinpath(name).write_text(f"#!/bin/sh\n{script}\n")
            tmp_path.joinpath(name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    return put


NODES = "printf 'a|8|idle|gpu:a100:2(S:0-1)\nb|4|mixed|(null)\nc|64|down*|(null)\n'"
READY = {"sinfo": NODES, "squeue": "true", "srun": "true"}


@pytest.mark.parametrize(
    ("scripts", "settings", "sentence"),
    [
        (
            {"sinfo": "true", "squeue": "true"},
            "partition=nosuch",
            "partition nosuch does not exist, or none",
        ),
        ({"sinfo": "true", "squeue": "true"}, "", "no node that is up and has a core"),
        (
            {"sinfo": NODES, "squeue": "echo >&2 'Unable to contact'; exit 1"},
            "",
            "Unable to contact",
        ),
        ({"sinfo": "echo >&2 'sinfo: error: Zero Bytes were transmitted or received'; exit 1"}, "", "Zero Bytes were"),
        (
            {"sinfo": "echo >&2 'Incompatible versions of client and server code'; exit 1"},
            "",
            "Incompatible versions of",
        ),
        ({"sinfo": "exit 3"}, "", "sinfo failed"),
        ({"sinfo": "sleep 5"}, "", "sinfo took more than 0.2 s"),
        (
            {"sinfo": NODES, "squeue": "true", "srun": "true", "sbatch": "echo >&2 'Invalid account'; exit 1"},
            "",
            "Invalid",
        ),
        ({"sinfo": NODES, "squeue": "true", "srun": "true", "sbatch": "echo so"}, "", "Slurm refuses the job: "),
    ],
)
def test_what_slurm_says_is_a_sentence_and_leaves_no_run(commands, monkeypatch, cache, scripts, settings, sentence):
    commands(**scripts)
    monkeypatch.setattr(slurm, "SECONDS", 0.2 if "sleep" in scripts["sinfo"] else 10.0)
    monkeypatch.setenv("TAILSCOPE_SLURM", settings)
    with pytest.raises(UserError, match=sentence):
        launch.submit(make_config_of(), engine="slurm")
    assert not list((cache / "runs").glob("*"))


def test_what_slurm_has_and_what_a_run_of_several_processes_asks_of_it(commands, monkeypatch):
    written = 'cp "$1" $TAILSCOPE_CACHE/written; echo Submitted batch job 77'
    commands(sinfo=NODES, squeue="echo 5", srun="true", sbatch=written)
    offer = engines.load_cluster("slurm").describe()
    assert (offer.sizes, offer.jobs) == (((8, 2), (4, 0)), 1)
    monkeypatch.setenv("TAILSCOPE_ENGINE_CPUS", "4")
    run = launch.submit(make_config_of(0, "train.processes=3", "train.device=cpu"), engine="slurm")
    lines = (run.path.parent.parent / "written").read_text().splitlines()
    assert {"#SBATCH --ntasks=3", "#SBATCH --nodes=1-3", "#SBATCH --cpus-per-task=4", "#SBATCH --requeue"} <= set(lines)
    assert job_of(run.path).job == "77"
    assert not [line for line in lines if "gpu" in line]
    launch.submit(make_config_of(1, "train.processes=2", "train.device=cuda"), engine="slurm")
    assert "#SBATCH --gpus-per-task=1" in (run.path.parent.parent / "written").read_text()


@pytest.mark.parametrize(
    ("word", "state"),
    [("PENDING", "waiting"), ("REQUEUED", "waiting"), ("RUNNING", "running"), ("NODE_FAIL", "ended"), ("", "ended")],
)
def test_states_of_slurm(word, state):
    assert slurm._read_state(word).state == state
