"""Signing in, as far as it needs no Entra: the watched code, tokens in memory, the meaning of refusals, what is stored.

reference: customer-insights.md §12.1; toolbox.md §8.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
from requests.adapters import BaseAdapter

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
    ConsentMissing,
    EnvironmentUnknown,
    MoreProofNeeded,
    PublicFlowOff,
    SecretExpired,
    SecretRefused,
    SignInAgain,
    SignInError,
    SignInRefused,
    SignInUnavailable,
    TenantUnknown,
    refusal,
)
from bot.sources.entra.held import HeldToken
from bot.sources.entra.msal_calls import EntraAway, Pause

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
REGISTRATION = Registration("https://contoso.crm4.dynamics.com", "contoso", "client-7")
FACTS = {"account": "ada@contoso.example", **REGISTRATION.facts}
TOKENS = {"access_token": "secret-token", "expires_in": 3_600}

Answer = dict[str, Any]


class Watched:
    """A sign-in whose answers from Entra are given in advance; the last one comes again and again."""

    def __init__(self, *answers: Answer | Exception, interval: float = 5, pause: Pause | None = None) -> None:
        self.answers = list(answers)
        self.looks = 0
        self.accepted: list[Answer] = []
        self.pauses: list[float] = []
        self.now = NOON
        self.on_look: Callable[[], None] = lambda: None
        flow = {
            "user_code": "ABCD1234",
            "verification_uri": "https://microsoft.com/devicelogin",
            "interval": interval,
            "expires_at": (NOON + timedelta(minutes=15)).timestamp(),
        }
        self.sign_in = DeviceSignIn(
            flow, REGISTRATION, poll=self.poll, accept=self.accept, pause=pause or self.pause, now=lambda: self.now
        )

    async def poll(self) -> Answer:
        self.looks += 1
        self.on_look()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def accept(self, answer: Answer) -> None:
        self.accepted.append(answer)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def refused(error: str) -> Answer:
    return {"error": error}


class TestDeviceSignIn:
    async def test_it_goes_on_looking_until_the_person_has_signed_in(self) -> None:
        watched = Watched(refused("authorization_pending"), refused("slow_down"), EntraAway("x"), TOKENS)
        assert await watched.sign_in.wait() is SignInState.SIGNED_IN
        assert (watched.looks, watched.accepted) == (4, [TOKENS])

    @pytest.mark.parametrize(
        ("error", "state"),
        [
            ("authorization_declined", SignInState.DECLINED),
            ("access_denied", SignInState.DECLINED),
            ("expired_token", SignInState.EXPIRED),
            ("bad_verification_code", SignInState.EXPIRED),
        ],
    )
    async def test_what_people_and_time_do_is_a_state_and_no_error(self, error: str, state: SignInState) -> None:
        watched = Watched(refused(error))
        assert await watched.sign_in.wait() is state
        assert watched.sign_in.state is state
        assert await watched.sign_in.wait() is state
        assert watched.looks == 1

    async def test_it_expires_by_its_own_clock_though_entra_is_away(self) -> None:
        watched = Watched(EntraAway("x"), interval=60)
        assert await watched.sign_in.wait() is SignInState.EXPIRED
        assert watched.looks == 14

    async def test_what_can_not_work_is_an_error_and_ends_it(self) -> None:
        watched = Watched(refused("invalid_client"))
        with pytest.raises(SignInRefused):
            await watched.sign_in.wait()
        assert watched.sign_in.state is SignInState.FAILED

    async def test_cancelling_ends_the_wait_without_another_look(self) -> None:
        stopped = asyncio.Event()

        async def for_ever(seconds: float) -> None:
            stopped.set()
            await asyncio.Event().wait()

        watched = Watched(refused("authorization_pending"), pause=for_ever)
        waiting = asyncio.create_task(watched.sign_in.wait())
        await stopped.wait()
        watched.sign_in.cancel()
        assert await waiting is SignInState.CANCELLED
        assert watched.looks == 0

    async def test_tokens_that_come_after_it_was_cancelled_are_not_kept(self) -> None:
        watched = Watched(TOKENS)
        watched.on_look = watched.sign_in.cancel
        assert await watched.sign_in.wait() is SignInState.CANCELLED
        assert watched.accepted == []

    async def test_a_watcher_that_is_stopped_leaves_no_task_behind(self) -> None:
        resting = asyncio.Event()

        async def for_ever(seconds: float) -> None:
            resting.set()
            await asyncio.Event().wait()

        watched = Watched(refused("authorization_pending"), pause=for_ever)
        tasks = asyncio.all_tasks()
        waiting = asyncio.create_task(watched.sign_in.wait())
        await resting.wait()
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert watched.sign_in.state is SignInState.CANCELLED
        assert not asyncio.all_tasks() - tasks

    async def test_an_interval_of_nothing_does_not_become_a_storm(self) -> None:
        watched = Watched(TOKENS, interval=0)
        await watched.sign_in.wait()
        assert watched.pauses == [1]


class TestHeldToken:
    def held(self, lifetime: float = 3_600) -> tuple[HeldToken, list[bool], list[float]]:
        """A token holder, what it asked for (forced or not), and its clock."""
        asked: list[bool] = []
        clock = [0.0]

        async def renew(forced: bool) -> Answer:
            asked.append(forced)
            await asyncio.sleep(0)
            return {"access_token": f"token-{len(asked)}", "expires_in": lifetime}

        return HeldToken(renew, lambda: clock[0]), asked, clock

    async def test_a_token_is_renewed_some_minutes_before_its_end(self) -> None:
        held, asked, clock = self.held()
        assert await held.get() == "token-1"
        clock[0] = 3_299
        assert await held.get() == "token-1"
        clock[0] = 3_301
        assert await held.get() == "token-2"
        assert asked == [False, False]

    async def test_a_short_lived_token_is_used_for_most_of_its_life(self) -> None:
        held, asked, clock = self.held(60)
        await held.get()
        clock[0] = 53
        await held.get()
        assert len(asked) == 1
        clock[0] = 55
        await held.get()
        assert len(asked) == 2

    async def test_a_refused_token_is_replaced_though_it_seemed_good(self) -> None:
        held, asked, _ = self.held()
        await held.get()
        assert await held.replace() == "token-2"
        assert asked == [False, True]

    async def test_all_who_had_the_refused_token_get_the_same_new_one(self) -> None:
        held, asked, _ = self.held()
        await held.get()
        assert await asyncio.gather(*(held.replace() for _ in range(4))) == ["token-2"] * 4
        assert asked == [False, True]

    async def test_a_renewal_is_not_interrupted_with_the_one_who_asked(self) -> None:
        begun, answered, renewals = asyncio.Event(), asyncio.Event(), 0

        async def renew(forced: bool) -> Answer:
            nonlocal renewals
            renewals += 1
            begun.set()
            await answered.wait()
            return TOKENS

        held = HeldToken(renew)
        asking = asyncio.create_task(held.get())
        await begun.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        answered.set()
        await held.close()
        assert (await held.get(), renewals) == ("secret-token", 1)

    async def test_after_a_failed_renewal_the_next_one_may_succeed(self) -> None:
        answers: list[Callable[[], Awaitable[Answer]]] = []

        async def fail() -> Answer:
            raise SignInRefused(reason="x")

        async def succeed() -> Answer:
            return TOKENS

        async def renew(forced: bool) -> Answer:
            return await answers.pop(0)()

        answers += [fail, succeed]
        held = HeldToken(renew)
        with pytest.raises(SignInRefused):
            await held.get()
        assert await held.get() == "secret-token"


class OddAdapter(BaseAdapter):
    """Whatever is asked, this is the answer."""

    def __init__(self, body: str) -> None:
        super().__init__()
        self._body = body

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        response.status_code, response._content, response.request = 200, self._body.encode(), request
        return response

    def close(self) -> None:
        """Nothing is open."""


class OddRegistration(Registration):
    def session(self) -> requests.Session:
        http = requests.Session()
        http.mount("https://", OddAdapter(self.client_id))
        return http


@pytest.mark.parametrize("body", ["", "[]", "null", "7", '"x"', "{}", '{"token_endpoint": 7}', "<html>Log in</html>"])
async def test_whatever_answers_in_entras_place_is_waited_out_and_named(body: str) -> None:
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    registration = OddRegistration("https://contoso.crm4.dynamics.com", "contoso", body)
    identity = AppIdentity(registration, AppSecret("hunter2"), pause=pause)
    with pytest.raises(SignInError) as failed:
        await identity.token()
    assert type(failed.value) in (SignInUnavailable, TenantUnknown)
    assert "hunter2" not in str(failed.value)


class TestRefusals:
    @pytest.mark.parametrize(
        ("answer", "kind"),
        [
            ({"error": "invalid_request", "error_codes": [90002]}, TenantUnknown),
            ({"error": "unauthorized_client", "error_codes": [700016]}, AppUnknown),
            ({"error": "invalid_client", "error_codes": [7000215]}, SecretRefused),
            ({"error": "invalid_client", "error_codes": [7000222]}, SecretExpired),
            ({"error": "invalid_client", "error_codes": [700027]}, CertificateRefused),
            ({"error": "invalid_client", "error_codes": [7000218]}, PublicFlowOff),
            ({"error": "invalid_grant", "error_codes": [65001], "suberror": "consent_required"}, ConsentMissing),
            ({"error": "invalid_grant", "error_codes": [50173]}, SignInAgain),
            ({"error": "invalid_grant", "error_codes": [700082]}, SignInAgain),
            ({"error": "invalid_grant"}, SignInAgain),
            ({"error": "interaction_required", "error_codes": [50076]}, MoreProofNeeded),
            ({"error": "invalid_grant", "error_codes": [50076]}, MoreProofNeeded),
            ({"error": "invalid_resource", "error_description": "AADSTS500011: The resource …"}, EnvironmentUnknown),
            ({"error": "something_new", "error_codes": [1]}, SignInRefused),
            ({}, SignInRefused),
        ],
    )
    def test_each_has_a_class_of_its_own_and_says_who_can_mend_it(
        self, answer: Answer, kind: type[SignInError]
    ) -> None:
        error = refusal(answer, **FACTS)
        assert type(error) is kind
        assert "{" not in str(error)
        assert error.remedy

    def test_entras_own_sentences_are_not_passed_on(self) -> None:
        error = refusal({"error": "x", "error_description": "AADSTS50020: User account 'eve@x.example' …"}, **FACTS)
        assert "AADSTS50020" in str(error)
        assert "eve@x.example" not in str(error)


class Stored:
    """A store that holds what MSAL would have written."""

    def __init__(self, tokens: str) -> None:
        self.tokens = tokens

    async def load(self) -> str | None:
        return self.tokens

    async def save(self, tokens: str) -> None:
        self.tokens = tokens

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


class TestStatus:
    def cache(self, *renewed: datetime) -> str:
        account = {"username": "ada@contoso.example", "local_account_id": "oid", "realm": "tid"}
        refresh = {f"rt{n}": {"last_modification_time": str(int(at.timestamp()))} for n, at in enumerate(renewed)}
        return json.dumps({"Account": {"a": account}, "RefreshToken": refresh})

    async def test_the_last_renewal_counts(self) -> None:
        status = await UserIdentity(REGISTRATION, Stored(self.cache(NOON - timedelta(days=5), NOON))).status()
        assert status is not None
        assert status.renewed_at == NOON
        assert status.needs_sign_in_by == NOON + timedelta(days=90)

    @pytest.mark.parametrize(("days", "due"), [(75, False), (76, True), (90, True), (400, True)])
    async def test_people_are_warned_two_weeks_before_the_end(self, days: int, due: bool) -> None:
        status = await UserIdentity(REGISTRATION, Stored(self.cache(NOON))).status()
        assert status is not None
        assert status.is_due(NOON + timedelta(days=days)) is due

    @pytest.mark.parametrize("tokens", ["{}", "[]", "not json"])
    async def test_what_can_not_be_read_says_nothing(self, tokens: str) -> None:
        status = await UserIdentity(REGISTRATION, Stored(tokens)).status()
        assert status is not None
        assert (status.account, status.needs_sign_in_by) == (None, None)


def test_credentials_do_not_show() -> None:
    shown = repr(AppSecret("hunter2")) + repr(AppCertificate(Path("app.pem"), "hunter2"))
    assert "hunter2" not in shown
