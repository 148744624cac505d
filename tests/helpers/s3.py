"""A server that speaks S3, in this process."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"}
"""Environment variables with which it takes requests."""


@contextlib.contextmanager
def serve_s3() -> Iterator[str]:
    """Its address, inside the block."""
    from moto.server import ThreadedMotoServer

    with contextlib.redirect_stderr(io.StringIO()):
        server = ThreadedMotoServer("127.0.0.1", 0)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield f"http://{host}:{port}"
        finally:
            server.stop()
