"""What the NATS nodes need besides their machines."""
