"""The command line: `core.cli.main` runs it, a module for each group of commands."""
