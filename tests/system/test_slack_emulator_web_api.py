"""The emulator's Web API, called by plain HTTP.

reference: slack-platform.md §1 (calling convention), §8 (messages and files), §9 (limits), §11 (scopes)
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from bot.sandbox.slack.client import SlackWorld
from tests.processes import emulator
from tests.system.slack_emulator_app import BareApp, actions, button, connected_app, home, modal, section, text_field

Json = dict[str, Any]


@pytest.fixture(scope="module")
async def told() -> AsyncIterator[Json]:
    async with emulator("bot.sandbox.slack", "--rate-limits", "off") as first_line:
        yield first_line


@pytest.fixture
async def slack(told: Json) -> AsyncIterator[SlackWorld]:
    async with SlackWorld(told["url"]) as world:
        await world.reset()
        yield world


@pytest.fixture
async def app(told: Json, slack: SlackWorld) -> AsyncIterator[BareApp]:
    async with BareApp(told) as bare:
        yield bare


async def _trigger(app: BareApp, slack: SlackWorld, person: str = "ada") -> str:
    await slack.person(person).command("/ferry")
    return str((await app.next_payload())["trigger_id"])


# -- how a method is called -------------------------------------------------------------------------------------


async def test_the_first_line_names_the_addresses_and_tokens_an_app_needs(told: Json) -> None:
    assert told["url"].startswith("http://127.0.0.1:")
    assert told["api_url"] == told["url"] + "/api/"
    assert told["bot_token"].startswith("xoxb-")
    assert told["app_token"].startswith("xapp-")
    assert told["team_id"].startswith("T")
    assert told["bot_user_id"].startswith("U")


async def test_auth_test_says_who_the_app_is_and_lists_its_scopes_in_a_header(app: BareApp) -> None:
    response = await app.post("auth.test")
    answer = response.json()
    assert answer["ok"] is True
    assert answer["user_id"] == app.told["bot_user_id"]
    assert answer["team_id"] == app.told["team_id"]
    assert {"url", "team", "user", "bot_id", "is_enterprise_install"} <= answer.keys()
    assert "chat:write" in response.headers["x-oauth-scopes"].split(",")


@pytest.mark.parametrize("way", ["query", "form", "json", "query and form", "query and json", "get"])
async def test_arguments_are_taken_from_query_form_and_json_alike(app: BareApp, slack: SlackWorld, way: str) -> None:
    channel, text = {"channel": await slack.channel_id("general")}, {"text": f"by {way}"}
    options: dict[str, Any] = {
        "query": {"params": channel | text},
        "form": {"data": channel | text},
        "json": {"json": channel | text},
        "query and form": {"params": channel, "data": text},
        "query and json": {"params": channel, "json": text},
        "get": {"params": channel | text},
    }[way]
    bearer = {"Authorization": f"Bearer {app.told['bot_token']}"}
    verb = "GET" if way == "get" else "POST"
    response = await app.request(verb, "/api/chat.postMessage", headers=bearer, **options)
    assert response.json()["message"]["text"] == f"by {way}"


async def test_nested_values_in_a_form_are_json_strings(app: BareApp, slack: SlackWorld) -> None:
    form = {"channel": await slack.channel_id("general"), "text": "t", "blocks": json.dumps([section("nested")])}
    bearer = {"Authorization": f"Bearer {app.told['bot_token']}"}
    answer = (await app.request("POST", "/api/chat.postMessage", headers=bearer, data=form)).json()
    assert answer["message"]["blocks"][0]["text"]["text"] == "nested"
    form["blocks"] = "[not json"
    answer = (await app.request("POST", "/api/chat.postMessage", headers=bearer, data=form)).json()
    assert answer["error"] == "invalid_blocks_format"


@pytest.mark.parametrize(("body", "error"), [("{oops", "invalid_json"), ("[1]", "json_not_object")])
async def test_a_json_body_that_is_no_object_is_refused(app: BareApp, body: str, error: str) -> None:
    headers = {"Authorization": f"Bearer {app.told['bot_token']}", "Content-Type": "application/json"}
    answer = (await app.request("POST", "/api/auth.test", headers=headers, content=body)).json()
    assert answer == {"ok": False, "error": error}


async def test_the_bot_token_may_also_stand_in_a_parameter_but_the_app_token_may_not(app: BareApp) -> None:
    in_form = await app.request("POST", "/api/auth.test", data={"token": app.told["bot_token"]})
    assert in_form.json()["ok"] is True
    in_form = await app.request("POST", "/api/apps.connections.open", data={"token": app.told["app_token"]})
    assert in_form.json()["error"] == "not_authed"


@pytest.mark.parametrize(
    ("method", "token", "error"),
    [
        ("auth.test", "", "not_authed"),
        ("auth.test", "xoxb-wrong", "invalid_auth"),
        ("auth.test", "app", "not_allowed_token_type"),
        ("apps.connections.open", "bot", "not_allowed_token_type"),
        ("apps.connections.open", "", "not_authed"),
        ("no.such.method", "bot", "unknown_method"),
    ],
)
async def test_tokens_and_method_names_are_checked(app: BareApp, method: str, token: str, error: str) -> None:
    bearer = {"app": app.told["app_token"], "bot": app.told["bot_token"]}.get(token, token)
    response = await app.post(method, bearer)
    assert (response.status_code, response.json()["error"]) == (200, error)


async def test_a_revoked_token_is_refused_until_it_is_given_back(app: BareApp, slack: SlackWorld) -> None:
    await slack.change_app(revoked=True)
    assert (await app.call("auth.test"))["error"] == "token_revoked"
    await slack.change_app(revoked=False)
    assert (await app.call("auth.test"))["ok"] is True


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("chat.postMessage", "chat:write"),
        ("chat.update", "chat:write"),
        ("chat.delete", "chat:write"),
        ("chat.postEphemeral", "chat:write"),
        ("users.info", "users:read"),
        ("users.list", "users:read"),
        ("conversations.list", "channels:read"),
        ("conversations.info", "channels:read"),
        ("conversations.members", "channels:read"),
        ("conversations.join", "channels:join"),
        ("conversations.open", "im:write"),
        ("usergroups.list", "usergroups:read"),
        ("usergroups.users.list", "usergroups:read"),
        ("files.getUploadURLExternal", "files:write"),
        ("files.completeUploadExternal", "files:write"),
        ("team.info", "team:read"),
        ("reactions.add", "reactions:write"),
    ],
)
async def test_a_missing_scope_is_named_with_those_there_are(
    app: BareApp, slack: SlackWorld, method: str, needed: str
) -> None:
    await slack.change_app(scopes=["commands"])
    answer = await app.call(method, channel="general", users=await slack.person_id("ada"))
    assert (answer["error"], answer["needed"], answer["provided"]) == ("missing_scope", needed, "commands")


async def test_private_channels_need_a_scope_of_their_own(app: BareApp, slack: SlackWorld) -> None:
    await slack.change_app(scopes=["channels:read"])
    answer = await app.call("conversations.list", types="public_channel,private_channel")
    assert (answer["error"], answer["needed"]) == ("missing_scope", "groups:read")


async def test_calls_are_recorded_without_tokens_and_triggers(app: BareApp, slack: SlackWorld) -> None:
    await app.request("POST", "/api/views.open", data={"token": app.told["bot_token"], "trigger_id": "1.2.secret"})
    await app.call("chat.postMessage", channel="#general", text="x" * 500, blocks=[section("a")])
    opened, posted = await slack.calls()
    assert (opened["method"], opened["arguments"], opened["error"]) == ("views.open", {}, "invalid_arguments")
    assert (posted["status"], posted["ok"], posted["arguments"]["blocks"]) == (200, True, 1)
    assert len(posted["arguments"]["text"]) == 200
    assert [one["method"] for one in await slack.calls("views.open")] == ["views.open"]


async def test_pages_of_other_sites_and_rebound_names_are_turned_away(app: BareApp) -> None:
    for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        response = await app.request("POST", "/_control/reset", headers=headers)
        assert response.status_code == 403


# -- messages ---------------------------------------------------------------------------------------------------


async def test_a_posted_message_stands_in_the_channel_with_ids_for_its_blocks(app: BareApp, slack: SlackWorld) -> None:
    blocks = [section("Hello"), {"type": "actions", "elements": [{**button("Go", "go")}]}]
    answer = await app.call("chat.postMessage", channel="#general", text="Hello", blocks=blocks)
    assert answer["channel"] == await slack.channel_id("general")
    assert isinstance(answer["ts"], str)
    assert answer["message"]["user"] == app.told["bot_user_id"]
    assert all(block["block_id"] for block in answer["message"]["blocks"])
    [message] = await slack.person("vera").messages("general")
    assert (message.ts, message.author, message.shown, message.ephemeral) == (answer["ts"], "ferry", "Hello\nGo", False)


async def test_message_refusals(app: BareApp, slack: SlackWorld) -> None:
    post = "chat.postMessage"
    await slack.add_channel("old", members=["ada", "ferry"])
    await slack.change_channel("old", archived=True)
    assert (await app.call(post, text="t"))["error"] == "channel_not_found"
    assert (await app.call(post, channel="C0NOWHERE", text="t"))["error"] == "channel_not_found"
    assert (await app.call(post, channel="#leads", text="t"))["error"] == "channel_not_found"
    assert (await app.call(post, channel="#old", text="t"))["error"] == "is_archived"
    assert (await app.call(post, channel="#general"))["error"] == "no_text"
    assert (await app.call(post, channel="#general", blocks={"a": 1}))["error"] == "invalid_blocks_format"
    assert (await app.call(post, channel="#general", attachments=[{}] * 101))["error"] == "too_many_attachments"
    assert (await app.call(post, channel="#general", text="t", thread_ts="1.1"))["error"] == "cannot_reply_to_message"
    assert await slack.person("ada").messages("general") == []


async def test_a_public_channel_without_the_bot_needs_the_public_scope(app: BareApp, slack: SlackWorld) -> None:
    assert (await app.call("chat.postMessage", channel="#random", text="t"))["ok"] is True
    scopes = (await slack.state())["app"]["scopes"]
    await slack.change_app(scopes=[one for one in scopes if one != "chat:write.public"])
    assert (await app.call("chat.postMessage", channel="#random", text="t"))["error"] == "not_in_channel"
    await slack.change_channel("random", add=["ferry"])
    assert (await app.call("chat.postMessage", channel="#random", text="t"))["ok"] is True
    await slack.change_channel("random", remove=["ferry"])
    assert (await app.call("chat.postMessage", channel="#random", text="t"))["error"] == "not_in_channel"


async def test_bad_blocks_are_refused_with_a_pointer_to_each(app: BareApp) -> None:
    answer = await app.call("chat.postMessage", channel="#general", text="t", blocks=[section("x" * 3001)] * 51)
    assert answer["error"] == "invalid_blocks"
    messages = answer["response_metadata"]["messages"]
    assert any("[json-pointer:/blocks/50/text/text]" in one for one in messages)
    assert any("[json-pointer:/blocks]" in one for one in messages)


async def test_a_text_beyond_forty_thousand_characters_is_cut_in_a_post_and_refused_in_an_update(
    app: BareApp, slack: SlackWorld
) -> None:
    posted = await app.call("chat.postMessage", channel="#general", text="x" * 40_001)
    assert (len(posted["message"]["text"]), posted["warning"]) == (40_000, "message_truncated")
    update = await app.call("chat.update", channel=posted["channel"], ts=posted["ts"], text="x" * 40_001)
    assert update["error"] == "msg_too_long"


async def test_a_user_id_opens_the_direct_message_and_nobody_else_reads_it(app: BareApp, slack: SlackWorld) -> None:
    answer = await app.call("chat.postMessage", channel=await slack.person_id("carl"), text="psst")
    assert answer["channel"].startswith("D")
    assert [one.text for one in await slack.person("carl").messages("dm")] == ["psst"]
    assert await slack.person("ada").messages("dm") == []


async def test_an_update_replaces_text_and_text_alone_removes_the_blocks(app: BareApp, slack: SlackWorld) -> None:
    posted = await app.call("chat.postMessage", channel="#general", text="one", blocks=[section("one")])
    where = {"channel": posted["channel"], "ts": posted["ts"]}
    await app.call("chat.update", **where, text="two", blocks=[section("two")])
    [message] = await slack.person("ada").messages("general")
    assert (message.shown, message.edited) == ("two", True)
    answer = await app.call("chat.update", **where, text="three")
    assert "blocks" not in answer["message"]
    [message] = await slack.person("ada").messages("general")
    assert (message.text, message.blocks) == ("three", [])


async def test_update_and_delete_refusals(app: BareApp, slack: SlackWorld) -> None:
    general = await slack.channel_id("general")
    theirs = await slack.person("ada").say("mine", channel="general")
    ada = await slack.person_id("ada")
    whisper = await app.call("chat.postEphemeral", channel=general, user=ada, text="psst")
    for method, not_mine in (("chat.update", "cant_update_message"), ("chat.delete", "cant_delete_message")):
        assert (await app.call(method, channel=general, ts="1.1", text="t"))["error"] == "message_not_found"
        assert (await app.call(method, channel="general", ts="1.1", text="t"))["error"] == "channel_not_found"
        assert (await app.call(method, channel=ada, ts="1.1", text="t"))["error"] == "channel_not_found"
        assert (await app.call(method, channel=general, ts=theirs, text="t"))["error"] == not_mine
        ephemeral = await app.call(method, channel=general, ts=whisper["message_ts"], text="t")
        assert ephemeral["error"] == "message_not_found"
    posted = await app.call("chat.postMessage", channel=general, text="t")
    assert (await app.call("chat.update", channel=general, ts=posted["ts"]))["error"] == "no_text"
    await app.call("chat.delete", channel=general, ts=posted["ts"])
    assert (await app.call("chat.update", channel=general, ts=posted["ts"], text="t"))["error"] == "message_not_found"


async def test_an_ephemeral_message_is_seen_by_one_person_who_must_be_in_the_channel(
    app: BareApp, slack: SlackWorld
) -> None:
    general, gus = await slack.channel_id("general"), await slack.person_id("gus")
    ephemeral = "chat.postEphemeral"
    await app.call(ephemeral, channel=general, user=await slack.person_id("ada"), text="for Ada")
    [message] = await slack.person("ada").messages("general")
    assert message.ephemeral
    assert await slack.person("vera").messages("general") == []
    assert (await app.call(ephemeral, channel=general, user=gus, text="t"))["error"] == "user_not_in_channel"
    assert (await app.call(ephemeral, channel=general, user="U0NOBODY", text="t"))["error"] == "user_not_found"
    random = await slack.channel_id("random")
    assert (await app.call(ephemeral, channel=random, user=gus, text="t"))["error"] == "not_in_channel"


async def test_threads_permalinks_and_reactions(app: BareApp, slack: SlackWorld) -> None:
    parent = await app.call("chat.postMessage", channel="#general", text="parent")
    reply = await app.call("chat.postMessage", channel="#general", text="reply", thread_ts=parent["ts"])
    nested = await app.call("chat.postMessage", channel="#general", text="again", thread_ts=reply["ts"])
    assert nested["message"]["thread_ts"] == parent["ts"]
    link = await app.call("chat.getPermalink", channel=parent["channel"], message_ts=reply["ts"])
    assert f"thread_ts={parent['ts']}" in link["permalink"]
    wrong = await app.call("chat.getPermalink", channel=parent["channel"], message_ts="1.1")
    assert wrong["error"] == "message_not_found"
    reaction = {"channel": parent["channel"], "timestamp": parent["ts"], "name": "tada"}
    assert (await app.call("reactions.add", **reaction))["ok"] is True
    assert (await app.call("reactions.add", **reaction))["error"] == "already_reacted"
    assert (await app.call("reactions.add", channel=parent["channel"], name="tada"))["error"] == "no_item_specified"
    seen = await slack.person("vera").messages("general")
    assert seen[0].raw["reactions"][0]["name"] == "tada"


async def test_new_messages_notify_edits_and_ephemerals_do_not(app: BareApp, slack: SlackWorld) -> None:
    vera = await slack.person_id("vera")
    posted = await app.call("chat.postMessage", channel="#general", text="new")
    await app.call("chat.update", channel=posted["channel"], ts=posted["ts"], text="edited")
    await app.call("chat.postEphemeral", channel=posted["channel"], user=vera, text="psst")
    await app.call("chat.postMessage", channel="#general", text=f"look, <@{vera}>")
    await app.call("chat.postMessage", channel="#general", text="in a thread", thread_ts=posted["ts"])
    await app.call("chat.postMessage", channel=vera, text="direct")
    heard = [(one["how"], one["notified"]) for one in await slack.person("vera").notifications()]
    assert heard == [
        ("channel", True),
        ("edit", False),
        ("ephemeral", False),
        ("mention", True),
        ("thread", False),
        ("direct", True),
    ]


# -- people, channels, groups -----------------------------------------------------------------------------------


async def test_users_info_tells_flags_time_zone_and_on_request_the_locale(app: BareApp, slack: SlackWorld) -> None:
    ada, gus = await slack.person_id("ada"), await slack.person_id("gus")
    user = (await app.call("users.info", user=ada))["user"]
    assert (user["is_owner"], user["is_admin"], user["is_restricted"], user["is_bot"]) == (True, True, False, False)
    assert "locale" not in user
    assert {"tz", "tz_label", "tz_offset", "real_name", "profile"} <= user.keys()
    user = (await app.call("users.info", user=gus, include_locale=True))["user"]
    assert (user["locale"], user["is_restricted"]) == ("en-US", True)
    assert user["tz_offset"] in (-18_000, -14_400)
    assert (await app.call("users.info", user="U0NOBODY"))["error"] == "user_not_found"


async def test_locale_and_admin_flag_can_be_changed(app: BareApp, slack: SlackWorld) -> None:
    await slack.person("carl").change(locale="fr-FR", is_admin=True)
    user = (await app.call("users.info", user=await slack.person_id("carl"), include_locale="true"))["user"]
    assert (user["locale"], user["is_admin"]) == ("fr-FR", True)


async def test_email_addresses_need_their_scope(app: BareApp, slack: SlackWorld) -> None:
    ada = await slack.person_id("ada")
    assert "email" in (await app.call("users.info", user=ada))["user"]["profile"]
    await slack.change_app(scopes=["users:read"])
    assert "email" not in (await app.call("users.info", user=ada))["user"]["profile"]


async def test_lists_come_in_pages(app: BareApp) -> None:
    names, cursor = [], ""
    while True:
        answer = await app.call("users.list", limit=2, cursor=cursor)
        names += [one["name"] for one in answer["members"]]
        cursor = answer["response_metadata"]["next_cursor"]
        if not cursor:
            break
    assert sorted(names) == ["ada", "carl", "ferry", "gus", "vera"]
    assert (await app.call("users.list", cursor="junk"))["error"] == "invalid_cursor"
    assert (await app.call("conversations.list", limit=5000))["error"] == "invalid_limit"


async def test_conversations_show_private_channels_only_to_members(app: BareApp, slack: SlackWorld) -> None:
    async def names(**arguments: Any) -> list[str]:
        return [one["name"] for one in (await app.call("conversations.list", **arguments))["channels"]]

    assert await names() == ["general", "marketing", "random"]
    assert await names(types="private_channel") == []
    leads = await slack.channel_id("leads")
    assert (await app.call("conversations.info", channel=leads))["error"] == "channel_not_found"
    await slack.change_channel("leads", add=["ferry"])
    assert await names(types="private_channel") == ["leads"]
    info = (await app.call("conversations.info", channel=leads, include_num_members=True))["channel"]
    assert (info["is_private"], info["is_member"], info["num_members"]) == (True, True, 3)
    members = (await app.call("conversations.members", channel=leads))["members"]
    assert set(members) == {await slack.person_id(name) for name in ("ada", "carl", "ferry")}
    assert (await app.call("conversations.list", types="channels"))["error"] == "invalid_types"


async def test_the_bot_joins_public_channels_by_itself(app: BareApp, slack: SlackWorld) -> None:
    random = await slack.channel_id("random")
    assert (await app.call("conversations.join", channel=random))["channel"]["is_member"] is True
    assert (await app.call("conversations.join", channel=random))["warning"] == "already_in_channel"
    await slack.change_channel("random", archived=True)
    assert (await app.call("conversations.join", channel=random))["error"] == "is_archived"
    await slack.change_channel("leads", add=["ferry"])
    leads = await app.call("conversations.join", channel=await slack.channel_id("leads"))
    assert leads["error"] == "method_not_supported_for_channel_type"


async def test_conversations_open_gives_the_same_direct_message_each_time(app: BareApp, slack: SlackWorld) -> None:
    ada, carl = await slack.person_id("ada"), await slack.person_id("carl")
    first = await app.call("conversations.open", users=ada)
    again = await app.call("conversations.open", users=ada)
    assert first["channel"]["id"] == again["channel"]["id"]
    assert again["already_open"] is True
    several = await app.call("conversations.open", users=f"{ada},{carl}")
    assert several["channel"]["id"] != first["channel"]["id"]
    assert (await app.call("conversations.open"))["error"] == "users_list_not_supplied"
    assert (await app.call("conversations.open", users="U0NOBODY"))["error"] == "user_not_found"


async def test_user_groups_and_their_members(app: BareApp, slack: SlackWorld) -> None:
    group = await slack.add_group("leads", members=["ada", "carl"])
    listed = (await app.call("usergroups.list", include_users=True))["usergroups"]
    assert [(one["id"], one["handle"], len(one["users"])) for one in listed] == [(group, "leads", 2)]
    users = (await app.call("usergroups.users.list", usergroup=group))["users"]
    assert users == [await slack.person_id("ada"), await slack.person_id("carl")]
    assert (await app.call("usergroups.users.list", usergroup="S0NONE"))["error"] == "no_such_subteam"
    assert (await app.call("usergroups.users.list"))["error"] == "invalid_arguments"


async def test_team_info_names_the_workspace(app: BareApp) -> None:
    team = (await app.call("team.info"))["team"]
    assert (team["id"], team["domain"]) == (app.told["team_id"], "acme")


# -- files ------------------------------------------------------------------------------------------------------


async def _upload(app: BareApp, content: bytes) -> Json:
    return await app.call("files.getUploadURLExternal", filename="rejects.csv", length=len(content))


@pytest.mark.parametrize("way", ["raw", "multipart"])
async def test_a_file_is_uploaded_in_three_steps_and_shared(app: BareApp, slack: SlackWorld, way: str) -> None:
    content = "id,reason\n1,café\n".encode()
    asked = await _upload(app, content)
    options: dict[str, Any] = {"content": content} if way == "raw" else {"files": {"file": ("rejects.csv", content)}}
    assert (await app.request("POST", asked["upload_url"], **options)).status_code == 200
    carl = await app.call("conversations.open", users=await slack.person_id("carl"))
    files = [{"id": asked["file_id"], "title": "Rejected rows"}]
    answer = await app.call(
        "files.completeUploadExternal", files=files, channel_id=carl["channel"]["id"], initial_comment="Here it is"
    )
    assert answer["files"] == files
    message = await slack.person("carl").message("Here it is", channel="dm")
    [file] = message.files
    assert (file.name, file.title, file.size) == ("rejects.csv", "Rejected rows", len(content))
    assert await slack.person("carl").read_file(file) == content
    with pytest.raises(Exception, match="sees no such file"):
        await slack.person("ada").read_file(file)


async def test_without_the_last_step_a_file_is_nowhere(app: BareApp, slack: SlackWorld) -> None:
    asked = await _upload(app, b"abc")
    complete = "files.completeUploadExternal"
    listed = [{"id": asked["file_id"]}]
    assert (await app.call(complete, files=listed))["error"] == "file_not_found"
    assert (await app.request("POST", asked["upload_url"], content=b"too long")).status_code == 400
    await app.request("POST", asked["upload_url"], content=b"abc")
    assert (await app.call("files.info", file=asked["file_id"]))["error"] == "file_not_found"
    assert (await app.call(complete, files=listed, channel_id="general"))["error"] == "channel_not_found"
    ada = await slack.person_id("ada")
    assert (await app.call(complete, files=listed, channel_id=ada))["error"] == "channel_not_found"
    assert (await app.call(complete, files="[]"))["error"] == "invalid_arguments"
    assert (await app.call(complete, files=listed))["ok"] is True
    assert (await app.call(complete, files=listed))["error"] == "file_not_found"
    assert (await app.call("files.getUploadURLExternal", filename="a", length=0))["error"] == "invalid_arguments"


async def test_file_bytes_need_the_bearer_token_and_the_read_scope(app: BareApp, slack: SlackWorld) -> None:
    asked = await _upload(app, b"abc")
    await app.request("POST", asked["upload_url"], content=b"abc")
    await app.call("files.completeUploadExternal", files=[{"id": asked["file_id"]}])
    url = (await app.call("files.info", file=asked["file_id"]))["file"]["url_private"]
    bearer = {"Authorization": f"Bearer {app.told['bot_token']}"}
    assert (await app.request("GET", url, headers=bearer)).content == b"abc"
    assert (await app.request("GET", url)).status_code == 403
    await slack.change_app(scopes=["files:write"])
    assert (await app.request("GET", url, headers=bearer)).status_code == 403


# -- views ------------------------------------------------------------------------------------------------------


@pytest.fixture
async def live(told: Json, slack: SlackWorld) -> AsyncIterator[BareApp]:
    async with connected_app(told) as bare:
        yield bare


async def test_a_trigger_opens_one_modal_within_three_seconds(live: BareApp, slack: SlackWorld) -> None:
    trigger = await _trigger(live, slack)
    opened = await live.call("views.open", trigger_id=trigger, view=modal(section("Hi")))
    assert opened["view"]["state"] == {"values": {}}
    assert {"id", "hash", "root_view_id", "app_id", "bot_id", "team_id"} <= opened["view"].keys()
    assert (await slack.person("ada").modal()).text == "Hi"
    again = await live.call("views.open", trigger_id=trigger, view=modal(section("Hi")))
    assert again["error"] == "exchanged_trigger_id"
    late = await _trigger(live, slack)
    await slack.advance(3.5)
    assert (await live.call("views.open", trigger_id=late, view=modal()))["error"] == "expired_trigger_id"
    assert (await live.call("views.open", trigger_id="1.2.3", view=modal()))["error"] == "invalid_trigger_id"


async def test_bad_views_are_refused_with_pointers_and_leave_the_trigger_usable(
    live: BareApp, slack: SlackWorld
) -> None:
    trigger = await _trigger(live, slack)
    answer = await live.call("views.open", trigger_id=trigger, view=modal(text_field(), submit=None, title="T" * 25))
    assert answer["error"] == "invalid_arguments"
    messages = " ".join(answer["response_metadata"]["messages"])
    assert "[json-pointer:/view/title/text]" in messages
    assert "submit" in messages
    assert (await live.call("views.open", trigger_id=trigger, view=home()))["error"] == "invalid_arguments"
    assert (await live.call("views.open", trigger_id=trigger))["error"] == "invalid_arguments"
    large = modal(*[section("é" * 3000) for _ in range(50)])
    assert (await live.call("views.open", trigger_id=trigger, view=large))["error"] == "view_too_large"
    assert (await live.call("views.open", trigger_id=trigger, view=modal()))["ok"] is True


async def test_at_most_three_views_are_stacked(live: BareApp, slack: SlackWorld) -> None:
    ada = slack.person("ada")
    next_button = actions(button("More", "more"))
    trigger = await _trigger(live, slack)
    assert (await live.call("views.push", trigger_id=trigger, view=modal(next_button)))["error"] == "not_found"
    first = await live.call("views.open", trigger_id=trigger, view=modal(next_button, title="1"))
    for number in ("2", "3"):
        await ada.click("More")
        trigger = (await live.next_payload())["trigger_id"]
        pushed = await live.call("views.push", trigger_id=trigger, view=modal(next_button, title=number))
        assert pushed["view"]["root_view_id"] == first["view"]["id"]
    await ada.click("More")
    trigger = (await live.next_payload())["trigger_id"]
    fourth = await live.call("views.push", trigger_id=trigger, view=modal(title="4"))
    assert fourth["error"] == "push_limit_reached"
    assert (await ada.modal()).title == "3"


async def test_each_update_changes_the_hash_and_a_stale_one_conflicts(live: BareApp, slack: SlackWorld) -> None:
    opened = (await live.call("views.open", trigger_id=await _trigger(live, slack), view=modal(section("a"))))["view"]
    first = await live.call("views.update", view_id=opened["id"], hash=opened["hash"], view=modal(section("b")))
    assert first["view"]["hash"] != opened["hash"]
    stale = await live.call("views.update", view_id=opened["id"], hash=opened["hash"], view=modal(section("c")))
    assert stale["error"] == "hash_conflict"
    assert (await slack.person("ada").modal()).text == "b"
    await slack.person("ada").close()
    closed = await live.call("views.update", view_id=opened["id"], view=modal(section("d")))
    assert closed["error"] == "not_found"
    assert (await live.call("views.update", view=modal()))["error"] == "invalid_arguments"


async def test_an_external_id_names_one_view_in_the_workspace(live: BareApp, slack: SlackWorld) -> None:
    await live.call("views.open", trigger_id=await _trigger(live, slack), view=modal(external_id="mine"))
    taken = await live.call(
        "views.open", trigger_id=await _trigger(live, slack, "carl"), view=modal(external_id="mine")
    )
    assert taken["error"] == "duplicate_external_id"
    updated = await live.call("views.update", external_id="mine", view=modal(section("new"), external_id="mine"))
    assert updated["ok"] is True
    assert (await slack.person("ada").modal()).text == "new"
    assert (await live.call("views.update", external_id="other", view=modal()))["error"] == "not_found"


async def test_each_person_has_a_home_of_their_own(app: BareApp, slack: SlackWorld) -> None:
    ada, carl = await slack.person_id("ada"), await slack.person_id("carl")
    first = await app.call("views.publish", user_id=ada, view=home(section("for Ada")))
    await app.call("views.publish", user_id=carl, view=home(section("for Carl")))
    assert await slack.person("ada").home() == "for Ada"
    assert await slack.person("carl").home() == "for Carl"
    await app.call("views.publish", user_id=ada, view=home(section("newer")), hash=first["view"]["hash"])
    stale = await app.call("views.publish", user_id=ada, view=home(), hash=first["view"]["hash"])
    assert stale["error"] == "hash_conflict"
    assert await slack.person("ada").home() == "newer"
    assert (await app.call("views.publish", user_id="U0NOBODY", view=home()))["error"] == "user_not_found"
    assert (await app.call("views.publish", user_id=ada, view=modal()))["error"] == "invalid_arguments"
    await slack.change_app(home_enabled=False)
    assert (await app.call("views.publish", user_id=ada, view=home()))["error"] == "not_enabled"


# -- trouble ----------------------------------------------------------------------------------------------------


async def test_faults_hit_the_named_method_as_often_as_told(app: BareApp, slack: SlackWorld) -> None:
    await slack.add_fault("ratelimited", "chat.postMessage", times=2, retry_after=7)
    for _ in range(2):
        limited = await app.post("chat.postMessage", channel="#general", text="t")
        assert (limited.status_code, limited.headers["Retry-After"]) == (429, "7")
        assert limited.json() == {"ok": False, "error": "ratelimited"}
        assert (await app.call("auth.test"))["ok"] is True
    assert (await app.call("chat.postMessage", channel="#general", text="t"))["ok"] is True
    async with slack.fault("500"):
        broken = await app.post("auth.test")
        assert (broken.status_code, broken.headers["Content-Type"].split(";")[0]) == (500, "text/html")
    async with slack.fault("error", error="fatal_error"):
        assert (await app.call("auth.test"))["error"] == "fatal_error"
    assert (await app.call("auth.test"))["ok"] is True


@pytest.mark.parametrize(("kind", "done"), [("drop", 0), ("lost-answer", 1)])
async def test_a_dropped_call_does_nothing_and_a_lost_answer_hides_work_that_was_done(
    app: BareApp, slack: SlackWorld, kind: str, done: int
) -> None:
    await slack.add_fault(kind, "chat.postMessage", times=1)
    with pytest.raises(httpx.TransportError):
        await app.call("chat.postMessage", channel="#general", text="t")
    assert len(await slack.person("ada").messages("general")) == done


async def test_a_slow_call_is_done_after_its_time(app: BareApp, slack: SlackWorld) -> None:
    async with slack.fault("slow", seconds=60):
        with pytest.raises(httpx.ReadTimeout):
            await app.request("POST", "/api/auth.test", timeout=0.05)
    async with slack.fault("slow", seconds=0.01):
        assert (await app.call("auth.test"))["ok"] is True


async def test_a_call_may_get_no_answer_at_all(app: BareApp, slack: SlackWorld) -> None:
    await slack.add_fault("timeout", times=1, seconds=60)
    with pytest.raises(httpx.ReadTimeout):
        await app.request("POST", "/api/auth.test", timeout=0.05)


async def test_while_slack_is_away_nothing_is_answered_but_the_control_api(told: Json, slack: SlackWorld) -> None:
    async with connected_app(told) as app:
        url = await app.socket_url()
        async with slack.fault("away"):
            await slack.connected(0)
            with pytest.raises(httpx.TransportError):
                await app.call("auth.test")
            with pytest.raises(Exception, match=r"."):
                await app.open_socket(url)
            result = await slack.person("ada").command("/ferry")
            assert result.error == "dispatch_failed"
        assert (await app.call("auth.test"))["ok"] is True
        await app.connect()
        assert (await slack.person("ada").command("/ferry")).acknowledged


async def test_an_unknown_fault_is_refused(slack: SlackWorld) -> None:
    with pytest.raises(Exception, match="kind is one of"):
        await slack.add_fault("gremlins")
