"""Run the `ferry` command as a process, as a user would."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = {
    "FERRY_OMNISEND_RATE": "0/1",
    "FERRY_SWEEP_SECONDS": "[0.2, 2]",
    "FERRY_LOOKUP_GRACE": "1",
    "FERRY_DRAIN_PATIENCE": "20",
    "FERRY_SETTLE_PATIENCE": "20",
    "FERRY_CANARY_PATIENCE": "10",
    "FERRY_OUTAGE_PATIENCE": "60",
}
"""Settings that fit an emulator in a hurry."""


@dataclass(frozen=True)
class Ended:
    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """The last line of the output, parsed."""
        assert self.stdout.strip(), f"no output, exit status {self.status}: {self.stderr[-2000:]}"
        answer: dict[str, Any] = json.loads(self.stdout.strip().splitlines()[-1])
        return answer


@dataclass
class Ferry:
    """The command with the settings of one installation."""

    data: Path
    settings: dict[str, str] = field(default_factory=dict)
    longest: float = 120  # seconds that a command may take

    @property
    def environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("FERRY_", "SLACK_"))}
        return inherited | PATIENCE | {"FERRY_DATA_DIR": str(self.data)} | self.settings

    async def start(self, *arguments: str) -> Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot.cli", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=self.environment
        )

    async def __call__(self, *arguments: str, answer: str = "") -> Ended:
        """Run the command to its end; `answer` is typed at its prompts."""
        process = await self.start(*arguments)
        stdout, stderr = await asyncio.wait_for(process.communicate(answer.encode()), self.longest)
        return Ended(process.returncode or 0, stdout.decode(), stderr.decode())

    async def kill_after(self, seconds: float, *arguments: str) -> bool:
        """Start the command and SIGKILL it at a moment of its life; was it still alive then?"""
        process = await self.start(*arguments)
        try:
            await asyncio.wait_for(process.communicate(b""), seconds)
        except TimeoutError:
            process.kill()
            await process.communicate()
            return True
        return False
