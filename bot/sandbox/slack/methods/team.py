"""auth, apps and team: who the app is and where it may connect."""

from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json
from bot.sandbox.slack.methods.registry import Arguments, method


@method("auth.test")
def auth_test(emulator: Emulator, _arguments: Arguments) -> Json:
    ws = emulator.workspace
    return {
        "url": f"https://{ws.domain}.slack.com/",
        "team": ws.team_name,
        "user": ws.bot.name,
        "team_id": ws.team_id,
        "user_id": ws.bot.id,
        "bot_id": ws.bot_id,
        "is_enterprise_install": False,
    }


@method("apps.connections.open", token="app")  # noqa: S106  a kind of token
def apps_connections_open(emulator: Emulator, _arguments: Arguments) -> Json:
    base = emulator.url.replace("http", "ws", 1)
    return {"url": f"{base}/link/?ticket={emulator.sockets.new_ticket()}&app_id={emulator.workspace.app_id}"}


@method("team.info", scope="team:read")
def team_info(emulator: Emulator, _arguments: Arguments) -> Json:
    ws = emulator.workspace
    return {
        "team": {
            "id": ws.team_id,
            "name": ws.team_name,
            "domain": ws.domain,
            "email_domain": f"{ws.domain}.example",
            "icon": {"image_default": True},
            "url": f"https://{ws.domain}.slack.com/",
        }
    }
