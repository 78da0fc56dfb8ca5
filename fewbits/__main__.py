"""`python -m fewbits`: the command line."""

from service.cli import app

app(prog_name="fewbits")
