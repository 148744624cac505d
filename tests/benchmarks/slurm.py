"""A Slurm cluster of two nodes on one machine, and what runs do on it: submitted, killed, queued again, stopped.

`python -m tests.benchmarks.slurm` installs Debian's slurm-wlm where it is missing, starts the cluster, checks, ends it.
`python -m tests.benchmarks.slurm --serve` keeps the cluster until Ctrl-C. Both need root, for slurmd and munge do.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import gethostname

import psutil

from core.jobs import clusters, engines, launch, sweeps
from core.runs import journal
from core.runs.folder import LIVE, get_folder
from core.runs.plan import grid
from core.system import processes
from core.system.files import read_json

SETTINGS = """ClusterName=trial
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=16817
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
MinJobAge=60
JobRequeue=1
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,requeue_delay=0
NodeName=trial[1-2] NodeHostname={host} NodeAddr=127.0.0.1 Port=[16818-16819] CPUs=2 RealMemory=4000
PartitionName=trial Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODES = ("trial1", "trial2")


@contextmanager
def start_cluster() -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Two nodes, inside the block: the daemons by name, of which any may be killed."""
    if shutil.which("slurmctld") is None:
        command = ["apt-get", "install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]
        subprocess.run(command, check=True, stdout=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        for inner in ("state", *(f"spool-{node}" for node in NODES)):
            folder.joinpath(inner).mkdir()
        settings = folder / "slurm.conf"
        settings.write_text(SETTINGS.format(host=gethostname().split(".")[0], folder=folder))
        os.environ["SLURM_CONF"] = str(settings)
        key = folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        munge = [f"--{kind}-file={folder}/munge.{kind}" for kind in ("key", "log", "pid")]
        commands = {
            "munged": ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge],
            "slurmctld": ["slurmctld", "-D"],
            **{node: ["slurmd", "-D", "-N", node] for node in NODES},
        }
        daemons = {}
        try:
            for daemon, command in commands.items():
                with folder.joinpath(f"{daemon}.out").open("wb") as out:
                    daemons[daemon] = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
                time.sleep(1.0)
            deadline = time.monotonic() + 60
            while (ready := _count_idle()) < len(NODES):
                if time.monotonic() > deadline:
                    logs = "\n".join(file.read_text(errors="replace")[-800:] for file in folder.glob("*.out"))
                    raise SystemExit(f"{ready} of {len(NODES)} nodes are up.\n{logs}")
                time.sleep(0.5)
            yield daemons
        finally:
            subprocess.run(["scancel", "--state=RUNNING"], check=False, capture_output=True, timeout=30)
            time.sleep(5.0)  # in which jobs end and say so
            for node in {*NODES} & {*daemons}:  # what outlives the signal would outlive the daemons
                kill_node(daemons, node)
            for daemon in reversed(daemons.values()):
                daemon.kill()
                daemon.wait()


def _count_idle() -> int:
    done = subprocess.run(["sinfo", "-N", "-h", "-o", "%T"], capture_output=True, text=True, check=False)
    return done.stdout.split().count("idle")


def wait_for(run_ids: list[str], *, seconds: float = 900.0) -> dict[str, str]:
    """States of runs once all have ended."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        clusters.ask_clusters()
        states = {run_id: get_folder(run_id).state for run_id in run_ids}
        if not set(states.values()) & set(LIVE):
            return states
        time.sleep(0.5)
    raise SystemExit(f"not ended within {seconds:.0f} s: {states}")


def wait_until_training(run_id: str) -> float:
    """Seconds until a run has a checkpoint and trains."""
    began = time.monotonic()
    while not any(get_folder(run_id).path.glob("checkpoint/[0-9]*")):
        clusters.ask_clusters()
        time.sleep(0.1)
    return time.monotonic() - began


def score_of(run_id: str) -> float:
    """Test micro-F1."""
    return float(read_json(get_folder(run_id).path / "metrics.json")["test"]["all"]["micro_f1"])


def check(daemons: dict[str, subprocess.Popen[bytes]], say: Callable[[str, object], None]) -> None:
    """Says what becomes of a run in two processes, of a sweep whose worker and node are killed, and of a stop."""
    offer = engines.load_cluster("slurm").describe()
    say("offer", offer.words)
    check_together(say)
    changes = ["model.hidden=0", "train.epochs=12", "train.patience=12", "train.checkpoint_steps=10"]
    configs = grid(data="synthetic", models=["tfidf"], losses=["bce", "db"], seeds=[0, 1], changes=changes)
    began = time.monotonic()
    runs = [run.id for run in sweeps.submit(configs, engine="slurm")]
    say("submit_seconds_each", round((time.monotonic() - began) / len(runs), 2))
    # A worker is killed, then the node on which another one trains.
    wait_until_training(runs[0])
    say("first_trains_after", round(time.monotonic() - began, 1))
    next(iter(processes.processes_of(get_folder(runs[0]).path))).kill()
    wait_until_training(runs[-1])
    job, _ = journal.read_job(get_folder(runs[-1]).path)
    assert job is not None
    node = subprocess.run(
        ["squeue", "-h", "-j", job.job, "-o", "%N"], capture_output=True, text=True, check=True
    ).stdout.strip()
    say("node_killed", node)
    kill_node(daemons, node)
    states = wait_for(runs)
    say("states", sorted(states.values()))
    say(
        "starts",
        [sum(one["what"] == "started" for one in journal.read_events(get_folder(run_id).path)) for run_id in runs],
    )
    say("sweep_seconds", round(time.monotonic() - began, 1))
    # The same on this machine.
    scores = [score_of(run_id) for run_id in runs]
    for run_id in runs:
        launch.resume(run_id, anew=True, engine="local")
    wait_for(runs)
    say("same_scores", scores == [score_of(run_id) for run_id in runs])
    # Stop and resume.
    (config,) = grid(
        data="synthetic", models=["tfidf"], losses=["bce"], seeds=[9], changes=[*changes[:1], "train.epochs=10000"]
    )
    run = launch.submit(config, engine="slurm")
    while not get_folder(run.id).progress.get("epoch"):
        time.sleep(0.1)
    began = time.monotonic()
    say("stopped", launch.stop(run.id).state)
    say("stop_seconds", round(time.monotonic() - began, 1))
    say("checkpoint_stays", any(run.path.glob("checkpoint/[0-9]*")))


def check_together(say: Callable[[str, object], None]) -> None:
    """Says what becomes of a run in two processes, one on each node, of which one is killed."""
    changes = ["train.processes=2", "train.epochs=24", "train.patience=24", "train.checkpoint_steps=5"]
    changes += ["model.dropout=0", "model.embedding=12", "model.filters=6", "model.max_length=24"]
    changes += ["data.synthetic.documents=240", "data.synthetic.labels=8", "train.batch_size=16"]
    (config,) = grid(data="synthetic", models=["textcnn"], losses=["db"], seeds=[0], changes=changes)
    os.environ["TAILSCOPE_ENGINE_CPUS"] = "2"  # all that a node has
    run = launch.submit(config, engine="slurm")
    del os.environ["TAILSCOPE_ENGINE_CPUS"]
    say("two processes have a checkpoint after", round(wait_until_training(run.id), 1))
    ranks = {one.environ().get("RANK"): one for one in processes.processes_of(run.path)}
    say("they are on", sorted(one.environ()["SLURMD_NODENAME"] for one in ranks.values()))
    began = time.monotonic()
    ranks["1"].kill()
    say("the second is killed; state", wait_for([run.id]))
    say("seconds from there to the end", round(time.monotonic() - began, 1))
    say("starts", sum(one["what"] == "started" for one in journal.read_events(run.path)))
    score = score_of(run.id)
    launch.resume(run.id, anew=True, engine="local")
    wait_for([run.id])
    say("same score as in two processes here", score == score_of(run.id))


def kill_node(daemons: dict[str, subprocess.Popen[bytes]], node: str) -> None:
    """Kills a node's daemon and all that it started: first what would tell of the death of the others."""
    of_node = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get("SLURMD_NODENAME") == node:
                of_node.append(process)
    steps = {parent for process in of_node for parent in process.parents() if parent.name() == "slurmstepd"}
    daemons[node].kill()
    for process in (*steps, *of_node):
        with suppress(psutil.Error):
            process.kill()


def main() -> None:
    """Starts the cluster, and checks or waits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="keep the cluster until Ctrl-C")
    serve = parser.parse_args().serve
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with start_cluster() as daemons:
        if not serve:
            with tempfile.TemporaryDirectory(prefix="tailscope-") as cache:
                os.environ["TAILSCOPE_CACHE"] = cache
                check(daemons, lambda what, found: print(f"{what}: {found}", flush=True))
            return
        print(f"export SLURM_CONF={os.environ['SLURM_CONF']} TAILSCOPE_ENGINE=slurm\nCtrl-C ends the cluster.")
        try:
            signal.pause()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
