"""users, conversations, usergroups: who and what there is."""

from bot.sandbox.slack.emulator import Emulator
from bot.sandbox.slack.errors import Json, SlackError, invalid_arguments
from bot.sandbox.slack.methods.registry import (
    READ_SCOPES,
    Arguments,
    channel_of,
    method,
    need_scope,
    page,
    person_of,
)
from bot.sandbox.slack.workspace import Channel, Person, tz_offset

CHANNEL_TYPES = {"public_channel": "public", "private_channel": "private", "im": "im", "mpim": "mpim"}


def user_json(emulator: Emulator, person: Person, *, locale: bool) -> Json:
    offset = tz_offset(person.tz, emulator.clock.now())
    profile = {
        "real_name": person.real_name,
        "display_name": person.name,
        "real_name_normalized": person.real_name,
        "display_name_normalized": person.name,
        "team": emulator.workspace.team_id,
    }
    if "users:read.email" in emulator.scopes and not person.is_bot:
        profile["email"] = person.email
    user: Json = {
        "id": person.id,
        "team_id": emulator.workspace.team_id,
        "name": person.name,
        "deleted": person.deleted,
        "real_name": person.real_name,
        "tz": person.tz,
        "tz_label": person.tz.rsplit("/", 1)[-1].replace("_", " ") + " Time",
        "tz_offset": offset,
        "profile": profile,
        "is_admin": person.is_admin,
        "is_owner": person.is_owner,
        "is_primary_owner": person.is_primary_owner,
        "is_restricted": person.is_restricted,
        "is_ultra_restricted": person.is_ultra_restricted,
        "is_bot": person.is_bot,
        "is_app_user": False,
        "updated": int(emulator.clock.now()),
    }
    return {**user, "locale": person.locale} if locale else user


@method("users.info", scope="users:read")
def users_info(emulator: Emulator, arguments: Arguments) -> Json:
    person = person_of(emulator, arguments.required("user", "user_not_found"))
    return {"user": user_json(emulator, person, locale=arguments.flag("include_locale"))}


@method("users.list", scope="users:read")
def users_list(emulator: Emulator, arguments: Arguments) -> Json:
    people, cursor = page(list(emulator.workspace.people.values()), arguments, default_limit=1000)
    locale = arguments.flag("include_locale")
    return {
        "members": [user_json(emulator, person, locale=locale) for person in people],
        "cache_ts": int(emulator.clock.now()),
        "response_metadata": {"next_cursor": cursor},
    }


def channel_json(emulator: Emulator, channel: Channel, *, count: bool = False) -> Json:
    bot = emulator.workspace.bot.id
    if channel.kind == "im":
        other = next((one for one in channel.members if one != bot), bot)
        return {"id": channel.id, "is_im": True, "user": other, "created": channel.created, "is_archived": False}
    described = {
        "id": channel.id,
        "name": channel.name,
        "name_normalized": channel.name,
        "is_channel": channel.kind == "public",
        "is_group": channel.kind == "private",
        "is_im": False,
        "is_mpim": channel.kind == "mpim",
        "is_private": channel.kind != "public",
        "is_archived": channel.archived,
        "is_general": channel.name == "general",
        "is_member": bot in channel.members,
        "creator": channel.creator,
        "created": channel.created,
        "topic": {"value": "", "creator": "", "last_set": 0},
        "purpose": {"value": "", "creator": "", "last_set": 0},
    }
    return {**described, "num_members": len(channel.members)} if count else described


@method("conversations.list")
def conversations_list(emulator: Emulator, arguments: Arguments) -> Json:
    asked = [one.strip() for one in arguments.text("types", "public_channel").split(",")]
    unknown = [one for one in asked if one not in CHANNEL_TYPES]
    if unknown:
        raise SlackError("invalid_types")
    kinds = {CHANNEL_TYPES[one] for one in asked}
    for kind in sorted(kinds):
        need_scope(emulator, READ_SCOPES[kind])
    bot = emulator.workspace.bot.id
    found = [
        channel
        for channel in emulator.workspace.channels.values()
        if channel.kind in kinds
        and (channel.kind == "public" or bot in channel.members)
        and not (arguments.flag("exclude_archived") and channel.archived)
    ]
    channels, cursor = page(found, arguments)
    return {
        "channels": [channel_json(emulator, one, count=not one.is_direct) for one in channels],
        "response_metadata": {"next_cursor": cursor},
    }


@method("conversations.info")
def conversations_info(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_of(emulator, arguments)
    need_scope(emulator, READ_SCOPES[channel.kind])
    return {"channel": channel_json(emulator, channel, count=arguments.flag("include_num_members"))}


@method("conversations.members")
def conversations_members(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_of(emulator, arguments)
    need_scope(emulator, READ_SCOPES[channel.kind])
    members, cursor = page(channel.members, arguments)
    return {"members": members, "response_metadata": {"next_cursor": cursor}}


@method("conversations.open")
def conversations_open(emulator: Emulator, arguments: Arguments) -> Json:
    ws = emulator.workspace
    if arguments.text("channel"):
        channel = channel_of(emulator, arguments)
        need_scope(emulator, "im:write" if channel.kind != "mpim" else "mpim:write")
        if not channel.is_direct:
            raise SlackError("channel_not_found")
        return {"no_op": True, "already_open": True, "channel": {"id": channel.id}}
    users = arguments.values.get("users") or ""
    listed = users if isinstance(users, list) else users.split(",")
    ids = [one.strip() for one in listed if one.strip()]
    if not ids:
        raise SlackError("users_list_not_supplied")
    need_scope(emulator, "im:write" if len(ids) == 1 else "mpim:write")
    people = [person_of(emulator, one) for one in ids]
    if any(one.deleted for one in people):
        raise SlackError("user_disabled")
    if any(one.is_bot for one in people):
        raise SlackError("cannot_dm_bot")
    known = set(ws.channels)
    channel = ws.direct_channel(ws.bot.id, *(one.id for one in people))
    answer: Json = {"channel": {"id": channel.id}}
    if arguments.flag("return_im"):
        answer["channel"] = channel_json(emulator, channel)
    return {"no_op": True, "already_open": True, **answer} if channel.id in known else answer


@method("conversations.join", scope="channels:join")
def conversations_join(emulator: Emulator, arguments: Arguments) -> Json:
    channel = channel_of(emulator, arguments)
    if channel.kind != "public":
        raise SlackError("method_not_supported_for_channel_type")
    if channel.archived:
        raise SlackError("is_archived")
    bot = emulator.workspace.bot.id
    answer: Json = {"channel": channel_json(emulator, channel)}
    if bot in channel.members:
        return {**answer, "warning": "already_in_channel"}
    channel.members.append(bot)
    emulator.journal.record("channel", channel=channel.id)
    return {"channel": channel_json(emulator, channel)}


@method("usergroups.list", scope="usergroups:read")
def usergroups_list(emulator: Emulator, arguments: Arguments) -> Json:
    listed = []
    for group in emulator.workspace.groups.values():
        described: Json = {
            "id": group.id,
            "team_id": emulator.workspace.team_id,
            "is_usergroup": True,
            "name": group.name,
            "description": "",
            "handle": group.handle,
            "is_external": False,
            "date_delete": 0,
        }
        if arguments.flag("include_users"):
            described["users"] = group.members
        if arguments.flag("include_count"):
            described["user_count"] = len(group.members)
        listed.append(described)
    return {"usergroups": listed}


@method("usergroups.users.list", scope="usergroups:read")
def usergroups_users_list(emulator: Emulator, arguments: Arguments) -> Json:
    group_id = arguments.text("usergroup")
    if not group_id:
        raise invalid_arguments("missing required field: usergroup")
    group = emulator.workspace.groups.get(group_id)
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": group.members}
