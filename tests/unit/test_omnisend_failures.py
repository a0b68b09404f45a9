"""The Omnisend client against refusals, limits and failures. Reference: omnisend-api.md §7 and §8."""

import asyncio
import logging
import traceback
from collections.abc import Callable

import httpx
import pytest
from structlog.testing import CapturingLogger

from bot.omnisend import errors, wire
from bot.omnisend.client import OmnisendClient
from bot.omnisend.limiter import Limiter
from bot.omnisend.wire import Call, Effect
from bot.settings import Rate
from tests.unit.omnisend_world import (
    BATCH,
    BODY,
    EMAIL,
    FOUND,
    KEY,
    TAKEN,
    TRACE,
    URL,
    Action,
    World,
    get_batch,
    html,
    patch,
    post_batch,
    problem,
)


@pytest.fixture
def world() -> World:
    return World()


# Refusals (section 8): never repeated, each with an error of its own

REFUSALS = [
    (400, errors.Refused),
    (401, errors.KeyRefused),
    (402, errors.PlanRefused),
    (403, errors.ScopeMissing),
    (404, errors.NotFound),
    (405, errors.Refused),
    (409, errors.Conflict),
    (410, errors.VersionRetired),
    (413, errors.TooLarge),
    (422, errors.Refused),
]


@pytest.mark.parametrize("action", [post_batch, get_batch])
@pytest.mark.parametrize(("status", "kind"), REFUSALS)
async def test_a_refusal_is_not_repeated(
    world: World, action: Action, status: int, kind: type[errors.OmnisendError]
) -> None:
    world.answer(problem(status, detail="Because of contacts.write.", instance=TRACE))
    with pytest.raises(kind) as refused:
        await action(world.client)
    assert type(refused.value) is kind
    assert (refused.value.status, refused.value.trace) == (status, TRACE)
    assert refused.value.detail == "Because of contacts.write."
    assert world.client.requests == 1
    assert world.clock.pauses == []


async def test_an_error_says_what_happened_to_what_call_without_its_query(world: World) -> None:
    world.answer(problem(422, detail="Incompatible resource type."))
    with pytest.raises(errors.Refused) as refused:
        await patch(world.client)
    assert refused.value.call == "PATCH /contacts"
    assert "(PATCH /contacts, status 422): Incompatible resource type." in str(refused.value)


def test_a_run_stops_for_what_every_request_would_meet() -> None:
    stops = {kind for _, kind in REFUSALS if issubclass(kind, errors.STOPS_RUN)}
    assert stops == {errors.KeyRefused, errors.PlanRefused, errors.ScopeMissing, errors.VersionRetired}


async def test_a_retired_version_is_named(world: World) -> None:
    world.answer(problem(410, "gone"))
    with pytest.raises(errors.VersionRetired, match="2026-03-15"):
        await get_batch(world.client)


async def test_a_validation_error_names_every_field(world: World) -> None:
    complaints = [
        {"field": "identifiers.0.id", "code": "invalid_format", "message": "Must be a valid email address"},
        {"field": "items[3].tags", "code": "required"},
    ]
    world.answer(problem(400, "validation-failed", detail="One or more fields are invalid.", errors=complaints))
    with pytest.raises(errors.Refused) as refused:
        await post_batch(world.client)
    assert refused.value.fields == (
        errors.FieldProblem("identifiers.0.id", "invalid_format", "Must be a valid email address"),
        errors.FieldProblem("items[3].tags", "required", ""),
    )
    assert refused.value.detail == "identifiers.0.id: Must be a valid email address; items[3].tags: required"


async def test_the_older_form_of_a_validation_error_is_read_too(world: World) -> None:
    body = {"error": "1 error(s) found.", "fields": {"0": ["identifiers[0].channels: field required", "odd"]}}
    world.answer(httpx.Response(400, json=body))
    with pytest.raises(errors.Refused) as refused:
        await post_batch(world.client)
    assert refused.value.fields == (
        errors.FieldProblem("identifiers[0].channels", "", "field required"),
        errors.FieldProblem("", "", "odd"),
    )
    assert refused.value.detail == "identifiers[0].channels: field required; odd"


async def test_a_refusal_as_a_web_page_is_shown_by_its_title(world: World) -> None:
    world.answer(html(403))
    with pytest.raises(errors.ScopeMissing, match="a web page: A timeout occurred"):
        await post_batch(world.client)


async def test_a_patch_of_an_unknown_contact_is_not_an_error(world: World) -> None:
    world.answer(problem(404))
    assert await patch(world.client) is False


# Limits (section 7)


@pytest.mark.parametrize(
    ("limited", "wait"),
    [
        (httpx.Response(429, headers={"Retry-After": "3"}, json={"retryAfter": 30}), 3),
        (problem(429, "rate-limit-exceeded", retryAfter=30), 30),
        (problem(429, "rate-limit-exceeded", retryAfter="30"), 30),
        (problem(429, "rate-limit-exceeded"), 60),
        (problem(429, "rate-limit-exceeded", retryAfter=None), 60),
        (problem(429, "rate-limit-exceeded", retryAfter=-1), 60),
        (httpx.Response(429, headers={"Retry-After": "soon"}, json={"retryAfter": 30}), 30),
        (
            httpx.Response(
                429,
                headers={"Retry-After": "Wed, 21 Oct 2026 07:28:20 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"},
            ),
            20,
        ),
        (httpx.Response(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:20 GMT"}), 60),
        (html(429), 60),
    ],
)
@pytest.mark.parametrize("action", [post_batch, get_batch, patch])
async def test_a_429_is_waited_out_as_it_asks_else_for_a_window(
    world: World, limited: httpx.Response, wait: float, action: Action
) -> None:
    world.answer(limited, TAKEN)
    await action(world.client)
    assert world.client.requests == 2
    assert world.clock.now == wait


async def test_the_window_to_wait_is_that_of_the_rate() -> None:
    world = World(Rate(400, 3))
    world.answer(problem(429), TAKEN)
    await post_batch(world.client)
    assert world.clock.now == 3


async def test_a_429_holds_every_call_of_the_brand(world: World) -> None:
    """Another call starts while the first one waits: it goes out only after the hold."""
    waiting = asyncio.Event()
    resume = asyncio.Event()

    async def pause(seconds: float) -> None:
        waiting.set()
        await resume.wait()
        await world.clock.pause(seconds)

    times = []

    def play(request: httpx.Request) -> httpx.Response:
        times.append((request.method, world.clock.now))
        return problem(429, retryAfter=30) if len(times) == 1 else TAKEN

    limiter = Limiter(Rate(400, 60), clock=world.clock, pause=pause)
    client = OmnisendClient(KEY, base_url=URL, limiter=limiter, transport=httpx.MockTransport(play), pause=pause)
    first = asyncio.create_task(post_batch(client))
    await waiting.wait()
    second = asyncio.create_task(get_batch(client))
    resume.set()
    await asyncio.gather(first, second)
    assert times == [("POST", 0), ("POST", 30), ("GET", 30)]


@pytest.mark.parametrize("action", [post_batch, get_batch, patch])
async def test_an_endless_429_is_given_up_and_surely_not_done(world: World, action: Action) -> None:
    world.answer(problem(429, retryAfter=10, instance=TRACE))
    with pytest.raises(errors.Unavailable) as given_up:
        await action(world.client)
    assert world.client.requests == given_up.value.tries == 6
    assert (given_up.value.status, given_up.value.trace) == (429, TRACE)


async def test_a_wait_beyond_all_patience_is_not_waited_for(world: World) -> None:
    world.answer(problem(429, retryAfter=86400))
    with pytest.raises(errors.Unavailable):
        await post_batch(world.client)
    assert world.client.requests == 1
    assert world.clock.now == 0


async def test_the_number_of_tries_can_be_chosen() -> None:
    world = World(tries=2)
    world.answer(httpx.Response(500))
    with pytest.raises(errors.Unavailable):
        await get_batch(world.client)
    assert world.client.requests == 2


# Failures of the server and of the way to it (section 8)

AMBIGUOUS = [408, 500, 501, 502, 504, 520, 524, 301, 304]


@pytest.mark.parametrize("status", AMBIGUOUS)
@pytest.mark.parametrize("make", [httpx.Response, html])
async def test_a_batch_answered_by_a_failing_server_is_in_doubt_at_once(
    world: World, status: int, make: Callable[[int], httpx.Response]
) -> None:
    world.answer(make(status))
    with pytest.raises(errors.FateUnknown) as doubt:
        await post_batch(world.client)
    assert (doubt.value.status, doubt.value.outcome) == (status, f"status {status}")
    assert world.client.requests == 1
    assert world.clock.pauses == []


async def test_a_503_means_not_taken_and_is_waited_out_even_for_a_batch(world: World) -> None:
    world.answer(httpx.Response(503), httpx.Response(503, headers={"Retry-After": "7"}), TAKEN)
    assert await post_batch(world.client) == BATCH
    assert world.client.requests == 3
    assert world.clock.pauses[1] == 7


async def test_a_batch_that_meets_only_503_is_surely_not_taken(world: World) -> None:
    world.answer(httpx.Response(503))
    with pytest.raises(errors.Unavailable):
        await post_batch(world.client)
    assert world.client.requests == 6


async def test_a_batch_lost_after_a_503_is_in_doubt(world: World) -> None:
    world.answer(httpx.Response(503), httpx.ReadTimeout("late"))
    with pytest.raises(errors.FateUnknown):
        await post_batch(world.client)
    assert world.client.requests == 2


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 524])
@pytest.mark.parametrize("action", [get_batch, patch])
async def test_a_read_and_a_patch_are_repeated_after_a_server_failure(
    world: World, action: Action, status: int
) -> None:
    world.answer(html(status), httpx.Response(status), FOUND)
    await action(world.client)
    assert world.client.requests == 3


async def test_pauses_grow_are_jittered_and_come_to_an_end(world: World) -> None:
    world.answer(httpx.Response(500))
    with pytest.raises(errors.Unavailable) as given_up:
        await get_batch(world.client)
    assert given_up.value.outcome == "status 500"
    assert len(world.clock.pauses) == 5
    for pause, step in zip(world.clock.pauses, (1, 4, 16, 64, 128), strict=True):
        assert step / 2 <= pause <= step * 1.5
        assert pause != step


async def test_pauses_shrink_with_the_window_of_the_rate() -> None:
    world = World(Rate(400, 3))
    world.answer(httpx.Response(500), FOUND)
    await get_batch(world.client)
    assert world.clock.pauses[0] <= 1.5 / 20


async def test_a_patch_that_no_server_ever_confirmed_is_in_doubt(world: World) -> None:
    world.answer(httpx.Response(500), problem(429, retryAfter=1))
    with pytest.raises(errors.FateUnknown):
        await patch(world.client)
    assert world.client.requests == 6


def every_kind_of(kind: type[httpx.RequestError]) -> set[type[httpx.RequestError]]:
    return {kind}.union(*(every_kind_of(narrower) for narrower in kind.__subclasses__()))


TRANSPORT_ERRORS = sorted(every_kind_of(httpx.TransportError) | {httpx.DecodingError}, key=lambda kind: kind.__name__)


def test_the_transport_errors_are_those_that_matter() -> None:
    assert {
        httpx.ConnectError,
        httpx.ConnectTimeout,
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.PoolTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.CloseError,
        httpx.RemoteProtocolError,
        httpx.ProxyError,
    } <= set(TRANSPORT_ERRORS)


@pytest.mark.parametrize("kind", TRANSPORT_ERRORS)
async def test_a_batch_lost_on_the_way_is_in_doubt_at_once(world: World, kind: type[httpx.RequestError]) -> None:
    world.answer(kind("lost"))
    with pytest.raises(errors.FateUnknown) as doubt:
        await post_batch(world.client)
    assert (doubt.value.outcome, doubt.value.status) == (kind.__name__, None)
    assert world.client.requests == 1


@pytest.mark.parametrize("kind", TRANSPORT_ERRORS)
async def test_a_read_lost_on_the_way_is_repeated(world: World, kind: type[httpx.RequestError]) -> None:
    world.answer(kind("lost"), FOUND)
    assert (await get_batch(world.client)).id == BATCH


@pytest.mark.parametrize("kind", TRANSPORT_ERRORS)
async def test_a_read_that_never_gets_through_ends_as_unavailable(world: World, kind: type[httpx.RequestError]) -> None:
    world.answer(kind("lost"))
    with pytest.raises(errors.Unavailable) as given_up:
        await get_batch(world.client)
    assert given_up.value.outcome == kind.__name__


@pytest.mark.parametrize("kind", TRANSPORT_ERRORS)
async def test_a_patch_that_never_gets_through_ends_in_doubt(world: World, kind: type[httpx.RequestError]) -> None:
    world.answer(kind("lost"))
    with pytest.raises(errors.FateUnknown):
        await patch(world.client)
    assert world.client.requests == 6


async def test_a_read_answered_with_a_web_page_is_repeated_and_at_last_called_rubbish(world: World) -> None:
    world.answer(html(200))
    with pytest.raises(errors.RubbishAnswer):
        await get_batch(world.client)
    assert world.client.requests == 6


async def test_a_read_answered_with_a_web_page_once_goes_on(world: World) -> None:
    world.answer(html(200), FOUND)
    assert (await get_batch(world.client)).id == BATCH


async def test_a_redirect_is_not_followed(world: World) -> None:
    world.answer(httpx.Response(302, headers={"Location": "https://elsewhere.test/"}))
    with pytest.raises(errors.RubbishAnswer):
        await get_batch(world.client)
    assert {request.url.host for request in world.sent} == {"omnisend.test"}


@pytest.mark.parametrize(
    "answer", [html(201), httpx.Response(201), httpx.Response(201, json={}), httpx.Response(200, json=["x"])]
)
async def test_a_batch_taken_without_a_readable_id_is_in_doubt(world: World, answer: httpx.Response) -> None:
    world.answer(answer)
    with pytest.raises(errors.FateUnknown):
        await post_batch(world.client)
    assert world.client.requests == 1


# Nothing secret shows


async def test_neither_key_nor_body_nor_address_shows_in_errors_logs_or_repr(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    logged = CapturingLogger()
    monkeypatch.setattr(wire, "log", logged)
    shown = [repr(world.client), repr(world.limiter), repr(Call("POST", "/batches", Effect.ONCE, {"a": KEY}, BODY))]
    outcomes: list[httpx.Response | Exception] = [
        *(problem(status, detail=f"{EMAIL} is unknown", instance=f"urn:{EMAIL}") for status, _ in REFUSALS),
        *(httpx.Response(status, text=f"{EMAIL} is unknown") for status in (429, 500, 503, 524, 200)),
        *(kind(f"{URL}/contacts?email={EMAIL} {KEY}") for kind in TRANSPORT_ERRORS),
        OSError(f"{KEY} {EMAIL} {BODY!r}"),
    ]
    for outcome in outcomes:
        for action in (post_batch, get_batch, patch):
            world.router.clear()
            world.answer(outcome)
            try:
                await action(world.client)
            except errors.OmnisendError as error:
                shown += [*traceback.format_exception(error), str(error), repr(error), repr(error.__context__)]
                shown += [str(error.facts), repr(vars(error))]
    assert logged.calls
    shown += [caplog.text, *map(str, logged.calls)]
    for secret in (KEY, KEY[-10:], BODY.decode(), "Secretia", EMAIL, "ann.lee"):
        assert not [text for text in shown if secret in text]
