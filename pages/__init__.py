"""The dashboard: a page is a file here, its parts stand in `sections`, what several pages use in `shared`."""

import gc

# Streamlit collects all garbage after every run of a page: what Python collects beside that, on the way, is little, and
# looks again and again at the modules that the first page loads.
gc.set_threshold(50_000, 20, 50)
