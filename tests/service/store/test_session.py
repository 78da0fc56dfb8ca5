"""What a database needs of its driver."""

from __future__ import annotations

import subprocess
import sys

SCORE = """
import math
import tensorflow  # brings an SQLite of its own, which Python's module then uses
from sqlalchemy import func, select
from service.store.session import Database

with Database("sqlite://").reading() as session:
    assert session.scalar(select(func.ln(8.0))) == math.log(8.0)
"""


def test_scores_are_computed_in_a_process_that_loaded_tensorflow_first() -> None:
    subprocess.run([sys.executable, "-c", SCORE], check=True)
