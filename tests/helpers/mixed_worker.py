"""Runs of model `textcnn` are trained; all others have the worker without torch, `tests.helpers.stub_worker`."""

import sys

from core.cli.main import main
from tests.helpers.stub_worker import stand_in

if __name__ == "__main__":
    if "-textcnn-" not in sys.argv[-1]:
        stand_in()
    main()
