"""Ends a process at one of its writes, as a node ends whose power fails: nothing is closed, moved or said.

`DIE_AT` names the write by its number, from 1: a file that is opened to be written, or moved to its name, below one of
the folders in `DIE_IN`. `python -m tests.helpers.dying node RUN` is the process of a cluster on a node, and `... train
RUN` the worker without torch.
"""

import os
import signal
import sys

AT, IN = "DIE_AT", "DIE_IN"


def die_at(number: int, folders: list[str]) -> None:
    """Kills this process just before its write of this number."""
    left = number

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event == "open":
            path, _, flags = arguments
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event == "os.rename":
            path = arguments[1]
        else:
            return
        if isinstance(path, (str, os.PathLike)) and any(str(path).startswith(folder) for folder in folders):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


if __name__ == "__main__":
    die_at(int(os.environ[AT]), os.environ[IN].split(os.pathsep))
    if sys.argv[1] == "node":
        from core.jobs.engines.node import run_worker

        sys.exit(run_worker(sys.argv[2]))
    from core.cli.main import main
    from tests.helpers import stub_worker

    stub_worker.stand_in()
    main()
