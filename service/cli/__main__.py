"""`python -m service.cli`: the `fewbits` command."""

from service.cli import app

app(prog_name="fewbits")
