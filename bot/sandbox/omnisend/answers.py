"""How the emulator answers: JSON."""

from typing import Any

import orjson
from aiohttp import web


def json_response(value: Any, status: int = 200) -> web.Response:
    """An answer of media type application/json."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
