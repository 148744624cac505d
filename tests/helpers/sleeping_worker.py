"""The worker without torch (`tests.helpers.stub_worker`), whose training takes twenty seconds and no processor."""

import time

from core.cli.main import main
from tests.helpers import stub_worker

SECONDS = 20.0


def fit(*words: object) -> object:
    """Sleeps, then gives what the stub gives."""
    time.sleep(SECONDS)
    return stub_worker.fit(*words)  # type: ignore[arg-type]


if __name__ == "__main__":
    stub_worker.stand_in()
    stub_worker.sys.modules[stub_worker.TRAINING].fit = fit  # type: ignore[attr-defined]
    main()
