"""The stacks: composition only, one a module."""
