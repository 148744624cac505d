"""`python -m core`: every action of the dashboard as a command."""

from core.cli.main import main

main()
