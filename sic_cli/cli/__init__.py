"""The command line: one file a command, heavy imports only inside the commands that need them."""

import gc

gc.set_threshold(20_000)
"""Nearly all that a start makes stays. Looking through it for garbage took a tenth of `sic truncate`."""
