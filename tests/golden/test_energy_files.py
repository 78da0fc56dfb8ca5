"""No vector file is overlooked."""

import pytest

from tests.golden import files

FILES = files.every_file()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_case_file_is_of_a_known_kind(path):
    group = files.group(path)

    assert group in files.KNOWN, f"{path} is of group {group}, for which there is no check"


@pytest.mark.parametrize("kind", sorted(set(files.KNOWN.values()) - {"library"}))
def test_every_kind_of_energy_vector_has_a_file(kind):
    assert files.files_of_kind(kind)


def test_a_file_of_an_unknown_group_is_not_taken_for_a_known_one(tmp_path):
    path = tmp_path / "energy" / "jetlag.json"
    path.parent.mkdir()
    path.write_text('{"group": "jetlag", "cases": []}')

    assert files.group(path) not in files.KNOWN
