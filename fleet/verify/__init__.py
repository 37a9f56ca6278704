"""An independent look at an environment: what must be there follows from catalog, environment and names, never from templates."""
