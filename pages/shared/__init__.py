"""What several pages use: the menu, text, choices, cached loading, runs, downloads, people."""
