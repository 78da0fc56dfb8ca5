"""Searches under a cap on cost that random assignments hardly ever meet."""

from __future__ import annotations

import numpy as np
import pytest

from search.oracles.affordable import affordable, meets_constraints
from search.oracles.base import OracleContext
from search.oracles.candidates import Candidates
from tests.search.searches import PRICER, REFERENCE, Search, bits, make_choices, make_spec

#: Twelve kernels of 2 to 9 bits: of a million random assignments not one has 30 bits or fewer.
WIDE = make_choices(*[8] * 12)
CAP = 30


@pytest.mark.parametrize("kind", ["frugal", "evolution"])
def test_no_proposal_breaks_a_cap_that_random_draws_do_not_meet(kind: str) -> None:
    search = Search(make_spec(kind, trials=12, constraints={"max_bits": CAP}), WIDE).run()
    assert len(search.history) == 12
    assert max(bits(trial.assignment) for trial in search.history) <= CAP


def test_what_was_made_cheaper_differs_and_ends_near_the_cap() -> None:
    spec = make_spec("frugal", constraints={"max_bits": CAP})
    context = OracleContext(WIDE, 1, 1, PRICER, None, REFERENCE, spec.constraints)  # type: ignore[arg-type]
    candidates, rng = Candidates(WIDE), np.random.default_rng(0)
    drawn = candidates.random(50, rng)
    assert not meets_constraints(context, candidates, drawn).any()
    rows = affordable(context, candidates, drawn, rng)
    assert meets_constraints(context, candidates, rows).all()
    assert len(np.unique(rows, axis=0)) == len(rows) >= 5
    assert min(bits(WIDE.assignment(values)) for values in candidates.every_values(rows)) >= CAP - 6
