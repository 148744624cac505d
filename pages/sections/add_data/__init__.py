"""The parts of the page that adds data: the file, its columns, the division, its defects, what is kept."""
