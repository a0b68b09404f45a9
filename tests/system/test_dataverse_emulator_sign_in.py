"""Entra's endpoints of the Dataverse emulator, by plain requests and by the libraries people sign in with.

reference: customer-insights.md §12.1, §12.10 (first line); toolbox.md §8.
"""

import asyncio
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msal
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CertificateCredential, ClientSecretCredential
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.system.dataverse_emulator_api import Api, Json, aadsts, error, fresh_api, running

LIFETIME = 600.0
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", "50", "--token-seconds", str(LIFETIME)) as announced:
        yield announced


@pytest.fixture
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


async def test_the_first_line_names_what_a_client_needs(env: Json) -> None:
    needed = {"url", "authority", "tenant", "client_id", "client_secret", "ca", "device_client_id"}
    assert env.keys() >= needed
    assert env["url"].startswith("https://127.0.0.1:")


async def test_keys_lie_in_a_private_folder_that_goes_with_the_process() -> None:
    async with running("--profiles", "1") as announced:
        folder = Path(announced["ca"]).parent
        assert mode(folder) == 0o700
        assert mode(Path(announced["client_certificate"])) == 0o600
    assert mode(folder) is None


async def test_the_discovery_document_names_the_endpoints(api: Api) -> None:
    base = f"{api.env['authority']}/{api.env['tenant']}"
    document = (await api.http.get(f"{base}/v2.0/.well-known/openid-configuration")).json()
    assert document["token_endpoint"] == f"{base}/oauth2/v2.0/token"
    assert document["device_authorization_endpoint"] == f"{base}/oauth2/v2.0/devicecode"
    assert document["issuer"].startswith(base)


class TestDeviceCode:
    async def test_a_code_comes_with_all_that_a_person_must_be_shown(self, api: Api) -> None:
        flow = await api.begin_device_sign_in()
        assert (flow["expires_in"], flow["interval"]) == (900, 5)
        assert flow["verification_uri"] == api.env["verification_uri"]
        assert flow["user_code"] in flow["message"]

    async def test_it_is_pending_until_the_person_approves(self, api: Api) -> None:
        flow = await api.begin_device_sign_in()
        assert aadsts(await api.redeem(flow["device_code"])) == (400, "authorization_pending", [70016])
        await api.control("device", user_code=flow["user_code"], action="approve", user=api.env["people"][0])
        tokens = (await api.redeem(flow["device_code"])).json()
        assert tokens["token_type"] == "Bearer"
        assert tokens["expires_in"] == LIFETIME
        assert tokens["scope"] == f"{api.env['url']}/user_impersonation openid profile"
        assert tokens.keys() >= {"access_token", "refresh_token", "id_token", "client_info"}

    @pytest.mark.parametrize(
        ("action", "answer"),
        [("decline", (400, "authorization_declined", [70017])), ("expire", (400, "expired_token", [70019]))],
    )
    async def test_a_person_may_decline_or_let_it_expire(
        self, api: Api, action: str, answer: tuple[int, str, list[int]]
    ) -> None:
        flow = await api.begin_device_sign_in()
        await api.control("device", user_code=flow["user_code"], action=action)
        assert aadsts(await api.redeem(flow["device_code"])) == answer

    async def test_a_code_runs_out_by_itself(self, api: Api) -> None:
        flow = await api.begin_device_sign_in()
        await api.control("clock", advance=901)
        assert aadsts(await api.redeem(flow["device_code"])) == (400, "expired_token", [70019])

    async def test_a_code_is_good_for_one_redemption(self, api: Api) -> None:
        flow = await api.begin_device_sign_in()
        await api.control("device", user_code=flow["user_code"], action="approve")
        assert (await api.redeem(flow["device_code"])).status_code == 200
        assert aadsts(await api.redeem(flow["device_code"])) == (400, "bad_verification_code", [70018])

    async def test_an_unknown_code_is_refused(self, api: Api) -> None:
        assert aadsts(await api.redeem("nonsense")) == (400, "bad_verification_code", [70018])

    async def test_without_consent_the_approval_gives_no_token(self, api: Api) -> None:
        await api.control("principals", name=api.env["people"][0], consent=False)
        flow = await api.begin_device_sign_in()
        await api.control("device", user_code=flow["user_code"], action="approve", user=api.env["people"][0])
        answer = await api.redeem(flow["device_code"])
        assert aadsts(answer) == (400, "invalid_grant", [65001])
        assert answer.json()["suberror"] == "consent_required"

    async def test_an_app_that_is_not_public_must_prove_itself(self, api: Api) -> None:
        answer = await api.entra("token", grant_type="device_code", client_id=api.env["client_id"], device_code="x")
        assert aadsts(answer) == (401, "invalid_client", [7000218])

    async def test_a_person_can_type_the_code_into_a_page(self, api: Api) -> None:
        flow = await api.begin_device_sign_in()
        page = (await api.http.get(flow["verification_uri"])).text
        assert all(person in page for person in api.env["people"])
        form = {"code": f" {flow['user_code'].lower()} ", "user": api.env["people"][1], "action": "approve"}
        answer = await api.http.post(flow["verification_uri"], data=form)
        assert "You have signed in" in answer.text
        api.token = (await api.redeem(flow["device_code"])).json()["access_token"]
        assert (await api.get("WhoAmI")).status_code == 200

    async def test_the_page_says_that_a_wrong_code_did_not_work_and_shows_it_harmlessly(self, api: Api) -> None:
        form = {"code": '"><script>', "user": api.env["people"][0], "action": "approve"}
        answer = await api.http.post(api.env["verification_uri"], data=form)
        assert answer.status_code == 400
        assert "<script>" not in answer.text


class TestClientCredentials:
    async def test_a_secret_gives_a_token_without_refresh_token(self, api: Api) -> None:
        tokens = (await api.app_token()).json()
        assert tokens.keys() == {"token_type", "expires_in", "ext_expires_in", "access_token"}

    async def test_the_environments_real_address_is_a_resource_too(self, api: Api) -> None:
        api.token = (await api.app_token(f"{api.env['environment']}/.default")).json()["access_token"]
        assert (await api.get("WhoAmI")).status_code == 200

    @pytest.mark.parametrize(
        ("form", "answer"),
        [
            ({"client_secret": "wrong"}, (401, "invalid_client", [7000215])),
            ({"client_id": "00000000-0000-4000-8000-000000000000"}, (400, "unauthorized_client", [700016])),
            ({"client_assertion": "no.jwt", "client_assertion_type": JWT_BEARER}, (401, "invalid_client", [700027])),
            ({"client_assertion": "x.y.z", "client_assertion_type": JWT_BEARER}, (401, "invalid_client", [700027])),
            ({"scope": "https://other.crm.dynamics.com/.default"}, (400, "invalid_resource", [500011])),
            ({"scope": "https://contoso.crm4.dynamics.com/user_impersonation"}, (400, "invalid_scope", [1002012])),
            ({"grant_type": "password"}, (400, "unsupported_grant_type", [70003])),
            ({"grant_type": ""}, (400, "invalid_request", [900144])),
            ({"tenant": "00000000-0000-4000-8000-000000000000"}, (400, "invalid_request", [90002])),
        ],
    )
    async def test_what_is_wrong_is_named(
        self, api: Api, form: dict[str, str], answer: tuple[int, str, list[int]]
    ) -> None:
        assert aadsts(await api.app_token(**form)) == answer

    async def test_an_expired_secret_is_told_apart_from_a_wrong_one(self, api: Api) -> None:
        await api.control("apps", secret_expired=True)
        assert aadsts(await api.app_token()) == (401, "invalid_client", [7000222])

    async def test_a_token_for_another_audience_is_refused_by_dataverse(self, api: Api) -> None:
        answer = await api.app_token("https://graph.microsoft.com/.default")
        api.token = answer.json()["access_token"]
        refused = await api.get("WhoAmI")
        assert refused.status_code == 401
        assert "authorization_uri" in refused.headers["WWW-Authenticate"]


class TestRefresh:
    async def test_a_refresh_token_is_replaced_and_the_old_one_refused(self, api: Api) -> None:
        first = await api.sign_in()
        second = (await api.refresh(first["refresh_token"])).json()
        assert second["refresh_token"] != first["refresh_token"]
        assert aadsts(await api.refresh(first["refresh_token"])) == (400, "invalid_grant", [70000])
        assert (await api.refresh(second["refresh_token"])).status_code == 200

    async def test_rotation_can_be_lenient(self, api: Api) -> None:
        await api.assume(refresh_rotation="lenient")
        first = await api.sign_in()
        for _ in range(2):
            assert (await api.refresh(first["refresh_token"])).status_code == 200

    async def test_a_revoked_sign_in_must_be_repeated(self, api: Api) -> None:
        user = api.env["people"][0]
        tokens = await api.sign_in(user)
        other = await api.sign_in(api.env["people"][1])
        assert (await api.control("tokens", revoke_refresh=user))["revoked"] == 1
        assert aadsts(await api.refresh(tokens["refresh_token"])) == (400, "invalid_grant", [50173])
        assert (await api.refresh(other["refresh_token"])).status_code == 200

    async def test_ninety_days_without_use_end_it(self, api: Api) -> None:
        tokens = await api.sign_in()
        await api.control("clock", advance=91 * 86_400)
        assert aadsts(await api.refresh(tokens["refresh_token"])) == (400, "invalid_grant", [700082])

    async def test_withdrawn_consent_ends_it(self, api: Api) -> None:
        user = api.env["people"][0]
        tokens = await api.sign_in(user)
        await api.control("principals", name=user, consent=False)
        assert aadsts(await api.refresh(tokens["refresh_token"])) == (400, "invalid_grant", [65001])

    async def test_a_new_policy_can_ask_for_the_person(self, api: Api) -> None:
        user = api.env["people"][0]
        tokens = await api.sign_in(user)
        await api.control("principals", name=user, needs_interaction=True)
        assert aadsts(await api.refresh(tokens["refresh_token"])) == (400, "interaction_required", [50076])

    async def test_a_refused_refresh_does_not_use_the_token_up(self, api: Api) -> None:
        user = api.env["people"][0]
        tokens = await api.sign_in(user)
        await api.control("principals", name=user, needs_interaction=True)
        await api.refresh(tokens["refresh_token"])
        await api.control("principals", name=user, needs_interaction=False)
        assert (await api.refresh(tokens["refresh_token"])).status_code == 200

    async def test_the_token_endpoint_can_be_away(self, api: Api) -> None:
        await api.control("faults", next=[{"kind": "sign-in-503"}])
        assert (await api.app_token()).status_code == 503
        assert (await api.app_token()).status_code == 200


class TestAccessTokens:
    async def test_a_token_ends_with_its_lifetime(self, api: Api) -> None:
        assert (await api.get("WhoAmI")).status_code == 200
        await api.control("clock", advance=LIFETIME + 1)
        assert error(await api.get("WhoAmI"))[0] == 401
        await api.use_app_token()
        assert (await api.get("WhoAmI")).status_code == 200

    async def test_all_tokens_can_be_ended_at_once(self, api: Api) -> None:
        assert (await api.get("WhoAmI")).status_code == 200
        await api.control("tokens", expire_access=True)
        assert (await api.get("WhoAmI")).status_code == 401

    async def test_no_token_and_nonsense_are_refused(self, api: Api) -> None:
        assert (await api.http.get(f"{api.root}WhoAmI")).status_code == 401
        api.token = "nonsense"
        assert (await api.get("WhoAmI")).status_code == 401

    async def test_who_am_i_says_who(self, api: Api) -> None:
        ids = set()
        for user in api.env["people"]:
            api.token = (await api.sign_in(user))["access_token"]
            answer = (await api.get("WhoAmI")).json()
            assert answer["@odata.context"].endswith("#Microsoft.Dynamics.CRM.WhoAmIResponse")
            ids.add(answer["UserId"])
        assert len(ids) == 2

    async def test_somebody_without_account_in_the_environment_is_refused(self, api: Api) -> None:
        await api.control("principals", name="app", member=False)
        assert error(await api.get("WhoAmI")) == (403, "0x80072560")


class TestLibraries:
    """Those people use sign in here unchanged. They block, so each works in a thread."""

    @pytest.fixture
    def http(self, env: Json) -> Iterator[requests.Session]:
        with requests.Session() as session:
            session.trust_env = False
            session.verify = env["ca"]
            yield session

    async def test_msal_signs_a_person_in_by_device_code_and_refreshes(self, api: Api, http: requests.Session) -> None:
        app = await asyncio.to_thread(
            msal.PublicClientApplication,
            api.env["device_client_id"],
            authority=f"{api.env['authority']}/{api.env['tenant']}",
            instance_discovery=False,
            http_client=http,
        )
        scopes = [f"{api.env['url']}/user_impersonation"]
        flow = await asyncio.to_thread(app.initiate_device_flow, scopes)
        await api.control("device", user_code=flow["user_code"], action="approve", user=api.env["people"][1])
        tokens = await asyncio.to_thread(app.acquire_token_by_device_flow, flow)
        assert tokens["id_token_claims"]["preferred_username"] == api.env["people"][1]

        [account] = app.get_accounts()
        assert account["username"] == api.env["people"][1]
        kept = await asyncio.to_thread(app.acquire_token_silent, scopes, account)
        assert kept["access_token"] == tokens["access_token"]
        for _ in range(2):  # the second only works with the newest refresh token
            refreshed = await asyncio.to_thread(app.acquire_token_silent, scopes, account, force_refresh=True)
            assert refreshed["access_token"] != tokens["access_token"]
        api.token = refreshed["access_token"]
        assert (await api.get("WhoAmI")).status_code == 200

    async def test_msal_reports_a_declined_sign_in(self, api: Api, http: requests.Session) -> None:
        app = await asyncio.to_thread(
            msal.PublicClientApplication,
            api.env["device_client_id"],
            authority=f"{api.env['authority']}/organizations",
            instance_discovery=False,
            http_client=http,
        )
        flow = await asyncio.to_thread(app.initiate_device_flow, [f"{api.env['url']}/user_impersonation"])
        await api.control("device", user_code=flow["user_code"], action="decline")
        refused = await asyncio.to_thread(app.acquire_token_by_device_flow, flow)
        assert refused["error"] == "authorization_declined"

    @pytest.mark.parametrize("proof", ["secret", "certificate (SHA-256)", "certificate (SHA-1)"])
    async def test_msal_proves_an_app(self, api: Api, http: requests.Session, proof: str) -> None:
        app = await asyncio.to_thread(
            msal.ConfidentialClientApplication,
            api.env["client_id"],
            client_credential=credential(api.env, proof),
            authority=f"{api.env['authority']}/{api.env['tenant']}",
            instance_discovery=False,
            http_client=http,
        )
        tokens = await asyncio.to_thread(app.acquire_token_for_client, [f"{api.env['url']}/.default"])
        api.token = tokens["access_token"]
        assert (await api.get("WhoAmI")).status_code == 200

    async def test_a_certificate_that_is_not_the_apps_is_refused(self, api: Api, http: requests.Session) -> None:
        strange = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        pem = strange.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        app = await asyncio.to_thread(
            msal.ConfidentialClientApplication,
            api.env["client_id"],
            client_credential={"private_key": pem, "thumbprint": "00" * 20},
            authority=f"{api.env['authority']}/{api.env['tenant']}",
            instance_discovery=False,
            http_client=http,
        )
        refused = await asyncio.to_thread(app.acquire_token_for_client, [f"{api.env['url']}/.default"])
        assert (refused["error"], refused["error_codes"]) == ("invalid_client", [700027])

    async def test_azure_identity_proves_an_app(self, api: Api) -> None:
        where = {
            "authority": api.env["authority"].removeprefix("https://"),
            "disable_instance_discovery": True,
            "connection_verify": api.env["ca"],
        }
        app = (api.env["tenant"], api.env["client_id"])
        secret = ClientSecretCredential(*app, api.env["client_secret"], **where)
        certificate = CertificateCredential(*app, api.env["client_certificate"], **where)
        for proof in (secret, certificate):
            with proof:
                token = await asyncio.to_thread(proof.get_token, f"{api.env['url']}/.default")
            api.token = token.token
            assert (await api.get("WhoAmI")).status_code == 200
        with (
            ClientSecretCredential(*app, "wrong", **where) as wrong,
            pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
        ):
            await asyncio.to_thread(wrong.get_token, f"{api.env['url']}/.default")


def mode(path: Path) -> int | None:
    """The path's permissions, None if it isn't there."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else None


def credential(env: Json, proof: str) -> str | dict[str, str]:
    if proof == "secret":
        return str(env["client_secret"])
    pem = Path(env["client_certificate"]).read_text()
    if proof == "certificate (SHA-256)":
        return {"private_key": pem, "public_certificate": pem}
    certificate = x509.load_pem_x509_certificate(pem.encode())
    return {"private_key": pem, "thumbprint": certificate.fingerprint(SHA1()).hex()}  # noqa: S303 (what it calls for)
