"""The service catalog and the environments: typed, checked, and the only place where a service is described."""
