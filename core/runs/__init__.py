"""A run as a folder: its files, results, plans, and its model applied to new texts."""
