"""The NATS cluster: who may do what, each node's configuration, and what runs on the machines."""
