"""A Ray cluster, through the documented HTTP interface of Ray Jobs: what submits a run neither imports nor starts Ray.

Ray's own client waits without end for a cluster that does not answer, and takes seconds to import.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shlex
import sys
import time
import urllib.request
from collections.abc import Collection
from http.client import HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from core.jobs.engines import Answer, Need, Offer, Unreachable, make_environment
from core.runs.folder import run_path
from core.runs.layout import JOB_VARIABLE
from core.runs.stored import JOB
from core.system.errors import UserError
from core.system.files import Broken, parse_json

ADDRESS_VARIABLE = "TAILSCOPE_RAY_ADDRESS"
ADDRESS = re.compile(r"https?://([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]{2,45}\])(:\d{1,5})?")
SECONDS = 5.0
"""After which a cluster that does not answer is given up."""
SUBMIT_SECONDS = 60.0
"""The same of one that is to take a job: with the first one it loads what takes jobs."""
NOT_YET = "No available agent"
"""What a cluster says to a job whose head has just been started."""
MOST_BYTES = 64_000_000
"""Of an answer."""
STATES = {"PENDING": "waiting", "RUNNING": "running"}
"""Of a job whose end Ray has not told; every other state is an end."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An answer that points elsewhere is an error: the token goes to the address that was named, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


_open = urllib.request.build_opener(_NoRedirect).open


class Ray:
    """See `core.jobs.engines.Cluster`."""

    name = "ray"

    def where(self) -> str:
        """The address that `TAILSCOPE_RAY_ADDRESS` names.

        Raises:
            UserError: none, or something else than an address.
        """
        named = os.environ.get(ADDRESS_VARIABLE, "").rstrip("/")
        if not named:
            raise UserError(f"Which Ray cluster? Name its dashboard: {ADDRESS_VARIABLE}=http://host:8265.")
        if not ADDRESS.fullmatch(named):
            raise UserError(f"{ADDRESS_VARIABLE} says '{named[:80]}': write an address such as http://host:8265.")
        return named

    def describe(self) -> Offer:
        """What the cluster says it has.

        Raises:
            Unreachable: it does not answer.
        """
        found = _ask("/api/v0/nodes?limit=10000&filter_keys=state&filter_predicates=%3D&filter_values=ALIVE")
        try:
            nodes = [node["resources_total"] for node in found["data"]["result"]["result"]]
            sizes = tuple((int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Unreachable(f"{self.where()} does not answer like a Ray cluster.") from None
        self._check_version()
        return Offer(sizes, sum(answer.state != "ended" for answer in _list_jobs().values()), self.where())

    def _check_version(self) -> None:
        """Checks that the cluster was started with the Ray of this installation, with which its jobs would join it.

        Raises:
            UserError: it was not.
        """
        found, here = _ask("/api/version"), version("ray")
        theirs = found.get("ray_version") if isinstance(found, dict) else None
        if isinstance(theirs, str) and theirs != here:
            raise UserError(
                f"The Ray cluster at {self.where()} runs Ray {theirs[:20]}, and Ray {here} is installed here: install "
                "the cluster's version, or start the cluster with this one."
            )

    def name_job(self, run_id: str) -> str:
        """An id that no job of the cluster has."""
        return f"{run_path(run_id).name}-{secrets.token_hex(4)}"

    def submit(self, run_id: str, job: str, need: Need) -> str:
        """Submits a job that hands the worker to a node, and to another one when that dies.

        Raises:
            Unreachable: the cluster does not answer.
            UserError: it refuses.
        """
        # Of words that are fixed, numbers, a path of this installation, and a run's id, which has letters for ids.
        words = [sys.executable, "-m", "core.jobs.engines.ray_driver", run_path(run_id).name]
        asked = {
            "entrypoint": shlex.join([*words, *map(str, (need.cpus, need.gpus, need.processes))]),
            "submission_id": job,
            "runtime_env": {"env_vars": make_environment(need) | {JOB_VARIABLE: job}},
            "metadata": {"run": run_id},
        }
        until = time.monotonic() + SUBMIT_SECONDS
        while True:
            try:
                _ask("/api/jobs/", asked, seconds=SUBMIT_SECONDS)
                return job
            except UserError as error:
                if NOT_YET not in str(error) or time.monotonic() > until:
                    raise
            time.sleep(0.5)

    def stop(self, job: str) -> None:
        """Ends a job with all its processes."""
        _ask(f"/api/jobs/{_check_job(job)}/stop", {}, missing_ok=True)

    def find_states(self, jobs: Collection[str]) -> dict[str, Answer]:
        """What the cluster says of each of these jobs."""
        known = _list_jobs()
        unknown = Answer("ended", "The cluster does not know the job: it was started anew, or has forgotten it.")
        return {job: known.get(job, unknown) for job in jobs}


def _check_job(job: str) -> str:
    if not JOB.fullmatch(job):
        raise UserError(f"'{job[:40]}' is no id of a job.")
    return job


def _list_jobs() -> dict[str, Answer]:
    """All jobs that the cluster knows, by id."""
    known = {}
    for one in _ask("/api/jobs/"):
        try:
            job, status, message = one["submission_id"], one["status"], one.get("message")
        except (KeyError, TypeError, AttributeError):
            raise Unreachable(f"{ENGINE.where()} does not answer like a Ray cluster.") from None
        state = STATES.get(str(status), "ended")
        if isinstance(job, str):  # a job that nobody submitted, such as an open shell, has no id
            known[job] = Answer(state, " ".join(str(message or "").split())[:300] if state == "ended" else "")  # type: ignore[arg-type]
    return known


def _read_token() -> str:
    """The token that Ray's own programs use; empty where there is none."""
    mode = os.environ.get("RAY_AUTH_MODE", "").lower()
    if mode not in ("", "token"):
        return ""
    if token := os.environ.get("RAY_AUTH_TOKEN", "").strip():
        return token
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    try:
        return file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        if mode:
            raise UserError(f"RAY_AUTH_MODE=token, but there is no token in RAY_AUTH_TOKEN or {file}.") from None
        return ""


def _ask(place: str, body: dict[str, Any] | None = None, *, missing_ok: bool = False, seconds: float = SECONDS) -> Any:
    """What the cluster answers: a request with a body changes something.

    Raises:
        Unreachable: it does not answer, or not like a Ray cluster.
        UserError: it refuses.
    """
    address, token = ENGINE.where(), _read_token()
    if not token.isascii() or not token.isprintable():
        raise UserError("The token of the Ray cluster has letters that no token has.")
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    data = None if body is None else json.dumps(body).encode()
    try:
        with _open(urllib.request.Request(address + place, data, headers), timeout=seconds) as answer:
            return parse_json(answer.read(MOST_BYTES))
    except HTTPError as error:
        with error:
            said = " ".join(error.read(2000).decode("utf-8", "replace").split())[:300]
        if error.code == 404 and missing_ok:
            return None
        if error.code in (401, 403):
            raise Unreachable(
                f"{address} refuses the token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN as on the cluster."
            ) from None
        if body is not None and error.code in (400, 500):
            raise UserError(f"The Ray cluster at {address} refuses the job: {said or error.reason}") from None
        raise Unreachable(f"{address} does not answer like a Ray cluster: {error.code} {error.reason}.") from None
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        words = getattr(why, "strerror", None) or str(why) or type(why).__name__
        raise Unreachable(f"The Ray cluster at {address} does not answer: {words}.") from None
    except (Broken, ValueError):
        raise Unreachable(f"{address} does not answer like a Ray cluster.") from None


ENGINE = Ray()
