"""`http-nats-gateway`: HTTP in, NATS requests out.

What it lets in is in its routes and nowhere else: each names the subject or the events behind it, and who may. JSON becomes the
protobuf message of the subject and back, faults become `application/problem+json`. `docs/gateway.md` is for those who operate or call
it; `python -m gateway` runs it.
"""
