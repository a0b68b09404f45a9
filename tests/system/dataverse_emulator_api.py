"""The Dataverse emulator as its tests reach it: plain requests, and the control."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from tests.processes import emulator

MEMBERSHIPS = "msdynci_segmentmemberships"
PROFILES = "msdynci_customerprofiles"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

Json = dict[str, Any]


class Api:
    """A running emulator. `env` is its first line of output."""

    def __init__(self, env: Json, http: httpx.AsyncClient) -> None:
        self.env = env
        self.http = http
        self.root = f"{env['url']}/api/data/v9.2/"
        self.token = ""

    # Sign-in

    async def entra(self, endpoint: str, tenant: str | None = None, **form: str) -> httpx.Response:
        return await self.http.post(
            f"{self.env['authority']}/{tenant or self.env['tenant']}/oauth2/v2.0/{endpoint}", data=form
        )

    async def app_token(self, scope: str = "", **form: str) -> httpx.Response:
        secret = {"client_id": self.env["client_id"], "client_secret": self.env["client_secret"]}
        scope = scope or f"{self.env['url']}/.default"
        return await self.entra("token", **{"grant_type": "client_credentials", "scope": scope, **secret, **form})

    async def begin_device_sign_in(self) -> Json:
        answer = await self.entra("devicecode", client_id=self.env["device_client_id"], scope=self.user_scope)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    @property
    def user_scope(self) -> str:
        return f"{self.env['url']}/user_impersonation openid profile offline_access"

    async def redeem(self, device_code: str) -> httpx.Response:
        client_id = self.env["device_client_id"]
        return await self.entra("token", grant_type=DEVICE_GRANT, client_id=client_id, device_code=device_code)

    async def sign_in(self, user: str = "") -> Json:
        """The tokens of a person who has approved the device."""
        flow = await self.begin_device_sign_in()
        await self.control("device", user_code=flow["user_code"], action="approve", user=user)
        answer = await self.redeem(flow["device_code"])
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def refresh(self, refresh_token: str) -> httpx.Response:
        client_id = self.env["device_client_id"]
        return await self.entra(
            "token", grant_type="refresh_token", client_id=client_id, refresh_token=refresh_token, scope=self.user_scope
        )

    async def use_app_token(self) -> None:
        self.token = (await self.app_token()).json()["access_token"]

    # Data

    async def get(self, path: str, prefer: str = "", headers: Mapping[str, str] | None = None) -> httpx.Response:
        """GET an address, or a path under the service root."""
        if not self.token:
            await self.use_app_token()
        sent = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", **(headers or {})}
        if prefer:
            sent["Prefer"] = prefer
        return await self.http.get(path if path.startswith("https:") else f"{self.root}{path}", headers=sent)

    async def json(self, path: str, prefer: str = "") -> Json:
        answer = await self.get(path, prefer)
        assert answer.status_code == 200, answer.text
        return dict(orjson.loads(answer.content))

    async def pages(self, path: str, size: int = 2_000) -> list[Json]:
        """All pages, following the links as they are."""
        prefer = f"odata.maxpagesize={size}"
        pages = [await self.json(path, prefer)]
        while link := pages[-1].get("@odata.nextLink"):
            pages.append(await self.json(link, prefer))
        return pages

    async def rows(self, path: str, size: int = 2_000) -> list[Json]:
        return [row for page in await self.pages(path, size) for row in page["value"]]

    async def rows_where(self, entity_set: str, condition: str, select: str = "msdynci_customerid") -> list[Json]:
        return await self.rows(where(entity_set, condition, select))

    # Control

    async def control(self, name: str, /, **body: Any) -> Json:
        """POST to the control."""
        answer = await self.http.post(f"{self.env['url']}/_emulator/{name}", content=orjson.dumps(body))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def assume(self, **switches: Any) -> None:
        await self.control("assume", **{name.replace("_", "-"): value for name, value in switches.items()})

    async def look(self, name: str) -> Json:
        """GET from the control."""
        return dict((await self.http.get(f"{self.env['url']}/_emulator/{name}")).json())

    async def truth(self, segment: str) -> dict[str, Json | None]:
        """Customer id → profile, of the segment's members."""
        answer = await self.http.get(f"{self.env['url']}/_emulator/truth", params={"segment": segment})
        lines = map(orjson.loads, answer.content.splitlines())
        return {line["customer_id"]: line["profile"] for line in lines}


def where(entity_set: str, condition: str, select: str = "msdynci_customerid") -> str:
    """The path of a filtered query."""
    return f"{entity_set}?$select={select}&$filter={quote(condition)}"


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Json]:
    """An emulator process, as its first line of output describes it."""
    async with emulator("bot.sandbox.dataverse", *arguments) as env:
        yield env


@asynccontextmanager
async def fresh_api(env: Json) -> AsyncIterator[Api]:
    """The emulator set back to its start, and a client that trusts it."""
    tls = ssl.create_default_context(cafile=env["ca"])
    async with httpx.AsyncClient(verify=tls, timeout=20) as http:
        api = Api(env, http)
        await api.control("reset")
        yield api


def error(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal in Dataverse's form."""
    return answer.status_code, answer.json()["error"]["code"]


def aadsts(answer: httpx.Response) -> tuple[int, str, list[int]]:
    """Status, OAuth error and AADSTS numbers of a refusal in Entra's form, whose every field is checked."""
    body = answer.json()
    number = body["error_codes"][0]
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert body.keys() >= {"timestamp", "trace_id", "correlation_id"}
    return answer.status_code, body["error"], body["error_codes"]
