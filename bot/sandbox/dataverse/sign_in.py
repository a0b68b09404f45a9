"""Entra's endpoints over HTTP, and the page on which a person types the code of a device."""

from html import escape
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web

from bot.sandbox.dataverse.emulator import Emulator
from bot.sandbox.dataverse.entra import EntraError
from bot.sandbox.dataverse.keys import EMULATOR, ENTRY

routes = web.RouteTableDef()

VERIFICATION_PATH = "/devicelogin"


@routes.get("/{tenant}/v2.0/.well-known/openid-configuration")
async def openid_configuration(request: web.Request) -> web.Response:
    emulator, tenant = request.app[EMULATOR], request.match_info["tenant"]
    try:
        emulator.entra.check_tenant(tenant)
    except EntraError as refused:
        refused.error = "invalid_tenant"  # what this endpoint calls it
        return _refusal(request, refused)
    base = f"https://{request.host}/{tenant}"
    return _json(
        {
            "issuer": f"{base}/v2.0",
            "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
            "token_endpoint": f"{base}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{base}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{base}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
        }
    )


@routes.post("/{tenant}/oauth2/v2.0/devicecode")
async def device_code(request: web.Request) -> web.Response:
    emulator, form = request.app[EMULATOR], await _form(request)
    try:
        emulator.entra.check_tenant(request.match_info["tenant"])
        return _json(emulator.entra.start_device_sign_in(form, f"https://{request.host}{VERIFICATION_PATH}"))
    except EntraError as refused:
        return _refusal(request, refused)


@routes.post("/{tenant}/oauth2/v2.0/token")
async def token(request: web.Request) -> web.Response:
    emulator, form = request.app[EMULATOR], await _form(request)
    request[ENTRY].user = form.get("client_id", "")
    if emulator.faults.draw_sign_in():
        return web.Response(status=503, text="Service Unavailable")
    tenant = request.match_info["tenant"]
    base = f"https://{request.host}/{tenant}"
    try:
        return _json(emulator.entra.token(tenant, form, (f"{base}/oauth2/v2.0/token", base, f"{base}/v2.0")))
    except EntraError as refused:
        return _refusal(request, refused)


async def _form(request: web.Request) -> dict[str, str]:
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}


def _refusal(request: web.Request, refused: EntraError) -> web.Response:
    correlation_id = request.headers.get("client-request-id") or str(uuid4())
    return _json(refused.body(correlation_id), refused.status)


def _json(content: dict[str, Any], status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store, no-cache"}
    return web.Response(body=orjson.dumps(content), status=status, content_type="application/json", headers=headers)


@routes.get(VERIFICATION_PATH)
async def verification_page(request: web.Request) -> web.Response:
    return _page(request.app[EMULATOR], code=request.query.get("code", ""))


@routes.post(VERIFICATION_PATH)
async def verify(request: web.Request) -> web.Response:
    emulator, form = request.app[EMULATOR], await _form(request)
    code, action = form.get("code", ""), form.get("action", "")
    try:
        emulator.entra.answer_device_sign_in(code, action, form.get("user", ""))
    except KeyError:
        return _page(emulator, code=code, notice="That code didn't work. Check it, or get a new one.", status=400)
    done = "You have signed in to Segment Ferry on your device." if action == "approve" else "You declined."
    return _page(emulator, notice=f"{done} You may now close this window.")


def _page(emulator: Emulator, *, code: str = "", notice: str = "", status: int = 200) -> web.Response:
    people = "".join(f"<option>{escape(name)}</option>" for name in emulator.directory.people)
    page = _PAGE.format(notice=escape(notice), code=escape(code, quote=True), people=people)
    policy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy}
    return web.Response(text=page, status=status, content_type="text/html", headers=headers)


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Sign in to your account (sandbox)</title>
<style>body {{ font: 16px system-ui; max-width: 28em; margin: 4em auto; padding: 0 1em }}
label {{ display: block; margin: 1em 0 }} input, select {{ font: inherit; display: block; width: 100% }}
button {{ font: inherit; margin-right: 1em }}</style></head>
<body>
<h1>Enter code</h1>
<p><strong>This is a sandbox, not Microsoft.</strong> Segment Ferry wants to read customer profiles in your name.</p>
<p role="status">{notice}</p>
<form method="post" action="devicelogin">
<label>Code <input name="code" value="{code}" autocomplete="off" autocapitalize="characters" required autofocus></label>
<label>Account <select name="user">{people}</select></label>
<button name="action" value="approve">Continue</button><button name="action" value="decline">Cancel</button>
</form>
</body>
</html>
"""
