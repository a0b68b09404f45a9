"""The only user of the Slack client: pacing, repeats, typed errors."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import aiohttp
from slack_sdk.errors import SlackApiError, SlackRequestError
from slack_sdk.web.async_client import AsyncWebClient

from bot.slack.errors import RateLimited, SlackAway, SlackError, SlackRefused, error_of
from bot.slack.pacing import Pace
from bot.slack.views.kit import Json

TRIES = 3  # of calls that may be repeated without harm
PAUSE = 0.5  # seconds before the first repeat; doubled for each further one
LONGEST_WAIT = 10.0  # seconds that an interactive call waits for Slack's own rate limit


@dataclass(frozen=True, slots=True)
class Posted:
    """Where a message is: Slack's channel id (also for one sent to a person) and timestamp."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A view on somebody's screen; `hash` changes with each update."""

    id: str
    hash: str


@dataclass(frozen=True, slots=True)
class Profile:
    """What Slack says of a person."""

    name: str
    locale: str
    zone: str
    is_admin: bool
    is_guest: bool = False  # a guest of the workspace, or somebody of another one in a shared channel


@dataclass(frozen=True, slots=True)
class Group:
    """A user group such as @marketing-leads."""

    id: str
    handle: str
    members: frozenset[str]


class Gateway:
    """Slack's Web API as this program needs it. Methods raise `SlackError`; calls are logged by nobody."""

    def __init__(self, client: AsyncWebClient, http: aiohttp.ClientSession, pace: Pace | None = None) -> None:
        """`client` must not repeat calls by itself: a repeated post is a second message."""
        self._client = client
        self._http = http
        self.pace = pace or Pace()

    # --- messages

    async def post(self, channel: str, message: Json, *, thread_ts: str | None = None) -> Posted:
        """Post to a channel, or to a person by user id. Never repeated here: the outbox decides."""
        answer = await self._call(
            "chat.postMessage",
            lambda: self._client.chat_postMessage(
                channel=channel, thread_ts=thread_ts, unfurl_links=False, unfurl_media=False, **message
            ),
            channel=channel,
            tries=1,
        )
        return Posted(str(answer["channel"]), str(answer["ts"]))

    async def edit(self, posted: Posted, message: Json, *, urgent: bool = True) -> None:
        await self._call(
            "chat.update",
            lambda: self._client.chat_update(channel=posted.channel, ts=posted.ts, **message),
            urgent=urgent,
        )

    async def respond(self, response_url: str, message: Json, *, replace: bool = False) -> None:
        """Answer for the person's eyes only where they acted; `replace`: put it in place of the message they used."""
        body = {"response_type": "ephemeral", "replace_original": replace, **message}
        await self._call("response_url", lambda: self._post_json(response_url, body), urgent=True)

    async def _post_json(self, url: str, body: Json) -> Json:
        async with self._http.post(url, json=body) as response:
            if response.status == 429:
                raise RateLimited(method="response_url", seconds=_seconds(response.headers))
            if response.status >= 500:
                raise SlackAway(method="response_url", error=f"status {response.status}")
            if response.status >= 400:
                raise SlackRefused(method="response_url", error=(await response.text())[:80])
        return {}

    async def send_file(
        self, channel: str, *, name: str, content: bytes, title: str, comment: str, thread_ts: str | None = None
    ) -> Posted:
        """Upload a file to a channel, or to a person by user id. Repeats make another file."""
        if channel.startswith(("U", "W")):
            channel = await self.direct_channel(channel)
        ticket = await self._call(
            "files.getUploadURLExternal",
            lambda: self._client.files_getUploadURLExternal(filename=name, length=len(content)),
        )
        await self._call("(upload)", lambda: self._upload(str(ticket["upload_url"]), content))
        await self._call(
            "files.completeUploadExternal",
            lambda: self._client.files_completeUploadExternal(
                files=[{"id": ticket["file_id"], "title": title}],
                channel_id=channel,
                initial_comment=comment,
                thread_ts=thread_ts,
            ),
            tries=1,
        )
        return Posted(channel, "")

    async def _upload(self, url: str, content: bytes) -> Json:
        async with self._http.post(url, data=content) as response:
            if response.status != 200:
                raise SlackAway(method="(upload)", error=f"status {response.status}")
        return {}

    async def direct_channel(self, user_id: str) -> str:
        answer = await self._call("conversations.open", lambda: self._client.conversations_open(users=user_id))
        return str(answer["channel"]["id"])

    # --- views

    async def open_view(self, trigger_id: str, view: Json) -> Shown:
        """Open a modal. Raises `ViewGone` if the trigger is older than three seconds or used."""
        answer = await self._call(
            "views.open", lambda: self._client.views_open(trigger_id=trigger_id, view=view), tries=1, urgent=True
        )
        return _shown(answer)

    async def push_view(self, trigger_id: str, view: Json) -> Shown:
        """Put a modal on top of the one that the trigger comes from."""
        answer = await self._call(
            "views.push", lambda: self._client.views_push(trigger_id=trigger_id, view=view), tries=1, urgent=True
        )
        return _shown(answer)

    async def update_view(self, view_id: str, view: Json, *, expected: str = "") -> Shown:
        """Change a modal. Raises `ViewGone` if it was closed, `ViewChanged` if its hash isn't the `expected` one."""
        answer = await self._call(
            "views.update",
            lambda: self._client.views_update(view_id=view_id, view=view, **({"hash": expected} if expected else {})),
            urgent=True,
        )
        return _shown(answer)

    async def publish_home(self, user_id: str, view: Json, *, urgent: bool) -> Shown:
        answer = await self._call(
            "views.publish", lambda: self._client.views_publish(user_id=user_id, view=view), urgent=urgent
        )
        return _shown(answer)

    # --- people

    async def profile(self, user_id: str) -> Profile:
        answer = await self._call(
            "users.info", lambda: self._client.users_info(user=user_id, include_locale=True), urgent=True
        )
        return _profile(answer["user"])

    async def groups(self) -> list[Group]:
        """The user groups of the workspace with their members."""
        answer = await self._call("usergroups.list", lambda: self._client.usergroups_list(include_users=True))
        return [
            Group(group["id"], str(group.get("handle") or group["id"]), frozenset(group.get("users") or ()))
            for group in answer.get("usergroups") or ()
        ]

    async def admins(self) -> dict[str, Profile]:
        """Slack's own admins and owners of the workspace, by user id."""
        found: dict[str, Profile] = {}
        cursor = ""
        while True:
            answer = await self._call(
                "users.list",
                lambda at=cursor: self._client.users_list(cursor=at, limit=200, include_locale=True),  # type: ignore[misc]
            )
            people = {user["id"]: user for user in answer.get("members") or ()}
            found |= {
                one: _profile(user) for one, user in people.items() if not _gone(user) and _profile(user).is_admin
            }
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or ""
            if not cursor:
                return found

    # --- one call

    async def _call(
        self,
        method: str,
        send: Callable[[], Awaitable[Any]],
        *,
        channel: str = "",
        tries: int = TRIES,
        urgent: bool = False,
    ) -> Json:
        """Wait for the turn, call, and repeat what may be repeated. A 429 is never counted as a try if it is short."""
        for left in range(tries - 1, -1, -1):
            await self.pace.turn(method, channel, urgent=urgent)
            try:
                return await typed_call(method, send)
            except RateLimited as error:
                self.pace.block(method, error.seconds)
                if not left or error.seconds > LONGEST_WAIT:
                    raise
                await self.pace.sleep(error.seconds)
            except SlackAway:
                if not left:
                    raise
                await self.pace.sleep(PAUSE * 2 ** (tries - 1 - left))
        raise AssertionError("unreachable")


async def typed_call(method: str, send: Callable[[], Awaitable[Any]]) -> Json:
    """One call; what goes wrong comes as a `SlackError`."""
    try:
        answer = await send()
    except SlackApiError as error:
        raise _typed(method, error) from None  # the SDK's error quotes what was sent
    except (aiohttp.ClientError, TimeoutError, SlackRequestError, OSError) as error:
        raise SlackAway(method=method, error=type(error).__name__) from None
    return answer if isinstance(answer, dict) else dict(answer.data)


def _typed(method: str, error: SlackApiError) -> SlackError:
    response = error.response
    status = int(getattr(response, "status_code", 0) or getattr(response, "status", 0))
    if status == 429:
        return RateLimited(method=method, seconds=_seconds(response.headers))
    data = getattr(response, "data", None)
    if status >= 500 or not isinstance(data, dict) or not data.get("error"):
        return SlackAway(method=method, error=f"status {status}")
    return error_of(method, str(data["error"]), needed=str(data.get("needed", "")))


def _seconds(headers: Any) -> float:
    try:
        return max(1.0, float(headers.get("Retry-After", 1)))
    except (TypeError, ValueError):
        return 1.0


def _shown(answer: Json) -> Shown:
    return Shown(str(answer["view"]["id"]), str(answer["view"]["hash"]))


def _profile(user: Json) -> Profile:
    """Rights in another workspace are none here: whoever comes from there is a guest, and no admin."""
    profile = user.get("profile") or {}
    is_guest = any(user.get(sign) for sign in ("is_restricted", "is_ultra_restricted", "is_stranger"))
    is_admin = any(user.get(sign) for sign in ("is_admin", "is_owner", "is_primary_owner"))
    return Profile(
        name=profile.get("display_name") or user.get("real_name") or user.get("name") or user["id"],
        locale=user.get("locale") or "en-US",
        zone=user.get("tz") or "UTC",
        is_admin=is_admin and not is_guest,
        is_guest=is_guest,
    )


def _gone(user: Json) -> bool:
    return bool(user.get("deleted") or user.get("is_bot"))
