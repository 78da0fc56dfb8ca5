"""The text form of keys, and their stored hashes."""

from __future__ import annotations

import pytest

from service.auth import tokens
from service.auth.scopes import KeyScope


def test_a_token_reads_back_as_it_was_written() -> None:
    token = tokens.new()
    assert tokens.parse(str(token)) == token
    assert tokens.parse(f" {token}\n") == token


@pytest.mark.parametrize("text", ["", "fewbits", "fewbits_123_456", "x" * 200, "fewbits_" + "0" * 61])
def test_other_text_is_not_a_token(text: str) -> None:
    assert tokens.parse(text) is None


def test_a_secret_does_not_show_in_a_repr() -> None:
    token = tokens.new()
    assert token.secret not in repr(token)


def test_only_the_right_secret_matches_its_hash() -> None:
    token, other = tokens.new(), tokens.new()
    stored = tokens.hashed(token.secret)
    assert tokens.matches(token.secret, stored)
    assert not tokens.matches(other.secret, stored)
    assert token.secret not in stored


def test_equal_secrets_have_different_hashes() -> None:
    assert tokens.hashed("a" * 48) != tokens.hashed("a" * 48)


def test_a_hash_of_another_kind_is_an_error() -> None:
    with pytest.raises(ValueError, match="bcrypt"):
        tokens.matches("a", "bcrypt$1$1$1$eA==$eA==")


def test_each_scope_includes_those_before_it() -> None:
    allowed = {(mine, needed) for mine in KeyScope for needed in KeyScope if mine.allows(needed)}
    assert len(allowed) == 6
    assert (KeyScope.READ, KeyScope.SUBMIT) not in allowed
    assert (KeyScope.ADMIN, KeyScope.READ) in allowed
