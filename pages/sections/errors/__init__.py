"""The parts of the page on errors: what is chosen, and a module for each view."""
