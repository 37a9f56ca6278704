"""The agent: what is executed on a NATS machine. Python 3.9, its standard library and nats-py; everything else stays outside."""
