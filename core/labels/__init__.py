"""Labels of a corpus: frequency groups, measures, co-occurrence, look-alikes."""
