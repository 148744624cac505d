"""Ground floor: errors that are sentences, places, files, locks, processes, the machine."""

import time

STARTED = time.time()
"""When the first module of the house was loaded, for this is its ground floor: a file that has changed since may not be
what runs."""
