"""A Slurm cluster: submitit writes the batch file and has a job queued again that its time limit or its node ends.

Slurm's own commands, called with lists of words and no shell, tell of jobs and nodes. `squeue` answers on clusters that
keep no accounts as well; `sacct`, which submitit asks, does not.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection

from core.jobs.engines import Answer, Need, Offer, Unreachable, make_environment
from core.runs.folder import run_path
from core.runs.stored import JOB
from core.system.errors import UserError, choose
from core.system.places import ROOT

OPTIONS_VARIABLE = "TAILSCOPE_SLURM"
OPTIONS = ("partition", "account", "qos", "time", "mem", "constraint", "gres", "nodelist", "exclude")
VALUE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:@&|*\[\]-]{0,99}")
DAY = "1-00:00:00"
"""The time limit of a job unless the options name one; a job that reaches it is queued again."""
REQUEUES = 100
"""How often a time limit may end a job."""
SECONDS = 10.0
"""After which a command of Slurm is given up."""
WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
RUNNING = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
DOWN = ("down", "drain", "fail", "maint", "power", "unk")
"""How the state of a node begins that takes no job."""


class Slurm:
    """See `core.jobs.engines.Cluster`."""

    name = "slurm"

    def where(self) -> str:
        """Empty: Slurm's own configuration says which cluster it is."""
        return ""

    def describe(self) -> Offer:
        """What the cluster, or the partition of the options, says it has.

        Raises:
            Unreachable: it does not answer.
            UserError: the options make no sense, or there is no such partition.
        """
        partition = read_options().get("partition", "")
        words = ["--Node", "--noheader", "--format=%N|%c|%T|%G", *([f"--partition={partition}"] if partition else [])]
        nodes = {}
        for line in _call("sinfo", *words).splitlines():
            name, cpus, state, resources = [*line.split("|", 3), "", "", ""][:4]
            if name and cpus.isdecimal() and not state.startswith(DOWN):
                gpus = sum(int(found) for found in re.findall(r"\bgpu(?::[^:,()]+)?:(\d{1,4})", resources))
                nodes[name] = (int(cpus), gpus)
        if partition and not nodes:
            raise UserError(f"{OPTIONS_VARIABLE}: partition {partition} does not exist, or none of its nodes is up.")
        jobs = len(_call("squeue", "--noheader", "--format=%i").split())
        return Offer(tuple(nodes.values()), jobs)

    def name_job(self, _run_id: str) -> str:
        """Empty: Slurm numbers its jobs."""
        return ""

    def submit(self, run_id: str, _job: str, need: Need) -> str:
        """Submits a job that is queued again when its node or its time limit ends it.

        Raises:
            UserError: the cluster refuses it.
        """
        import submitit

        from core.jobs.engines.slurm_job import Work

        path, options = run_path(run_id), read_options()
        named = {name: value for name, value in options.items() if name not in ("time", "mem")}
        forced = {"requeue": True, "chdir": str(ROOT), "time": options.get("time", DAY)}
        if "mem" in options:
            forced["mem"] = options["mem"]
        if need.processes > 1:  # on as many nodes as have room for them
            forced |= {"ntasks": need.processes, "nodes": f"1-{need.processes}"}
        try:
            executor = submitit.SlurmExecutor(folder=path.resolve() / "slurm", max_num_timeout=REQUEUES)
            executor.update_parameters(
                job_name=run_id,
                cpus_per_task=need.cpus,
                **named,
                **({"gpus_per_task" if need.processes > 1 else "gpus_per_node": need.gpus} if need.gpus else {}),
                additional_parameters=forced,
            )
            return str(executor.submit(Work(str(path.resolve()), make_environment(need))).job_id)
        except (RuntimeError, subprocess.SubprocessError, submitit.core.utils.FailedJobError) as error:
            raise UserError(f"Slurm refuses the job: {_last_line(str(error))}") from None

    def stop(self, job: str) -> None:
        """Ends a job with all its processes."""
        if not JOB.fullmatch(job):
            raise UserError(f"'{job[:40]}' is no id of a job.")
        _call("scancel", job, unknown_ok=True)

    def find_states(self, jobs: Collection[str]) -> dict[str, Answer]:
        """What the cluster says of each of these jobs."""
        asked = [job for job in jobs if job.isdecimal()]
        known = {}
        if asked:
            lines = _call(
                "squeue", "--noheader", "--states=all", "--format=%i|%T", f"--jobs={','.join(asked)}", unknown_ok=True
            )
            known = dict(line.split("|", 1) for line in lines.splitlines() if "|" in line)
        return {job: _read_state(known.get(job, "")) for job in jobs}


def _read_state(word: str) -> Answer:
    """What a state of Slurm says; a job that it lists no longer has ended."""
    word = word.strip()
    if word in WAITING:
        return Answer("waiting")
    return Answer("running") if word in RUNNING else Answer("ended", f"Slurm says {word}." if word else "")


def read_options() -> dict[str, str]:
    """The options of `TAILSCOPE_SLURM`, such as `partition=gpu time=12:00:00`.

    Raises:
        UserError: an unknown option, or a value with letters that no option has.
    """
    options = {}
    for word in os.environ.get(OPTIONS_VARIABLE, "").split():
        name, _, value = word.partition("=")
        choose(f"option of {OPTIONS_VARIABLE}", name[:40], OPTIONS)
        if not VALUE.fullmatch(value):
            raise UserError(f"{OPTIONS_VARIABLE} says '{word[:80]}': write name=value, such as partition=gpu.")
        options[name] = value
    return options


def _call(command: str, *words: str, unknown_ok: bool = False) -> str:
    """What a command of Slurm prints.

    Raises:
        Unreachable: it is not there, fails, or takes longer than `SECONDS`.
    """
    if shutil.which(command) is None:
        raise Unreachable(f"Slurm does not answer: there is no {command} here. Work on a node that submits jobs.")
    try:
        done = subprocess.run(
            [command, *words], capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unreachable(f"Slurm does not answer: {command} took more than {SECONDS:g} s.") from None
    except OSError as error:
        raise Unreachable(f"Slurm does not answer: {command}: {error.strerror}.") from None
    if done.returncode and not (unknown_ok and "invalid job id" in done.stderr.lower()):
        raise Unreachable(f"Slurm does not answer: {_last_line(done.stderr) or f'{command} failed'}")
    return done.stdout


def _last_line(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    return lines[-1][-300:] if lines else ""


ENGINE = Slurm()
