"""The score of a trial as SQL, which a database can sort by.

The formula is that of `search.scoring.forgiving_factor.ForgivingFactor.score`; a test holds them equal.
"""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import ColumnElement, Double, case, func, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from search.scoring.forgiving_factor import MAXIMIZE, SMALLEST_FACTOR, ForgivingFactor


class _Larger(FunctionElement[float]):
    """The larger of two expressions: SQLite and PostgreSQL call it differently."""

    type = Double()
    inherit_cache = True


@compiles(_Larger)
def _greatest(element: _Larger, compiler: SQLCompiler, **options: Any) -> str:
    return f"greatest({compiler.process(element.clauses, **options)})"


@compiles(_Larger, "sqlite")
def _max(element: _Larger, compiler: SQLCompiler, **options: Any) -> str:
    return f"max({compiler.process(element.clauses, **options)})"


def score_sql(metric: Any, cost: Any, *, factor: ForgivingFactor, reference: float) -> ColumnElement[float]:
    """The score as an expression over two columns; NULL where one of them is. It names each as seldom as it can: it
    is computed for every row of a job that is sorted by it.
    """
    budget, rate = factor.budget(reference), math.log(factor.rate)
    percent = case((cost < budget, factor.delta_p / 100 / rate), else_=factor.delta_n / 100 / rate)
    logarithm = func.ln(case((cost > 0, cost)))
    whole: Any = 1.0 + percent * (math.log(budget) - logarithm)
    divisor: Any = _Larger(whole, literal(SMALLEST_FACTOR, Double()))
    merit = metric if factor.direction == MAXIMIZE else -metric
    return case((cost.is_(None), None), (merit >= 0, merit * whole), else_=merit / divisor)
