"""What several test files share: corpora, collections on disk, scored runs, drawn pages."""
