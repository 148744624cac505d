"""A worker that does one thing, which `ODD` says: what a process on a node makes of it is held by its tests.

`exit N` ends with that status, `die` by SIGKILL, `hang` beats three times and then never more, `rest` says that it
waits for no other and takes two seconds more, `sleep` says nothing.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from core.jobs import pulse

if __name__ == "__main__":
    print(f"process {os.environ.get('RANK', '0')}", flush=True)
    what, _, status = os.environ["ODD"].partition(" ")
    if what == "exit":
        sys.exit(int(status))
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what in ("hang", "rest"):
        for _ in range(3):
            pulse.beat()
            time.sleep(pulse.EVERY if what == "hang" else 0)
    if what == "rest":
        pulse.rest()
        time.sleep(2)
        sys.exit(0)
    time.sleep(60)
