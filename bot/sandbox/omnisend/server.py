"""The whole emulator as one web application: the API under `/api`, its controls under `/_emulator`."""

from aiohttp import web

from bot.sandbox.omnisend.control import control_routes
from bot.sandbox.omnisend.gateway import API, Gateway
from bot.sandbox.omnisend.operations import OPERATIONS, no_such_operation
from bot.sandbox.omnisend.world import World

LARGEST_BODY = 64 << 20  # bytes the server reads at all


def build(world: World) -> web.Application:
    """The application over a world."""
    app = web.Application(client_max_size=LARGEST_BODY)
    gateway = Gateway(world)
    for method, path, operation in OPERATIONS:
        app.router.add_route(method, API + path, gateway.handler(operation))
    app.router.add_route("*", API + "/{rest:.*}", gateway.handler(no_such_operation))
    app.router.add_routes(control_routes(world))
    return app
