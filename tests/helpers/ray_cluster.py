"""A Ray cluster on one machine, by Ray's own utility for that: a head, which runs nothing, and two nodes or more.

`python -m tests.helpers.ray_cluster` prints what names it to the dashboard and the commands, and ends it at Ctrl-C or
when its standard input ends. It is bound to this machine and asks for a token.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import secrets
import signal
import socket
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from core.jobs.engines import Unreachable, load_cluster

PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
"""Of a node's helpers. A node that chooses them itself dies where one takes 15 s to start, as on a busy machine."""


def choose_ports() -> dict[str, int]:
    """A free port for each of a node's helpers."""
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in PORTS]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(PORTS, sockets, strict=True)}


def choose_port() -> int:
    """The port of Ray's dashboard, 8265, or a free one where that is taken."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the dashboard does
        try:
            free.bind(("127.0.0.1", 8265))
        except OSError:
            free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def tell_port(services: Any) -> None:
    """Has each node told the port of its agent, which Ray gives the agent alone: a node that waits for it may die."""
    start, given = services.start_ray_process, re.compile(r"--listen-port=([1-9]\d*)")

    def start_with_port(command: list[str], process_type: str, *words: Any, **options: Any) -> Any:
        found = [port for word in command if (port := given.search(word))]
        more = [f"--dashboard_agent_listen_port={port[1]}" for port in found if process_type == "raylet"]
        return start([*command, *more], process_type, *words, **options)

    services.start_ray_process = start_with_port


def wait_for_nodes(count: int) -> None:
    """Waits until the dashboard answers and knows all nodes: the head answers for some time before it has them."""
    cluster = load_cluster("ray")
    while True:
        with suppress(Unreachable):
            if cluster.describe().nodes == count:
                return
        time.sleep(0.2)


def main() -> None:
    """Starts the cluster and waits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, help="of the dashboard, for jobs; Ray's own unless that is taken")
    parser.add_argument("--nodes", type=int, default=2, help="beside the head, which runs nothing")
    parser.add_argument("--cpus", type=int, default=1, help="of each node")
    parser.add_argument("--watch-input", action="store_true", help="end when standard input does")
    asked = parser.parse_args()
    port = asked.port or choose_port()
    token = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ |= {"RAY_raylet_start_wait_time_s": "180", "RAY_agent_register_timeout_ms": "180000"}
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    import ray  # reads the environment when it is imported
    from ray._private import services
    from ray.cluster_utils import Cluster

    tell_port(services)

    # Ray is compiled once, and not by each of its processes at every start.
    modules = Path(ray.__file__).parent
    if not modules.joinpath("dashboard", "__pycache__").is_dir():
        compileall.compile_dir(modules, quiet=2)

    # A node that is dead is known as dead after three seconds.
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000, "health_check_failure_threshold": 3}
    # In a folder of its own, as otherwise its jobs join whatever cluster was started last on this machine.
    folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
    small = {"object_store_memory": 80_000_000, "temp_dir": folder.name}
    head = {"num_cpus": 0, "include_dashboard": True, "dashboard_host": "127.0.0.1", "dashboard_port": port}
    cluster = Cluster(True, head_node_args=head | small | choose_ports() | {"_system_config": quick})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        # With addresses of their own, as otherwise jobs of the head stand on any of them.
        for number in range(2, 2 + asked.nodes):
            own = {"num_cpus": asked.cpus, "node_ip_address": f"127.0.0.{number}"}
            cluster.add_node(wait=False, **own, **small, **choose_ports())
        named = {"TAILSCOPE_ENGINE": "ray", "TAILSCOPE_RAY_ADDRESS": f"http://127.0.0.1:{port}"}
        named |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        os.environ |= named
        wait_for_nodes(asked.nodes + 1)
        print("export", *(f"{name}={value}" for name, value in named.items()), flush=True)
        if asked.watch_input:
            sys.stdin.read()
        else:
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        cluster.shutdown()
        folder.cleanup()


if __name__ == "__main__":
    main()
