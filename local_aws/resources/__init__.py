"""The resource types that the engine carries, one module a service of AWS."""
