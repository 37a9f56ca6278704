"""The container images that the catalog asks for: whether they are there, and how they get there."""
