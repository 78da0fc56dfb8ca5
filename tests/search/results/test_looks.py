"""How looks at the test data are counted, and which figures are too good."""

from __future__ import annotations

import pytest

from search.results.test_looks import Look, LookKind, next_look

REPORT, FINAL = LookKind.REPORT, LookKind.FINAL_TRAINING


def looks(*steps: tuple[int, LookKind]) -> list[Look]:
    taken: list[Look] = []
    for trial, kind in steps:
        taken.append(next_look(taken, trial, kind))
    return taken


@pytest.mark.parametrize(
    ("steps", "optimistic"),
    [
        ([(4, REPORT)], [False]),
        ([(4, FINAL)], [False]),  # finalized before the search ended
        ([(4, REPORT), (4, FINAL)], [False, False]),
        ([(4, REPORT), (7, FINAL)], [False, True]),
        ([(4, FINAL), (4, REPORT)], [False, True]),
        ([(4, REPORT), (4, REPORT)], [False, True]),  # the job was extended
        ([(4, REPORT), (4, FINAL), (4, FINAL), (7, FINAL)], [False, False, True, True]),
        ([(4, REPORT), (7, FINAL), (4, FINAL)], [False, True, True]),
    ],
)
def test_a_figure_is_optimistic_where_an_earlier_look_may_have_chosen_it(
    steps: list[tuple[int, LookKind]], optimistic: list[bool]
) -> None:
    taken = looks(*steps)
    assert [look.optimistic for look in taken] == optimistic
    assert [look.number for look in taken] == list(range(1, len(steps) + 1))


def test_a_look_says_which_it_is() -> None:
    notes = [look.note for look in looks(*[(0, REPORT)] * 23)]
    assert notes[0] == "1st look at the test data"
    assert notes[1] == "2nd look at the test data: the figure is optimistic"
    assert [note.split()[0] for note in (notes[2], notes[3], notes[10], notes[11], notes[12], notes[20])] == [
        "3rd",
        "4th",
        "11th",
        "12th",
        "13th",
        "21st",
    ]
