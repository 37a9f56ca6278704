"""`python -m tls`."""

from tls.cli import app

app(prog_name="python -m tls")
