"""The parts of the page that compares runs: its rows, and a module for each subject of its views."""
