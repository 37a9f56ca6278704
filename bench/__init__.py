"""Measurements against the yardsticks; `make bench` runs them, docs/benchmarks.md keeps the tables."""
