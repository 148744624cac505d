"""Numbers and words that pages and reports show, of data sets, losses and runs."""
