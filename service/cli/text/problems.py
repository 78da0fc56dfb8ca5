"""Problem documents as text."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from service.schemas.problems import ProblemDocument


def print_problem(console: Console, problem: ProblemDocument) -> None:
    """Print why the service refused: each fault with the field it is in."""
    console.print(Text.assemble(("error: ", "red"), f"{problem.title} ({problem.status})"))
    if not problem.errors:
        console.print(Text(f"  {problem.detail}"))
    for fault in problem.errors:
        place = fault.pointer or fault.parameter or "(body)"
        console.print(Text.assemble("  ", (place, "bold"), f": {fault.detail}"))
    if problem.trace_id:
        console.print(Text(f"  trace {problem.trace_id}", style="dim"))
