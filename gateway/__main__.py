"""`python -m gateway`: run the gateway, as the container's variables say."""

from gateway.server import main

main()
