"""A local stand-in for the Omnisend REST API, version 2026-03-15, in a process of its own.

It is an instrument: it refuses what the real service refuses, and every point on which Omnisend's documentation is
silent is a switch (`assumptions.SWITCHES`), so that a client can be tried under each possible answer. It shares no
code with the client in `bot.omnisend`.

The API lives under `/api`; the controls for tests and demos under `/_emulator` (see `control`).
"""
