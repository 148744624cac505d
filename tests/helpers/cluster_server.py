"""What stands at a Ray cluster's address in tests of what clusters may say: a server that says what it is told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ClusterServer(ThreadingHTTPServer):
    """Answers with `said`: status, headers, body; `headers` and `methods` are those it got.

    Its one node has 4 cores and a GPU, `version` is what it says of its Ray. It takes a job after `thinks` seconds, and
    after it was asked `early` times too early.
    """

    said: tuple[int, dict[str, str], Any] = (200, {}, [])
    version: Any = None
    thinks: float = 0.0
    early: int = 0

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.headers: list[dict[str, str]] = []
        self.methods: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    """One answer."""

    server: ClusterServer

    def do_GET(self) -> None:
        self.server.headers.append(dict(self.headers))
        self.server.methods.append(self.command)
        status, headers, body = self.server.said
        if status == 200 and self.path.startswith("/api/v0/nodes"):
            body = {"data": {"result": {"result": [{"resources_total": {"CPU": 4.0, "GPU": 1.0}}]}}}
        if status == 200 and self.path == "/api/version":
            body = self.server.version
        if self.command == "POST":
            time.sleep(self.server.thinks)
            if self.server.early:
                self.server.early -= 1
                status, body = 500, b"No available agent to submit job, please try again later."
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@contextmanager
def serve_cluster() -> Iterator[ClusterServer]:
    """The server, inside the block."""
    with ClusterServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()
