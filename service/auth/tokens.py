"""API keys as text: `fewbits_ID_SECRET`. The id is public; only a scrypt hash of the secret is stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

#: Also redacts logs and error messages before they leave the process.
PATTERN: Final = re.compile(r"fewbits_([0-9a-f]{12})_([0-9a-f]{48})")

# RFC 7914's interactive parameters: 16 MiB and about 40 ms a guess
_N: Final = 2**14
_R: Final = 8
_P: Final = 1
_MAX_MEMORY: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Token:
    """A key in plain text; `str()` is what clients send. The repr does not show the secret."""

    key_id: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"fewbits_{self.key_id}_{self.secret}"

    @property
    def digest(self) -> bytes:
        """A hash that identifies the token without revealing it."""
        return hashlib.sha256(str(self).encode()).digest()


def new() -> Token:
    """A new token: 192 random bits."""
    return Token(secrets.token_hex(6), secrets.token_hex(24))


def parse(text: str) -> Token | None:
    """The token that a text contains; None if it is not one."""
    match = PATTERN.fullmatch(text.strip())
    return Token(match[1], match[2]) if match else None


def hashed(secret: str) -> str:
    """The stored form of a secret: `scrypt$n$r$p$salt$hash`."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(secret, salt, _N, _R, _P)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(digest)))


def matches(secret: str, stored: str) -> bool:
    """True if `stored` is the hash of the secret; compared in constant time."""
    kind, n, r, p, salt, digest = stored.split("$")
    if kind != "scrypt":
        raise ValueError(f"the key is hashed with {kind!r}, not scrypt")
    computed = _scrypt(secret, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(computed, base64.b64decode(digest))


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
