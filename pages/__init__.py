"""The dashboard: a page is a file here, its parts stand in `sections`, what several pages use in `shared`."""
