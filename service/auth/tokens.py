"""API keys as text: `fewbits_ID_SECRET`. The id is public; of the secret only a scrypt hash is ever stored."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

#: Also what logs and fault messages are searched for before they leave the process.
PATTERN: Final = re.compile(r"fewbits_([0-9a-f]{12})_([0-9a-f]{48})")

# RFC 7914's interactive parameters: 16 MiB and about 40 ms a guess
_N: Final = 2**14
_R: Final = 8
_P: Final = 1
_MAX_MEMORY: Final = 64 << 20


@dataclass(frozen=True, slots=True)
class Token:
    """A key as its holder has it; `str()` is what is sent. The secret does not show in a repr."""

    key_id: str
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"fewbits_{self.key_id}_{self.secret}"

    @property
    def digest(self) -> bytes:
        """A name for the token that does not give it away."""
        return hashlib.sha256(str(self).encode()).digest()


def new() -> Token:
    """A token nobody has: 192 random bits."""
    return Token(secrets.token_hex(6), secrets.token_hex(24))


def parse(text: str) -> Token | None:
    """The token a text states; None if it states none."""
    found = PATTERN.fullmatch(text.strip())
    return Token(found[1], found[2]) if found else None


def hashed(secret: str) -> str:
    """What is stored of a secret: `scrypt$n$r$p$salt$hash`."""
    salt = secrets.token_bytes(16)
    digest = _scrypt(secret, salt, _N, _R, _P)
    return "$".join(("scrypt", str(_N), str(_R), str(_P), _text(salt), _text(digest)))


def matches(secret: str, stored: str) -> bool:
    """True if `stored` is the hash of the secret; compared in constant time."""
    kind, n, r, p, salt, digest = stored.split("$")
    if kind != "scrypt":
        raise ValueError(f"a key is hashed by {kind!r}, not scrypt")
    found = _scrypt(secret, base64.b64decode(salt), int(n), int(r), int(p))
    return hmac.compare_digest(found, base64.b64decode(digest))


def _scrypt(secret: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(secret.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MAX_MEMORY, dklen=32)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
