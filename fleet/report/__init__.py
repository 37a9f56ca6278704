"""The readiness of an environment as a page that can be sent and kept."""
