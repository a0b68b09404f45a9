"""Entra ID's side of signing in: device code, refresh with rotation, client credentials, and its refusals.

No HTTP here: `sign_in.py` puts it on the network. (Microsoft identity platform docs, "OAuth 2.0 device authorization
grant", "client credentials flow", "Error codes".)
"""

import secrets
import string
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from bot.sandbox.dataverse.assumptions import Assumptions
from bot.sandbox.dataverse.clock import Clock
from bot.sandbox.dataverse.directory import GRAPH, Directory, Principal, Registration
from bot.sandbox.dataverse.jwt import base64url, make_jwt, parse_jwt, verify

DEVICE_CODE_SECONDS = 900
POLL_SECONDS = 5
REFRESH_TOKEN_DAYS = 90  # without use
OPENID_SCOPES = {"openid", "profile", "email", "offline_access"}
MANY_TENANTS = {"common", "organizations"}

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

Form = Mapping[str, str]


class EntraError(Exception):
    """A refusal, as Entra words it: an OAuth error and an AADSTS number."""

    def __init__(self, error: str, number: int, message: str, *, status: int = 400, suberror: str = "") -> None:
        super().__init__(message)
        self.error = error
        self.number = number
        self.message = message
        self.status = status
        self.suberror = suberror

    def body(self, correlation_id: str) -> dict[str, Any]:
        trace_id = str(uuid4())
        timestamp = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        body: dict[str, Any] = {
            "error": self.error,
            "error_description": f"AADSTS{self.number}: {self.message} Trace ID: {trace_id} "
            f"Correlation ID: {correlation_id} Timestamp: {timestamp}",
            "error_codes": [self.number],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"https://login.microsoftonline.com/error?code={self.number}",
        }
        return body | {"suberror": self.suberror} if self.suberror else body


@dataclass
class DeviceSignIn:
    """A device code on its way: from the request to the person's answer."""

    device_code: str
    user_code: str
    client_id: str
    scopes: tuple[str, ...]
    expires: float
    state: Literal["pending", "approved", "declined", "expired", "redeemed"] = "pending"
    user: Principal | None = None


@dataclass
class RefreshToken:
    user: Principal
    client_id: str
    scopes: tuple[str, ...]
    last_used: float
    used: bool = False
    revoked: bool = False


@dataclass
class AccessToken:
    principal: Principal
    audience: str
    expires: float


@dataclass
class Entra:
    """The tenant's token service. Lifetimes are in virtual seconds, what clients are told in real ones."""

    directory: Directory
    clock: Clock
    assumptions: Assumptions
    app_public_key: RSAPublicKey
    token_seconds: float
    device_sign_ins: dict[str, DeviceSignIn] = field(default_factory=dict)
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    issued: dict[str, int] = field(default_factory=dict)

    # What the endpoints do

    def check_tenant(self, tenant: str, *, many: bool = True) -> None:
        if tenant != self.directory.tenant and not (many and tenant in MANY_TENANTS):
            raise EntraError(
                "invalid_request",
                90002,
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into "
                "the correct cloud.",
            )

    def start_device_sign_in(self, form: Form, verification_uri: str) -> dict[str, Any]:
        """Answer to `POST …/devicecode`."""
        app = self._registration(form)
        scopes = tuple(_required(form, "scope").split())
        self._resource(scopes)
        letters = string.ascii_uppercase.replace("I", "").replace("O", "") + "23456789"
        sign_in = DeviceSignIn(
            device_code=secrets.token_urlsafe(96),
            user_code="".join(secrets.choice(letters) for _ in range(9)),
            client_id=app.client_id,
            scopes=scopes,
            expires=self.clock.now() + DEVICE_CODE_SECONDS,
        )
        self.device_sign_ins[sign_in.device_code] = sign_in
        return {
            "user_code": sign_in.user_code,
            "device_code": sign_in.device_code,
            "verification_uri": verification_uri,
            "expires_in": self.clock.real_seconds(DEVICE_CODE_SECONDS),
            "interval": self.clock.real_seconds(POLL_SECONDS),
            "message": f"To sign in, use a web browser to open the page {verification_uri} and enter the code "
            f"{sign_in.user_code} to authenticate.",
        }

    def answer_device_sign_in(self, user_code: str, action: str, user: str) -> DeviceSignIn:
        """What the person does on the verification page: `approve`, `decline`, or let it `expire`.

        Raises `KeyError` for a code that is not pending (any more) or a user who does not exist.
        """
        code = user_code.strip().upper()
        sign_in = next(s for s in [*self.device_sign_ins.values(), None] if s is None or s.user_code == code)
        if sign_in is None or sign_in.state != "pending" or self.clock.now() > sign_in.expires:
            raise KeyError(f"no sign-in is waiting for the code {code}")
        match action:
            case "approve":
                sign_in.user = self.directory.people[user]
                sign_in.state = "approved"
            case "decline":
                sign_in.state = "declined"
            case "expire":
                sign_in.state = "expired"
            case _:
                raise KeyError(f"unknown action {action}")
        return sign_in

    def token(self, tenant: str, form: Form, token_endpoints: Iterable[str]) -> dict[str, Any]:
        """Answer to `POST …/token`. `token_endpoints` are the addresses that a client assertion may be meant for."""
        grant = _required(form, "grant_type")
        self.check_tenant(tenant, many=grant != "client_credentials")
        app = self._registration(form)
        self._authenticate(app, form, token_endpoints)
        match grant:
            case "client_credentials":
                answer = self._for_app(app, form)
            case "refresh_token":
                answer = self._refresh(app, form)
            case _ if grant == DEVICE_GRANT:
                answer = self._for_device(form)
            case _:
                raise EntraError(
                    "unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{grant}'."
                )
        self.issued[grant] = self.issued.get(grant, 0) + 1
        return answer

    def principal_of(self, token: str) -> Principal | None:
        """Whose token this is, if it is good for the environment now."""
        access = self.access_tokens.get(token)
        if access is None or not self.directory.is_environment(access.audience) or self.clock.now() >= access.expires:
            return None
        return access.principal

    # What admins and time do to tokens

    def expire_access_tokens(self) -> int:
        for token in self.access_tokens.values():
            token.expires = 0
        return len(self.access_tokens)

    def revoke_refresh_tokens(self, user: str | None) -> int:
        tokens = [token for token in self.refresh_tokens.values() if user in (None, token.user.name)]
        for token in tokens:
            token.revoked = True
        return len(tokens)

    # Grants

    def _for_app(self, app: Registration, form: Form) -> dict[str, Any]:
        if app.public:
            raise EntraError("unauthorized_client", 700025, "Client is public so it can't ask for tokens of its own.")
        scopes = tuple(_required(form, "scope").split())
        if any(not scope.endswith("/.default") for scope in scopes):
            raise EntraError(
                "invalid_scope",
                1002012,
                f"The provided value for scope {' '.join(scopes)} is not valid. Client credential flows must have a "
                "scope value with /.default suffixed to the resource identifier (application ID URI).",
            )
        return self._access(self.directory.app_user, self._resource(scopes), app)

    def _for_device(self, form: Form) -> dict[str, Any]:
        sign_in = self.device_sign_ins.get(_required(form, "device_code"))
        if sign_in is None or sign_in.client_id != form["client_id"] or sign_in.state == "redeemed":
            raise EntraError("bad_verification_code", 70018, "The verification code is not valid or was redeemed.")
        if sign_in.state == "declined":
            raise EntraError("authorization_declined", 70017, "The end user has declined to authorize the request.")
        if sign_in.state == "expired" or self.clock.now() > sign_in.expires:
            raise EntraError("expired_token", 70019, "The verification code expired. Sign in again.")
        if sign_in.user is None:
            raise EntraError(
                "authorization_pending",
                70016,
                "OAuth 2.0 device flow error. Authorization is pending. Continue polling.",
            )
        self._check_consent(sign_in.user, sign_in.client_id)
        sign_in.state = "redeemed"
        return self._for_user(sign_in.user, sign_in.client_id, sign_in.scopes)

    def _refresh(self, app: Registration, form: Form) -> dict[str, Any]:
        token = self.refresh_tokens.get(_required(form, "refresh_token"))
        if token is None or token.client_id != app.client_id:
            raise EntraError("invalid_grant", 70000, "The provided refresh token is not valid.", suberror="bad_token")
        if token.revoked:
            raise EntraError(
                "invalid_grant",
                50173,
                "The provided grant has expired due to it being revoked, a fresh auth token is needed. The user might "
                "have changed or reset their password.",
                suberror="bad_token",
            )
        if token.used and self.assumptions.refresh_rotation == "strict":
            raise EntraError(
                "invalid_grant", 70000, "The refresh token was already used: use the newest one.", suberror="bad_token"
            )
        if self.clock.now() - token.last_used > REFRESH_TOKEN_DAYS * 86_400:
            raise EntraError(
                "invalid_grant",
                700082,
                f"The refresh token has expired due to inactivity for {REFRESH_TOKEN_DAYS} days.",
                suberror="token_expired",
            )
        self._check_consent(token.user, app.client_id)
        if token.user.needs_interaction:
            raise EntraError(
                "interaction_required",
                50076,
                "Due to a configuration change made by your administrator, or because you moved to a new location, you "
                "must use multi-factor authentication to access the resource.",
                suberror="basic_action",
            )
        scopes = tuple(form["scope"].split()) if form.get("scope") else token.scopes
        answer = self._for_user(token.user, app.client_id, (*scopes, "offline_access"))
        token.used, token.last_used = True, self.clock.now()
        return answer

    def _for_user(self, user: Principal, client_id: str, scopes: tuple[str, ...]) -> dict[str, Any]:
        resource = self._resource(scopes)
        answer = self._access(user, resource, self._registration({"client_id": client_id}))
        answer["scope"] = " ".join(scope for scope in dict.fromkeys(scopes) if scope != "offline_access")
        if "offline_access" in scopes:
            answer["refresh_token"] = f"1.{secrets.token_urlsafe(300)}"
            self.refresh_tokens[answer["refresh_token"]] = RefreshToken(user, client_id, scopes, self.clock.now())
        if "openid" in scopes:
            answer["id_token"] = self._id_token(user, client_id)
            answer["client_info"] = base64url(orjson.dumps({"uid": user.id, "utid": user.tenant}))
        return answer

    def _access(self, principal: Principal, resource: str, app: Registration) -> dict[str, Any]:
        now = self.clock.now()
        self.access_tokens = {key: token for key, token in self.access_tokens.items() if token.expires > now}
        expires_in = max(1, int(self.token_seconds / self.clock.scale))
        token = make_jwt(
            {
                "aud": resource,
                "iss": f"https://sts.windows.net/{principal.tenant}/",
                "exp": int(time.time()) + expires_in,
                "appid": app.client_id,
                "oid": principal.id,
                "tid": principal.tenant,
                "uti": secrets.token_urlsafe(16),
                "ver": "1.0",
            }
        )
        self.access_tokens[token] = AccessToken(principal, resource, now + self.token_seconds)
        return {
            "token_type": "Bearer",
            "expires_in": expires_in,
            "ext_expires_in": expires_in,
            "access_token": token,
        }

    def _id_token(self, user: Principal, client_id: str) -> str:
        now = int(time.time())
        return make_jwt(
            {
                "aud": client_id,
                "iss": f"https://login.microsoftonline.com/{user.tenant}/v2.0",
                "iat": now,
                "nbf": now,
                "exp": now + 3_600,
                "name": user.name.partition("@")[0],
                "preferred_username": user.name,
                "oid": user.id,
                "sub": user.id,
                "tid": user.tenant,
                "ver": "2.0",
            }
        )

    # Checks

    def _registration(self, form: Form) -> Registration:
        client_id = _required(form, "client_id")
        app = self.directory.registration(client_id)
        if app is None:
            raise EntraError(
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory '{self.directory.tenant}'. "
                "This can happen if the application has not been installed by the administrator of the tenant or "
                "consented to by any user in the tenant.",
            )
        return app

    def _authenticate(self, app: Registration, form: Form, token_endpoints: Iterable[str]) -> None:
        """Raise `EntraError` (401) unless a confidential app proves itself."""
        if app.public:
            return
        if "client_assertion" in form:
            self._check_assertion(app, form, token_endpoints)
        elif "client_secret" not in form:
            raise _invalid_client(
                7000218,
                "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
            )
        elif not secrets.compare_digest(form["client_secret"].encode(), app.secret.encode()):
            raise _invalid_client(
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
                f"value, not the client secret ID, for a secret added to app '{app.client_id}'.",
            )
        elif app.secret_expired:
            raise _invalid_client(
                7000222,
                f"The provided client secret keys for app '{app.client_id}' are expired. Create new keys for your app.",
            )

    def _check_assertion(self, app: Registration, form: Form, token_endpoints: Iterable[str]) -> None:
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise _invalid_client(50027, "The client assertion type is not supported.")
        try:
            header, claims, signed, signature = parse_jwt(form["client_assertion"])
            verify(self.app_public_key, str(header.get("alg")), signed, signature)
        except (ValueError, InvalidSignature):
            raise _invalid_client(700027, "Client assertion failed signature validation.") from None
        if claims.get("aud") not in set(token_endpoints):
            raise _invalid_client(700023, f"Client assertion audience claim does not match: {claims.get('aud')}.")
        if claims.get("iss") != app.client_id or claims.get("sub") != app.client_id:
            raise _invalid_client(700021, "Client assertion application identifier doesn't match 'client_id'.")
        if not isinstance(claims.get("exp"), int | float) or claims["exp"] < time.time():
            raise _invalid_client(700024, "Client assertion is not within its valid time range.")

    def _check_consent(self, user: Principal, client_id: str) -> None:
        if not user.consented:
            raise EntraError(
                "invalid_grant",
                65001,
                f"The user or administrator has not consented to use the application with ID '{client_id}' named "
                "'Segment Ferry'. Send an interactive authorization request for this user and resource.",
                suberror="consent_required",
            )

    def _resource(self, scopes: Iterable[str]) -> str:
        """The one resource that the scopes belong to, such as the environment's address."""
        resources = {scope.rpartition("/")[0].rstrip("/") for scope in scopes if scope not in OPENID_SCOPES} or {GRAPH}
        if len(resources) > 1:
            raise EntraError("invalid_scope", 28000, "Scopes of more than one resource were asked for.")
        resource = resources.pop()
        if resource != GRAPH and not self.directory.is_environment(resource):
            raise EntraError(
                "invalid_resource",
                500011,
                f"The resource principal named {resource} was not found in the tenant named Contoso.",
            )
        return resource


def _required(form: Form, name: str) -> str:
    if not form.get(name):
        raise EntraError("invalid_request", 900144, f"The request body must contain the following parameter: '{name}'.")
    return form[name]


def _invalid_client(number: int, message: str) -> EntraError:
    return EntraError("invalid_client", number, message, status=401)
