"""Settings of a run: schema, defaults, parsing."""
