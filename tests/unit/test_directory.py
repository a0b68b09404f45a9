"""Who somebody is, as Slack says: how old that may be, and what holds while Slack can't be asked.

reference: slack-platform.md §2 (usergroups.list: 20 a minute), §14 (re-check on every action)
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.slack.directory import GROUPS_FRESH_SECONDS, GROUPS_SECONDS, PROFILE_SECONDS, Directory
from bot.slack.errors import ScopeMissing, SlackError
from tests.unit.services_world import TEAM, services_world
from tests.unit.slack_double import Clock, SlackDouble, refused, scripted_slack

AWAY: Any = (503, {}, {"ok": False, "error": "service_unavailable"})


def _user(**facts: Any) -> dict[str, Any]:
    return {"ok": True, "user": {"id": "U0ANN", "name": "ann", **facts}}


def _groups(*members: str) -> dict[str, Any]:
    return {"ok": True, "usergroups": [{"id": "S0LEADS", "handle": "leads", "users": list(members)}]}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[tuple[SlackDouble, Directory, Clock]]:
    clock = Clock()
    async with services_world(tmp_path) as services, scripted_slack() as (double, gateway):
        yield double, Directory(gateway, services.people, clock), clock


World = tuple[SlackDouble, Directory, Clock]


async def test_what_changes_something_asks_for_rights_anew_and_what_shows_something_does_not(world: World) -> None:
    double, directory, clock = world
    double.will_answer("users.info", _user(is_admin=True), _user())
    assert (await directory.actor(TEAM, "U0ANN")).is_admin
    clock.now += PROFILE_SECONDS - 1
    assert (await directory.actor(TEAM, "U0ANN")).is_admin
    assert not (await directory.actor(TEAM, "U0ANN", fresh=True)).is_admin


async def test_who_has_left_a_group_has_lost_its_rights_with_the_next_act(world: World) -> None:
    double, directory, clock = world
    double.will_answer("usergroups.list", _groups("U0ANN"), _groups())
    assert (await directory.actor(TEAM, "U0ANN")).groups == frozenset({"S0LEADS"})
    clock.now += GROUPS_FRESH_SECONDS + 1
    assert (await directory.actor(TEAM, "U0ANN")).groups == frozenset({"S0LEADS"})
    assert (await directory.actor(TEAM, "U0ANN", fresh=True)).groups == frozenset()


async def test_acts_in_quick_succession_ask_for_the_groups_once(world: World) -> None:
    double, directory, clock = world
    for _ in range(10):
        await directory.actor(TEAM, "U0ANN", fresh=True)
        clock.now += 1
    assert len(double.called("usergroups.list")) == 1


async def test_while_slack_is_away_what_it_said_last_holds(world: World) -> None:
    double, directory, clock = world
    double.will_answer("users.info", _user(is_admin=True), AWAY, AWAY, AWAY)
    double.will_answer("usergroups.list", _groups("U0ANN"), AWAY, AWAY, AWAY)
    await directory.actor(TEAM, "U0ANN")
    clock.now += GROUPS_SECONDS + 1
    actor = await directory.actor(TEAM, "U0ANN", fresh=True)
    assert (actor.is_admin, actor.groups) == (True, frozenset({"S0LEADS"}))


@pytest.mark.parametrize("error", ["user_not_found", "missing_scope"])
async def test_whom_slack_knows_no_more_has_no_rights_left(world: World, error: str) -> None:
    double, directory, _ = world
    double.will_answer("users.info", _user(is_admin=True), refused(error, needed="users:read"))
    await directory.actor(TEAM, "U0ANN")
    with pytest.raises(SlackError) as raised:
        await directory.actor(TEAM, "U0ANN", fresh=True)
    assert isinstance(raised.value, ScopeMissing) is (error == "missing_scope")


async def test_without_the_permission_to_see_groups_nobody_is_in_one(world: World) -> None:
    double, directory, clock = world
    double.will_answer("usergroups.list", _groups("U0ANN"), refused("missing_scope", needed="usergroups:read"))
    await directory.actor(TEAM, "U0ANN")
    clock.now += GROUPS_SECONDS + 1
    assert (await directory.actor(TEAM, "U0ANN")).groups == frozenset()
