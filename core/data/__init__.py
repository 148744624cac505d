"""From files to a prepared corpus: readers, defects, splits, sources."""
