"""Energy profiles: the figures they hold, and what is refused as one."""

import math
import re

import pytest

from costmodel.errors import InvalidProfile
from costmodel.technology import PROFILES, load_profile, profile_file, read_profile

FULL = """
name = "mine"
title = "my process"
process_nm = 28

[fixed_add]
points = [[8, 0.02], [32, 0.06]]
source = "measured"

[fixed_multiply]
polynomial = [0.001, 0.0, 0.0]
source = "measured"

[float16]
add = 0.2
multiply = 0.5
source = "measured"

[float32]
add = 0.4
multiply = 2.0
source = "measured"
second_hand = true

[sram]
access_bits = 32
points = [[8192, 1.0], [65536, 2.0]]
source = "data sheet"

[dram]
pj_per_bit = 12.0
source = "data sheet"
"""
KB, MB = 8 * 1024, 8 * 1024 * 1024


@pytest.mark.parametrize("name", PROFILES)
def test_every_figure_of_a_profile_has_a_source(name):
    assert all(figure.source.strip() for _, figure in load_profile(name).price_sources)


@pytest.mark.parametrize(("size", "expected"), [(8 * KB, 10), (32 * KB, 20), (MB, 100)])
def test_one_sram_access_costs_what_horowitz_gives(size, expected):
    assert load_profile("horowitz").sram(size) == pytest.approx(expected)


@pytest.mark.parametrize(("size", "expected"), [(8 * KB, 10), (32 * KB, 20), (MB, 100)])
def test_qtools_prices_sram_a_sixty_fourth_of_that(size, expected):
    assert load_profile("horowitz-qkeras").sram(size) == pytest.approx(expected / 64, rel=1e-6)


def test_below_eight_kilobytes_an_access_costs_no_less():
    assert load_profile("horowitz").sram(64) == 10


@pytest.mark.parametrize(("bits", "expected"), [(8, 0.2), (32, 3.1)])
@pytest.mark.parametrize("name", ["horowitz", "horowitz-qkeras"])
def test_a_product_costs_what_horowitz_gives(name, bits, expected):
    assert load_profile(name).operation_pj("mul", bits) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("op", "bits", "float_bits", "expected"),
    [
        ("add", 8, 0, 0.007),
        ("add", 32, 0, 0.03),
        ("mul", 8, 0, 0.07),
        ("mul", 32, 0, 1.48),
        ("add", 16, 16, 0.16),
        ("mul", 32, 32, 1.31),
    ],
)
def test_seven_nanometres_cost_what_jouppi_gives(op, bits, float_bits, expected):
    assert load_profile("7nm").operation_pj(op, bits, float_bits) == pytest.approx(expected)


def test_what_was_not_checked_against_its_source_is_marked():
    figures = dict(load_profile("7nm").price_sources)

    assert all(figure.second_hand for figure in figures.values())
    assert not any(figure.second_hand for _, figure in load_profile("horowitz").price_sources)


@pytest.mark.parametrize("name", ["horowitz", "7nm"])
def test_a_larger_memory_never_costs_less(name):
    sram = load_profile(name).sram
    prices = [sram(2**exponent) for exponent in range(1, 45)]

    assert prices == sorted(prices)


def test_the_bit_compatible_memory_does_cost_less_when_larger():
    """The slip that keeps it from being the default: a 32-bit tensor costs more a word than one of 4 KB."""
    sram = load_profile("horowitz-qkeras").sram

    assert sram(32) > sram(2**15)


@pytest.mark.parametrize("gate", ["add", "mux", "xor", "and", "shifter"])
def test_every_gate_but_a_product_costs_an_addition(gate):
    technology = load_profile("horowitz")

    assert technology.operation_pj(gate, 16) == technology.fixed_add(16) == pytest.approx(0.05)


def test_a_float_of_another_width_has_no_price():
    with pytest.raises(InvalidProfile, match="24-bit floating point, only for 16, 32"):
        load_profile("horowitz").operation_pj("mul", 24, 24)


@pytest.mark.parametrize("name", ["horowitz2", "", "../horowitz", None])
def test_an_unknown_profile_is_refused_with_those_known(name):
    with pytest.raises(InvalidProfile, match="known: horowitz, horowitz-qkeras, 7nm"):
        load_profile(name)


def test_a_users_profile_is_read_from_its_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(FULL)

    technology = profile_file(path)

    assert (technology.name, technology.accounting, technology.sram_access_bits) == ("mine", "corrected", 32)
    assert technology.fixed_add(16) == pytest.approx(0.02 * 2 ** (math.log(3) / math.log(4)))
    assert technology.price_source("float32").second_hand


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "mine"', "name = 3", "name"),
        ('title = "my process"', "", "title"),
        ("process_nm = 28", "process_nm = -28", "process_nm"),
        ("process_nm = 28", "process_nm = nan", "process_nm"),
        ("process_nm = 28", 'process_nm = 28\naccounting = "mine"', "accounting"),
        ("process_nm = 28", "process_nm = 28\ncolour = 1", "colour: is unknown"),
        ("[[8, 0.02], [32, 0.06]]", "[[8, 0.02]]", "fixed_add.points"),
        ("[[8, 0.02], [32, 0.06]]", "[[32, 0.02], [8, 0.06]]", "bits must rise"),
        ("[[8, 0.02], [32, 0.06]]", "[[8, 0.06], [32, 0.02]]", "pJ must not fall"),
        ("[[8, 0.02], [32, 0.06]]", "[[8, inf], [32, inf]]", "fixed_add.points"),
        ("[[8, 0.02], [32, 0.06]]", "[8, 32]", "pair"),
        ("polynomial = [0.001, 0.0, 0.0]", "polynomial = [-0.001, 0.0]", "must never fall"),
        ("polynomial = [0.001, 0.0, 0.0]", "polynomial = [nan]", "fixed_multiply.polynomial"),
        ("polynomial = [0.001, 0.0, 0.0]", "polynomial = []", "fixed_multiply.polynomial"),
        ("polynomial = [0.001, 0.0, 0.0]", "", "either polynomial or points"),
        ("add = 0.2", "add = true", "add"),
        ("multiply = 0.5", "divide = 0.5", "float16.divide"),
        ("access_bits = 32", "access_bits = 0", "access_bits"),
        ("pj_per_bit = 12.0", "pj_per_bit = 0", "pj_per_bit"),
        ('source = "data sheet"', "", "source"),
        ("second_hand = true", 'second_hand = "yes"', "second_hand"),
        ("[dram]", "[dream]", "dream"),
        ('name = "mine"', "name = ", "is not TOML"),
    ],
)
def test_a_malformed_profile_is_refused_naming_the_field(old, new, says):
    assert old in FULL

    with pytest.raises(InvalidProfile, match=re.escape(says)):
        read_profile(FULL.replace(old, new))


def test_a_profile_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(InvalidProfile, match="cannot be read"):
        profile_file(tmp_path / "absent.toml")


def test_a_huge_profile_is_refused_unread(tmp_path):
    path = tmp_path / "huge.toml"
    path.write_text("#" * 100_000)

    with pytest.raises(InvalidProfile, match="larger than"):
        profile_file(path)
