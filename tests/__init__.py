"""Tests and benchmarks; a package, for packages that are installed may bring a `tests` of their own."""
