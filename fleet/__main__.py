"""`python -m fleet`: the command of this checkout, whichever one is installed."""

from fleet.cli.app import main

main()
