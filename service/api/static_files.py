"""The files of the dashboard: compressed, and under an address with the digest of them all never asked for again.

`/static/<digest>/app.js` may be stored for ever: another version of the page has another digest. `/static/app.js` is
the same file, to be revalidated. Modules import each other by relative addresses, and so keep the digest. `bundle.js`
is no file: it is all modules in one, so that a browser asks once and not module by module.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from service.api.problems import response as problem
from service.dashboard.bundle import bundle
from service.errors import NoSuchPath

_FOREVER: Final = "public, max-age=31536000, immutable"
_REVALIDATE: Final = "no-cache"
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}

#: All modules that the page's own one imports; libraries that are large, or that few views need, stay apart.
BUNDLE: Final = "bundle.js"
_ENTRY: Final = "app.js"
_APART: Final = ("vendor/echarts.js", "vendor/js-yaml.js")

#: Where a quoted address on the service begins, in pages and modules.
_ADDRESS: Final = re.compile(r"""["'`](?=/(?:v1/|static/|login|docs"|openapi\.json|#))""")

#: Path from the folder -> time of change and size.
_Listing = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class _Asset:
    content: bytes
    compressed: bytes
    media_type: str
    etag: str


class StaticFolder:
    """An ASGI application over the files below a folder. Files may change while it runs: then the digest changes."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        """`prefix`: the path below which browsers find the service; addresses in pages and modules begin with it."""
        self._folder, self._prefix = folder, prefix
        self._listing: _Listing = {}
        self._digest = ""
        self._assets: dict[str, _Asset] = {}

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that differ for other contents."""
        listing: _Listing = {}
        for path in sorted(self._folder.rglob("*")):
            if path.is_file() and path.suffix not in (".py", ".pyc"):
                stat = path.stat()
                listing[path.relative_to(self._folder).as_posix()] = (stat.st_mtime_ns, stat.st_size)
        if listing != self._listing:
            contents = hashlib.sha256()
            for name in listing:
                contents.update(f"{name}\n".encode() + (self._folder / name).read_bytes())
            self._listing, self._digest, self._assets = listing, contents.hexdigest()[:12], {}
        return self._digest

    def page(self, name: str) -> Response:
        """A page of the folder, whose addresses of files have the digest."""
        text = (self._folder / name).read_text(encoding="utf-8")
        text = self._below_prefix(text.replace('"/static/', f'"/static/{self.digest}/'))
        return Response(text, media_type="text/html", headers={"Cache-Control": _REVALIDATE})

    def _below_prefix(self, text: str) -> str:
        return _ADDRESS.sub(rf"\g<0>{self._prefix}", text) if self._prefix else text

    def prepare(self) -> None:
        """Read and compress what every visit needs, so that the first visitor does not wait for it."""
        _ = self.digest
        for name in (BUNDLE, *_APART[:1], "style.css", "views.css"):
            self._asset(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a file."""
        response = self._answer(scope["method"], scope["path"], Headers(scope=scope))
        await response(scope, receive, send)

    def _answer(self, method: str, path: str, headers: Headers) -> Response:
        digest = self._digest or self.digest
        name = path.partition("/static/")[2]
        first, _, rest = name.partition("/")
        is_versioned = first == digest
        name = rest if is_versioned else name
        if (name not in self._listing and name != BUNDLE) or method not in ("GET", "HEAD"):
            return problem(NoSuchPath(f"there is no file {name[:100]!r}"))
        asset = self._asset(name)
        sent = {
            "Cache-Control": _FOREVER if is_versioned else _REVALIDATE,
            "ETag": asset.etag,
            "Vary": "Accept-Encoding",
        }
        if asset.etag.removeprefix("W/") in headers.get("if-none-match", ""):
            return Response(status_code=304, headers=sent)
        content = asset.content
        if asset.compressed and "gzip" in headers.get("accept-encoding", ""):
            content, sent["Content-Encoding"] = asset.compressed, "gzip"
        return Response(content, media_type=asset.media_type, headers=sent)

    def _asset(self, name: str) -> _Asset:
        asset = self._assets.get(name)
        if asset is None:
            path = self._folder / name
            content = self._bundle() if name == BUNDLE else path.read_bytes()
            if self._prefix and path.suffix == ".js" and path.parts[-2] != "vendor":
                content = self._below_prefix(content.decode()).encode()
            packed = gzip.compress(content, 6, mtime=0)
            media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "text/plain"
            etag = f'W/"{hashlib.sha256(content).hexdigest()[:20]}"'
            asset = _Asset(content, packed if len(packed) < len(content) else b"", media_type, etag)
            self._assets[name] = asset
        return asset

    def _bundle(self) -> bytes:
        return bundle(_ENTRY, _APART, self._folder).encode()
