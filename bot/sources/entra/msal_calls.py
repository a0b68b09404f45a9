"""Calling MSAL: it blocks, so in threads; it asks the network, so with time limits and a few tries.

MSAL keeps answers, bad ones for a minute, in the application object. So each try gets a new one: that costs a look at
the tenant's discovery document, once an hour or so.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import msal
import requests
import structlog
from msal.exceptions import MsalServiceError
from requests.adapters import HTTPAdapter

from bot.sources.entra.errors import SignInUnavailable, TenantUnknown

PUBLIC_CLOUD = "https://login.microsoftonline.com"
TIMEOUT = 30.0  # seconds, to connect and without a byte
BACK_OFF = (1, 4, 16)  # seconds after each failed try, each ± half at random

Answer = dict[str, Any]
Pause = Callable[[float], Awaitable[None]]

log = structlog.get_logger(__name__)


class EntraAway(Exception):
    """Entra could not be reached, or something else answered in its place: another try may do."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The app registration that is signed in with, and the environment that it is for.

    `environment`: the environment's origin. `authority`: Entra's address in this cloud (national clouds have their
    own). `ca_file`: trust this certificate and no other (an emulator's).
    """

    environment: str
    tenant: str
    client_id: str
    authority: str = PUBLIC_CLOUD
    ca_file: Path | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What errors may say."""
        return {
            "environment": self.environment,
            "tenant": self.tenant,
            "client_id": self.client_id,
            "authority": self.authority,
        }

    def public(self, http: requests.Session, cache: msal.TokenCache) -> msal.PublicClientApplication:
        """For people. Looks at the tenant's discovery document: it blocks."""
        return msal.PublicClientApplication(self.client_id, token_cache=cache, **self._options(http))

    def confidential(self, http: requests.Session, credential: object) -> msal.ConfidentialClientApplication:
        """For the app itself. Looks at the tenant's discovery document: it blocks."""
        return msal.ConfidentialClientApplication(self.client_id, client_credential=credential, **self._options(http))

    def session(self) -> requests.Session:
        http = requests.Session()
        http.mount("https://", _Limited())
        if self.ca_file is not None:
            http.trust_env = False  # REQUESTS_CA_BUNDLE would override `verify`
            http.verify = str(self.ca_file)
        return http

    def _options(self, http: requests.Session) -> dict[str, Any]:
        return {
            "authority": f"{self.authority.rstrip('/')}/{self.tenant}",
            "http_client": http,
            "instance_discovery": False,  # the authority is a setting of ours, no need to ask Microsoft about it
        }


class MsalCalls:
    """Runs work with MSAL in a thread, again where Entra could not be reached."""

    def __init__(self, registration: Registration, pause: Pause, random: Random | None = None) -> None:
        self.registration = registration
        self._pause = pause
        self._random = random or Random()  # noqa: S311 (jitter, no secrets)

    async def patiently(self, work: Callable[[requests.Session], Answer]) -> Answer:
        """What `work` answers. Raises `SignInUnavailable` after the last try, or `TenantUnknown`."""
        for seconds in BACK_OFF:
            try:
                return await self.once(work)
            except EntraAway as away:
                log.info("entra asked again", reason=str(away), seconds=seconds)
            await self._pause(seconds * self._random.uniform(0.5, 1.5))
        try:
            return await self.once(work)
        except EntraAway as away:
            raise SignInUnavailable(reason=away, **self.registration.facts) from None

    async def once(self, work: Callable[[requests.Session], Answer]) -> Answer:
        """What `work` answers, tried once. Raises `EntraAway` or `TenantUnknown`."""
        return await asyncio.to_thread(self._in_session, work)

    def _in_session(self, work: Callable[[requests.Session], Answer]) -> Answer:
        """Run `work`, and put its many ways to fail in two classes. Their texts hold addresses: names have to do."""
        with self.registration.session() as http:
            try:
                return work(http)
            except (requests.RequestException, MsalServiceError) as error:
                raise EntraAway(type(error).__name__) from None
            except ValueError as error:
                if "authority" in str(error):  # the only sign that MSAL gives of a tenant that is not there
                    raise TenantUnknown(**self.registration.facts) from None
                raise EntraAway("an answer that is not JSON") from None
            except (RuntimeError, LookupError, TypeError, AttributeError):  # MSAL takes the form of answers on trust
                raise EntraAway("an answer that is not Entra's") from None


class _Limited(HTTPAdapter):
    """requests waits for ever unless it is told not to."""

    def send(self, *args: Any, **options: Any) -> requests.Response:
        options["timeout"] = options.get("timeout") or TIMEOUT
        return super().send(*args, **options)
