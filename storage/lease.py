"""The lease: one process at a time sends to a brand, bot and command line alike.

The holder renews it while it works. It can be taken over when it was released, when its process is known to be dead
(same machine), or when it has not been renewed for a while. With it goes the limiter's window, so that no burst follows
a restart: exactly after a clean release, as a full window after a crash.
"""

import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from storage.database import Database
from storage.models import Lease, now

RENEW_SECONDS = 5.0
_START_TICKS = 19  # field of /proc/PID/stat, counted after the program's name (proc(5): starttime)
EXPIRY_SECONDS = 30.0  # six missed renewals


def this_process() -> str:
    """A name for this process that no other one, before or after it, will have."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_started(pid)}"


def is_dead(holder: str) -> bool:
    """Whether the process is certainly gone. Of another machine's processes nothing is certain."""
    host, pid, started = holder.rsplit(":", 2)
    if host != socket.gethostname():
        return False
    try:
        return _started(int(pid)) != started
    except psutil.NoSuchProcess:
        return True


def _started(pid: int) -> str:
    """When a process began, told apart from any other with its id. Raises `psutil.NoSuchProcess`.

    On Linux in ticks since the machine started: the time of day, which psutil gives, moves when the clock is set.
    """
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[_START_TICKS]
    except (OSError, IndexError):
        return f"{psutil.Process(pid).create_time():.0f}"


@dataclass(frozen=True, slots=True)
class Taken:
    """A lease obtained. `ages`: seconds since each request of the last holder that may still count."""

    ages: Sequence[float]
    after_crash: bool  # the last holder left no word: assume a full window at its last renewal
    idle_seconds: float  # since the last holder was heard of


async def take(database: Database, brand_id: str, holder: str) -> Taken | None:
    """Take the brand's lease, or None while a living process holds it."""
    async with database.write() as session:
        lease = await session.get(Lease, brand_id)
        if lease is None:
            session.add(Lease(brand_id=brand_id, holder=holder))
            return Taken((), after_crash=False, idle_seconds=float("inf"))
        idle = (now() - lease.renewed_at).total_seconds()
        free = lease.released or lease.holder == holder or idle > EXPIRY_SECONDS or is_dead(lease.holder)
        if not free:
            return None
        mine = lease.holder == holder  # this process's limiter remembers by itself
        taken = Taken(
            () if mine else [max(0.0, time.time() - moment) for moment in lease.window],
            after_crash=not lease.released and not mine,
            idle_seconds=max(0.0, idle),
        )
        lease.holder, lease.released, lease.renewed_at = holder, False, now()
        session.add(lease)
        return taken


async def renew(database: Database, brand_id: str, holder: str) -> bool:
    """Keep the lease; False if another process has taken it (this one was away for too long): stop sending."""
    async with database.write() as session:
        lease = await session.get(Lease, brand_id)
        if lease is None or lease.holder != holder:
            return False
        lease.renewed_at = now()
        session.add(lease)
        return True


async def release(database: Database, brand_id: str, holder: str, ages: Sequence[float]) -> None:
    """Give the lease back, with the ages in seconds of the requests that still count."""
    async with database.write() as session:
        lease = await session.get(Lease, brand_id)
        if lease is not None and lease.holder == holder:
            lease.released, lease.renewed_at = True, now()
            lease.window = [time.time() - age for age in ages]
            session.add(lease)
