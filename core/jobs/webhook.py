"""The webhook: how a run has ended, posted to an address."""

from __future__ import annotations

import json
import os
import urllib.request
from http.client import HTTPException
from pathlib import Path

from core.runs import journal
from core.runs.folder import LIVE

WEBHOOK_SECONDS = 5.0
"""Seconds after which a webhook that does not answer is given up."""


def post_outcome(path: Path) -> None:
    """Posts how a run has ended to `TAILSCOPE_WEBHOOK`, if that is set; a failure there is an event, not an error."""
    url = os.environ.get("TAILSCOPE_WEBHOOK", "")
    if not url:
        return
    status = journal.read_status(path)
    if status["state"] in LIVE:  # on a cluster, which starts its processes again
        return
    seconds = round(status["ended"] - status["started"], 3) if "started" in status else None
    outcome = {"run": path.name, "seconds": seconds} | {key: status.get(key, "") for key in ("state", "reason", "user")}
    try:
        if not url.lower().startswith(("http://", "https://")):
            raise ValueError("TAILSCOPE_WEBHOOK is no http(s) address")
        request = urllib.request.Request(url, json.dumps(outcome).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS) as answer:
            journal.append_event(path, "webhook told", status=answer.status)
    except (OSError, ValueError, HTTPException) as error:
        journal.append_event(path, "webhook failed", error=str(error))
