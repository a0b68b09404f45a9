"""An app that reads in its own name, with a secret or a certificate: no person has to sign in.

(Microsoft identity platform docs, "OAuth 2.0 client credentials flow".)
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from bot.sources.entra.errors import CertificateUnreadable, refusal
from bot.sources.entra.held import HeldToken
from bot.sources.entra.msal_calls import Answer, MsalCalls, Pause, Registration
from bot.sources.entra.user import SignInStatus


class AppCredential(Protocol):
    """How an app proves itself."""

    def for_msal(self, client_id: str) -> str | Mapping[str, str]:
        """As MSAL takes it. It may block. Raises `CertificateUnreadable`."""
        ...

    def status(self, client_id: str) -> SignInStatus:
        """Until when it is good, as far as it shows. It may block. Raises `CertificateUnreadable`."""
        ...


@dataclass(frozen=True, slots=True, repr=False)
class AppSecret:
    """A client secret: its value, not its id. Only Entra's admins can see when it expires."""

    value: str

    def for_msal(self, client_id: str) -> str:
        return self.value

    def status(self, client_id: str) -> SignInStatus:
        return SignInStatus(account=None, renewed_at=None, needs_sign_in_by=None)


@dataclass(frozen=True, slots=True, repr=False)
class AppCertificate:
    """A PEM file with the private key and its certificate."""

    path: Path
    passphrase: str | None = None

    def for_msal(self, client_id: str) -> Mapping[str, str]:
        pem = self._read(client_id)
        try:
            key = load_pem_private_key(pem, self.passphrase.encode() if self.passphrase else None)
        except (ValueError, TypeError):
            raise CertificateUnreadable(client_id=client_id, reason="its private key can't be opened") from None
        if not isinstance(key, RSAPrivateKey):
            raise CertificateUnreadable(client_id=client_id, reason="its private key is not an RSA key")
        return {
            "private_key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "public_certificate": self._certificate(pem, client_id).public_bytes(Encoding.PEM).decode(),
        }

    def status(self, client_id: str) -> SignInStatus:
        certificate = self._certificate(self._read(client_id), client_id)
        return SignInStatus(
            account=None,
            renewed_at=certificate.not_valid_before_utc,
            needs_sign_in_by=certificate.not_valid_after_utc,
        )

    def _read(self, client_id: str) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            reason = f"{self.path.name} can't be read ({error.strerror})"
            raise CertificateUnreadable(client_id=client_id, reason=reason) from None

    def _certificate(self, pem: bytes, client_id: str) -> x509.Certificate:
        try:
            return x509.load_pem_x509_certificate(pem)
        except ValueError:
            raise CertificateUnreadable(client_id=client_id, reason=f"{self.path.name} holds none") from None


class AppIdentity:
    """A token provider in an app's name. `pause`, `clock` and `random` are for tests."""

    def __init__(
        self,
        registration: Registration,
        credential: AppCredential,
        *,
        pause: Pause = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Random | None = None,
    ) -> None:
        self._registration = registration
        self._credential = credential
        self._calls = MsalCalls(registration, pause, random)
        self._held = HeldToken(self._renewed, clock)

    async def token(self) -> str:
        """An access token for the environment. Raises a `SignInError`."""
        return await self._held.get()

    async def refresh(self) -> str:
        """Another access token than the last one. Raises a `SignInError`."""
        return await self._held.replace()

    async def status(self) -> SignInStatus:
        """Until when the credential is good, as far as that can be seen. Raises `CertificateUnreadable`."""
        return await asyncio.to_thread(self._credential.status, self._registration.client_id)

    async def close(self) -> None:
        await self._held.close()

    async def _renewed(self, forced: bool) -> Answer:
        credential = await asyncio.to_thread(self._credential.for_msal, self._registration.client_id)

        def ask(http: requests.Session) -> Answer:
            app = self._registration.confidential(http, credential)  # new, so it has no token to give but a new one
            answer: Answer = app.acquire_token_for_client([f"{self._registration.environment}/.default"])
            return answer

        answer = await self._calls.patiently(ask)
        if "access_token" not in answer:
            raise refusal(answer, **self._registration.facts)
        return answer
