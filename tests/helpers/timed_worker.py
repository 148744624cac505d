"""The worker, which writes the processor seconds that it took into its run's folder: `processor-PID.json`."""

import os
import sys
import time
from pathlib import Path

from core.cli.main import main
from core.system.files import write_json

if __name__ == "__main__":
    try:
        main()
    finally:
        write_json(Path(sys.argv[-1]) / f"processor-{os.getpid()}.json", {"seconds": time.process_time()})
