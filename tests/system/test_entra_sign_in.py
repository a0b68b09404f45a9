"""Signing in with Entra through MSAL, against the emulator's endpoints over TLS.

reference: customer-insights.md §12.1, §12.10 (first line); toolbox.md §8.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from bot.sources.entra import (
    AppCertificate,
    AppIdentity,
    AppSecret,
    DeviceSignIn,
    Registration,
    SignInState,
    UserIdentity,
)
from bot.sources.entra.errors import (
    AppUnknown,
    CertificateRefused,
    CertificateUnreadable,
    ConsentMissing,
    EnvironmentUnknown,
    MoreProofNeeded,
    NotSignedIn,
    PublicFlowOff,
    SecretExpired,
    SecretRefused,
    SignInAgain,
    SignInError,
    SignInUnavailable,
    TenantUnknown,
)
from tests.system.dataverse_emulator_api import Api, Json, fresh_api, running


@dataclass
class MemoryStore:
    """A token store that remembers everything it was given."""

    saved: list[str] = field(default_factory=list)

    async def load(self) -> str | None:
        return self.saved[-1] if self.saved else None

    async def save(self, tokens: str) -> None:
        self.saved.append(tokens)

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


@pytest.fixture(scope="module")
async def env() -> AsyncIterator[Json]:
    async with running("--profiles", "50") as announced:
        yield announced


@pytest.fixture(autouse=True)
async def api(env: Json) -> AsyncIterator[Api]:
    async with fresh_api(env) as fresh:
        yield fresh


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
async def user(env: Json, store: MemoryStore) -> AsyncIterator[UserIdentity]:
    identity = UserIdentity(registration(env, "device_client_id"), store, pause=at_once)
    yield identity
    await identity.close()


async def at_once(seconds: float) -> None:
    await asyncio.sleep(0)


def registration(env: Json, client: str = "client_id", **other: str) -> Registration:
    given = {
        "environment": env["url"],
        "tenant": env["tenant"],
        "client_id": env[client],
        "authority": env["authority"],
    }
    return Registration(ca_file=Path(env["ca"]), **(given | other))


def app(env: Json, secret: str | None = None, **other: str) -> AppIdentity:
    return AppIdentity(registration(env, **other), AppSecret(secret or env["client_secret"]), pause=at_once)


async def answered(api: Api, sign_in: DeviceSignIn, action: str = "approve") -> SignInState:
    """What the sign-in comes to once the person has done something with the code."""
    await api.control("device", user_code=sign_in.code, action=action, user=api.env["people"][0])
    return await sign_in.wait()


async def signed_in(api: Api, user: UserIdentity) -> None:
    assert await answered(api, await user.begin_sign_in()) is SignInState.SIGNED_IN


async def works(api: Api, token: str) -> bool:
    api.token = token
    return (await api.get("WhoAmI")).status_code == 200


class TestDeviceCode:
    async def test_code_link_and_expiry_are_there_to_be_shown_before_anybody_waits(
        self, api: Api, user: UserIdentity
    ) -> None:
        sign_in = await user.begin_sign_in()
        assert sign_in.state is SignInState.WAITING
        assert sign_in.code in (await api.look("device"))["user_codes"]
        assert sign_in.link == api.env["verification_uri"]
        assert timedelta(minutes=14) < sign_in.expires_at - datetime.now(UTC) <= timedelta(minutes=15)

    async def test_an_approved_sign_in_gives_tokens_that_dataverse_takes(
        self, api: Api, user: UserIdentity, store: MemoryStore
    ) -> None:
        await signed_in(api, user)
        assert await works(api, await user.token())
        assert len(store.saved) == 1

    async def test_the_watcher_goes_on_until_the_person_acts(self, api: Api, env: Json, store: MemoryStore) -> None:
        looks = 0

        async def act_on_the_third(seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks == 3:
                await api.control("device", user_code=sign_in.code, action="approve")

        user = UserIdentity(registration(env, "device_client_id"), store, pause=act_on_the_third)
        sign_in = await user.begin_sign_in()
        assert await sign_in.wait() is SignInState.SIGNED_IN
        assert looks == 3

    async def test_between_two_looks_it_waits_for_as_long_as_entra_says(self, api: Api, env: Json) -> None:
        pauses: list[float] = []

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            await api.control("device", user_code=sign_in.code, action="decline")

        sign_in = await UserIdentity(registration(env, "device_client_id"), MemoryStore(), pause=pause).begin_sign_in()
        await sign_in.wait()
        assert pauses == [5]

    @pytest.mark.parametrize(("action", "state"), [("decline", SignInState.DECLINED), ("expire", SignInState.EXPIRED)])
    async def test_declining_and_letting_it_expire_are_told_apart_and_keep_nothing(
        self, api: Api, user: UserIdentity, store: MemoryStore, action: str, state: SignInState
    ) -> None:
        assert await answered(api, await user.begin_sign_in(), action) is state
        assert store.saved == []

    async def test_a_cancelled_sign_in_keeps_no_token_though_the_person_approves(
        self, api: Api, user: UserIdentity, store: MemoryStore
    ) -> None:
        sign_in = await user.begin_sign_in()
        sign_in.cancel()
        assert await answered(api, sign_in) is SignInState.CANCELLED
        assert store.saved == []

    async def test_a_new_sign_in_leaves_the_old_one_good_until_it_has_succeeded(
        self, api: Api, user: UserIdentity
    ) -> None:
        await signed_in(api, user)
        await answered(api, await user.begin_sign_in(), "decline")
        assert await works(api, await user.refresh())

    async def test_an_outage_of_entra_in_between_is_waited_out(self, api: Api, user: UserIdentity) -> None:
        sign_in = await user.begin_sign_in()
        await api.control("faults", next=[{"kind": "sign-in-503", "times": 3}])
        assert await answered(api, sign_in) is SignInState.SIGNED_IN

    async def test_missing_consent_names_the_admin_who_can_grant_it(self, api: Api, user: UserIdentity) -> None:
        await api.control("principals", name=api.env["people"][0], consent=False)
        sign_in = await user.begin_sign_in()
        with pytest.raises(ConsentMissing, match=r"AADSTS65001.*Entra admin can grant it"):
            await answered(api, sign_in)
        assert sign_in.state is SignInState.FAILED

    async def test_an_app_that_is_not_public_is_named_as_such(self, api: Api, env: Json) -> None:
        user = UserIdentity(registration(env), MemoryStore(), pause=at_once)
        with pytest.raises(PublicFlowOff, match="Allow public client flows"):
            await answered(api, await user.begin_sign_in())

    async def test_an_unknown_app_is_found_out_before_a_code_is_shown(self, env: Json) -> None:
        stranger = registration(env, client_id="00000000-0000-4000-8000-000000000000")
        with pytest.raises(AppUnknown, match="00000000-0000"):
            await UserIdentity(stranger, MemoryStore(), pause=at_once).begin_sign_in()


class TestRenewal:
    async def test_a_fresh_token_is_given_out_again_without_asking_entra(self, api: Api, user: UserIdentity) -> None:
        await signed_in(api, user)
        before = (await api.look("stats"))["tokens_issued"]
        assert await user.token() == await user.token()
        assert (await api.look("stats"))["tokens_issued"] == before

    async def test_a_restarted_program_goes_on_with_what_was_stored(
        self, api: Api, user: UserIdentity, store: MemoryStore, env: Json
    ) -> None:
        await signed_in(api, user)
        again = UserIdentity(registration(env, "device_client_id"), store, pause=at_once)
        assert await works(api, await again.token())

    async def test_each_rotated_refresh_token_is_stored(self, api: Api, user: UserIdentity, store: MemoryStore) -> None:
        await signed_in(api, user)
        tokens = {await user.refresh() for _ in range(3)}
        assert len(tokens) == 3
        assert len(set(store.saved)) == 4

    async def test_many_who_ask_at_once_cause_one_renewal(
        self, api: Api, user: UserIdentity, store: MemoryStore
    ) -> None:
        await signed_in(api, user)
        await user.token()
        assert len(set(await asyncio.gather(*(user.refresh() for _ in range(5))))) == 1
        assert len(store.saved) == 2

    async def test_a_renewal_whose_asker_was_cancelled_still_keeps_its_token(
        self, api: Api, user: UserIdentity, store: MemoryStore
    ) -> None:
        await signed_in(api, user)
        asking = asyncio.create_task(user.refresh())
        await asyncio.sleep(0)  # it has begun
        asking.cancel()
        with suppress(asyncio.CancelledError):
            await asking
        await user.close()
        assert len(store.saved) == 2
        assert await works(api, await user.refresh())  # by the rotated token: the old one is used up

    async def test_a_token_that_another_process_has_used_up_is_looked_up_again(
        self, api: Api, user: UserIdentity, store: MemoryStore, env: Json
    ) -> None:
        await api.assume(refresh_rotation="strict")  # a refresh token is good for one use
        await signed_in(api, user)
        [former] = store.saved

        class Overtaken(MemoryStore):
            async def load(self) -> str | None:
                return self.saved.pop(0) if len(self.saved) > 1 else self.saved[0]

        await user.refresh()
        newer = store.saved[-1]
        late = UserIdentity(registration(env, "device_client_id"), Overtaken([former, former, newer]), pause=at_once)
        await late.token()  # still good; the next one takes a refresh token
        assert await works(api, await late.refresh())
        assert (await api.look("stats"))["tokens_issued"]["refresh_token"] == 2

    async def test_a_revoked_sign_in_names_who_has_to_sign_in_again_and_stays_stored(
        self, api: Api, user: UserIdentity, store: MemoryStore
    ) -> None:
        await signed_in(api, user)
        await api.control("tokens", revoke_refresh=True)
        with pytest.raises(SignInAgain, match=r"AADSTS50173.*sign in again") as caught:
            await user.refresh()
        assert api.env["people"][0] not in str(caught.value)  # reports reach channels
        assert len(store.saved) == 1

    async def test_a_sign_in_that_nobody_used_for_ninety_days_has_ended(self, api: Api, user: UserIdentity) -> None:
        await signed_in(api, user)
        await api.control("clock", advance=91 * 86_400)
        with pytest.raises(SignInAgain, match="AADSTS700082"):
            await user.refresh()

    async def test_a_second_factor_asks_for_the_person(self, api: Api, user: UserIdentity) -> None:
        await signed_in(api, user)
        await api.control("principals", name=api.env["people"][0], needs_interaction=True)
        with pytest.raises(MoreProofNeeded, match="AADSTS50076"):
            await user.refresh()

    async def test_consent_taken_back_is_no_reason_to_sign_in_again(self, api: Api, user: UserIdentity) -> None:
        await signed_in(api, user)
        await api.control("principals", name=api.env["people"][0], consent=False)
        with pytest.raises(ConsentMissing):
            await user.refresh()

    @pytest.mark.parametrize("stored", [None, "", "{}", "not json"])
    async def test_without_a_stored_sign_in_nobody_is_asked(self, env: Json, stored: str | None) -> None:
        store = MemoryStore([] if stored is None else [stored])
        with pytest.raises(NotSignedIn, match="An admin can sign in: Change export user"):
            await UserIdentity(registration(env, "device_client_id"), store, pause=at_once).token()

    async def test_a_short_outage_of_entra_is_tried_through(self, api: Api, user: UserIdentity) -> None:
        await signed_in(api, user)
        await api.control("faults", next=[{"kind": "sign-in-503", "times": 3}])
        assert await works(api, await user.refresh())

    async def test_a_long_outage_is_named_and_loses_nothing(self, api: Api, user: UserIdentity) -> None:
        await signed_in(api, user)
        await api.control("faults", next=[{"kind": "sign-in-503", "times": 4}])
        with pytest.raises(SignInUnavailable):
            await user.refresh()
        assert await works(api, await user.refresh())


class TestStatus:
    async def test_the_stored_sign_in_says_whose_it_is_and_when_it_goes_stale(
        self, api: Api, user: UserIdentity
    ) -> None:
        assert await user.status() is None
        await signed_in(api, user)
        status = await user.status()
        assert status is not None
        assert status.account is not None
        assert status.account.name == api.env["people"][0]
        assert status.account.tenant == api.env["tenant"]
        assert status.renewed_at is not None
        assert abs(status.renewed_at - datetime.now(UTC)) < timedelta(minutes=1)
        assert status.needs_sign_in_by == status.renewed_at + timedelta(days=90)

    async def test_a_certificate_says_until_when_it_is_good(self, env: Json) -> None:
        status = await AppIdentity(registration(env), AppCertificate(Path(env["client_certificate"]))).status()
        assert status.needs_sign_in_by is not None
        assert not status.is_due(datetime.now(UTC), timedelta(days=10))
        assert status.is_due(datetime.now(UTC) + timedelta(days=29))

    async def test_of_a_secret_no_end_is_known(self, env: Json) -> None:
        status = await app(env).status()
        assert not status.is_due(datetime.now(UTC) + timedelta(days=10_000))


class TestApp:
    async def test_a_secret_is_enough_and_its_token_is_kept_until_it_is_refused(self, api: Api, env: Json) -> None:
        identity = app(env)
        first = await identity.token()
        assert await works(api, first)
        assert await identity.token() == first
        second = await identity.refresh()
        assert second != first
        assert await works(api, second)

    async def test_so_is_a_certificate(self, api: Api, env: Json) -> None:
        identity = AppIdentity(registration(env), AppCertificate(Path(env["client_certificate"])), pause=at_once)
        assert await works(api, await identity.token())

    async def test_a_wrong_secret_and_an_expired_one_are_told_apart(self, api: Api, env: Json) -> None:
        with pytest.raises(SecretRefused, match="AADSTS7000215") as wrong:
            await app(env, secret="wrong").token()
        assert not isinstance(wrong.value, SecretExpired)
        await api.control("apps", secret_expired=True)
        with pytest.raises(SecretExpired, match="AADSTS7000222"):
            await app(env).token()

    async def test_a_certificate_that_the_registration_does_not_have_is_refused(self, env: Json) -> None:
        async with running("--profiles", "1") as other:
            foreign = AppCertificate(Path(other["client_certificate"]))
            with pytest.raises(CertificateRefused, match="AADSTS700027"):
                await AppIdentity(registration(env), foreign, pause=at_once).token()

    async def test_files_that_are_no_certificate_are_named(self, env: Json, tmp_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        (tmp_path / "ec.pem").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        (tmp_path / "text.pem").write_text("hello")
        for name, reason in [
            ("ec.pem", "not an RSA key"),
            ("text.pem", "can't be opened"),
            ("gone.pem", "can't be read"),
        ]:
            identity = AppIdentity(registration(env), AppCertificate(tmp_path / name), pause=at_once)
            with pytest.raises(CertificateUnreadable, match=reason):
                await identity.token()

    @pytest.mark.parametrize(
        ("other", "error"),
        [
            ({"tenant": "00000000-0000-4000-8000-000000000000"}, TenantUnknown),
            ({"client_id": "00000000-0000-4000-8000-000000000000"}, AppUnknown),
            ({"environment": "https://fabrikam.crm4.dynamics.com"}, EnvironmentUnknown),
        ],
    )
    async def test_wrong_settings_are_named(self, env: Json, other: dict[str, str], error: type[SignInError]) -> None:
        with pytest.raises(error):
            await app(env, **other).token()

    async def test_an_authority_that_is_not_there_is_unavailable(self, env: Json) -> None:
        with pytest.raises(SignInUnavailable, match=r"127\.0\.0\.1:9"):
            await app(env, authority="https://127.0.0.1:9").token()

    async def test_no_secret_shows_in_errors_or_representations(self, env: Json) -> None:
        identity = app(env, secret="hunter2hunter2")
        with pytest.raises(SecretRefused) as refused:
            await identity.token()
        assert "hunter2" not in str(refused.value) + repr(refused.value.facts) + repr(AppSecret("hunter2"))
