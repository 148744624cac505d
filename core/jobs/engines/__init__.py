"""Where workers run: on this machine, on a Ray cluster or on a Slurm cluster.

A cluster is asked through five functions. Queue, placement, retries after a death, and the processes are its own; what
a run is and gave stands in the run's folder, which all nodes see.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, Protocol, cast

from core.jobs.engines.node import CACHE_VARIABLE, HUNG_VARIABLE
from core.runs.layout import NODE_VARIABLE, WORKER_VARIABLE
from core.system.errors import UserError, choose
from core.system.places import ROOT, cache_dir
from core.system.store import STORE_VARIABLE

if TYPE_CHECKING:
    from core.config.schema import RunConfig

ENGINE_VARIABLE = "TAILSCOPE_ENGINE"
CPUS_VARIABLE = "TAILSCOPE_ENGINE_CPUS"
LOCAL = "local"
ENGINES = (LOCAL, "ray", "slurm")
TITLES = {"local": "this machine", "ray": "Ray", "slurm": "Slurm"}
PASSED_ON = (
    *(WORKER_VARIABLE, STORE_VARIABLE, CACHE_VARIABLE, "AWS_ENDPOINT_URL"),
    *("HF_HUB_OFFLINE", "HF_HOME", "TAILSCOPE_WEBHOOK", HUNG_VARIABLE),
    *("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"),
)
"""Environment variables that workers on a cluster get as they are here, besides the folders of cache and data."""


class Unreachable(UserError):
    """A cluster does not answer: nothing is known of its jobs, and nothing follows from that."""


@dataclass(frozen=True)
class Need:
    """What a run asks of a cluster.

    Attributes:
        cpus: cores of each process.
        gpus: of each process.
        processes: that train together, each on a node that has room for it.
    """

    cpus: int = 1
    gpus: int = 0
    processes: int = 1


@dataclass(frozen=True)
class Offer:
    """What a cluster says it has.

    Attributes:
        sizes: cores and GPUs of each node that is up.
        jobs: that wait or run, as far as the cluster tells.
        where: its address or name; empty where it has none.
    """

    sizes: tuple[tuple[int, int], ...] = ()
    jobs: int = 0
    where: str = ""

    @property
    def nodes(self) -> int:
        """How many are up."""
        return len(self.sizes)

    @property
    def cpus(self) -> int:
        """Cores of all nodes."""
        return sum(cpus for cpus, _ in self.sizes)

    @property
    def gpus(self) -> int:
        """GPUs of all nodes."""
        return sum(gpus for _, gpus in self.sizes)

    @property
    def largest(self) -> int:
        """Cores of the node that has most."""
        return max((cpus for cpus, _ in self.sizes), default=0)

    def count_places(self, need: Need) -> int:
        """How many of a run's processes there is room for where nothing else runs."""
        return sum(min(cpus // need.cpus, gpus // need.gpus if need.gpus else cpus) for cpus, gpus in self.sizes)

    @property
    def words(self) -> str:
        """All of it in a few words."""
        counts = ((self.nodes, "node"), (self.cpus, "core"), (self.gpus, "GPU"), (self.jobs, "unfinished job"))
        return ", ".join(f"{number:,} {noun}{'' if number == 1 else 's'}" for number, noun in counts)


@dataclass(frozen=True)
class Answer:
    """What a cluster says of a job: its state, and words on how it ended, which may be empty."""

    state: Literal["waiting", "running", "ended"]
    words: str = ""


class Cluster(Protocol):
    """What a cluster's engine does. Each function raises `Unreachable` where the cluster does not answer."""

    name: str

    def where(self) -> str:
        """The address or name of the cluster; asks nobody. Raises `UserError` where none is named."""

    def describe(self) -> Offer:
        """What the cluster says it has."""

    def name_job(self, run_id: str, /) -> str:
        """The id of the job that is to be submitted next for a run; empty where the cluster chooses it."""

    def submit(self, run_id: str, job: str, /, need: Need) -> str:
        """Puts the worker of a run into the cluster's queue; gives the job's id."""

    def stop(self, job: str) -> None:
        """Ends a job with all its processes; one that has ended stays as it is."""

    def find_states(self, jobs: Collection[str]) -> dict[str, Answer]:
        """What the cluster says of each of these jobs; one that it does not know has ended."""


def choose_engine(asked: str = "", had: str = "") -> str:
    """The engine of a run.

    Args:
        asked: for this run, as by `--engine`.
        had: where the run has been before, which is where it goes on.

    Raises:
        UserError: there is no such engine.
    """
    named = os.environ.get(ENGINE_VARIABLE, "")
    if asked or had:
        return choose("engine", asked or had, ENGINES)
    if named and named not in ENGINES:
        raise UserError(f"{ENGINE_VARIABLE} says '{named[:40]}': there is {', '.join(ENGINES)}.")
    return named or LOCAL


def load_cluster(name: str) -> Cluster:
    """The engine of a cluster.

    Raises:
        UserError: it is not installed.
    """
    needed = {"ray": "ray", "slurm": "submitit"}[name]
    if find_spec(needed) is None:
        raise UserError(
            f"Runs on {TITLES[name]} need a package that is not installed: `pip install -r requirements-{name}.txt`."
        )
    return cast(Cluster, import_module(f"core.jobs.engines.{name}").ENGINE)


def find_need(config: RunConfig, offer: Offer) -> Need:
    """What a run asks of a cluster; `train.device=auto` is a GPU where the cluster has one.

    Raises:
        UserError: the cluster can never give that.
    """
    from core.config.defaults import MODELS  # not where a worker is only started

    processes, device = config.train.processes, config.train.device
    wants = not MODELS[config.model.name].at_once and (device.startswith("cuda") or (device == "auto" and offer.gpus))
    # A model that is fitted at once is one process, which takes the cores of all.
    alone = MODELS[config.model.name].at_once
    need = Need((processes if alone else 1) * _count_cpus(), int(bool(wants)), 1 if alone else processes)
    if (gpus := need.gpus * need.processes) > offer.gpus:
        has = f"it has {offer.gpus}" if offer.gpus else "it has none"
        raise UserError(f"The cluster cannot give the {gpus} GPU(s) of train.device={device}: {has}.")
    if not offer.largest:
        raise UserError("The cluster has no node that is up and has a core: start one.")
    if need.cpus > offer.largest:
        raise UserError(f"No node of the cluster has {need.cpus} cores: the largest has {offer.largest}.")
    if (places := offer.count_places(need)) < need.processes:
        each = f"{need.cpus} core{'' if need.cpus == 1 else 's'}{' and a GPU' if need.gpus else ''}"
        raise UserError(
            f"The nodes of the cluster have room for {places} of train.processes={processes}, with {each} each: "
            "lower it, or start more nodes."
        )
    return need


def _count_cpus() -> int:
    """Cores for each process of a run: `TAILSCOPE_ENGINE_CPUS`, else 1."""
    asked = os.environ.get(CPUS_VARIABLE, "1")
    if not re.fullmatch(r"[1-9]\d{0,3}", asked):
        raise UserError(f"{CPUS_VARIABLE} says '{asked[:40]}': write how many cores each run gets, such as 4.")
    return int(asked)


def make_environment(need: Need) -> dict[str, str]:
    """The environment variables of a worker on a cluster, whose nodes see checkout, cache and data where they are."""
    from core.data import sources

    named = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return named | {
        "PYTHONPATH": str(ROOT),
        "TAILSCOPE_CACHE": str(cache_dir().resolve()),
        "TAILSCOPE_DATA": os.pathsep.join(os.path.abspath(path) for path in sources.folders()),
        NODE_VARIABLE: str(need.gpus),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS") or str(max(1, need.cpus)),
    }
