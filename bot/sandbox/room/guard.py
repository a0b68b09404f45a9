"""Who is served: one browser on this machine, which was given the address with its token, and nothing else.

Other pages in the same browser can send requests to this machine (cross-site requests), and a name of theirs can be
made to lead here (DNS rebinding). So the `Host` must be the loopback address, the `Origin` our own, and the path must
begin with a token that only the printed address has.
"""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from bot.sandbox.process import LOOPBACK

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NAMES = (LOOPBACK, "localhost")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def token_in(folder: Path) -> str:
    """The token of this sandbox, made at its first start and kept so that an open page finds it again."""
    path = folder / "token"
    if path.exists():
        return path.read_text().strip()
    token = secrets.token_urlsafe(18)
    path.touch(mode=0o600)
    path.write_text(token)
    return token


@web.middleware
async def only_this_browser(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse requests that came by another name or from another page."""
    name = request.host.rsplit(":", 1)[0]
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "none")
    if name not in NAMES or origin not in (None, f"http://{request.host}"):
        raise web.HTTPForbidden(text="This address serves its own machine only.")
    if site in ("cross-site", "same-site") and request.method != "GET":
        raise web.HTTPForbidden(text="This address takes no requests from other pages.")
    return await handler(request)


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Give every answer the headers that keep the page to itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
