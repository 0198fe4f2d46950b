"""`python -m sic_cli` is `sic`."""

from .cli.main import main

main()
