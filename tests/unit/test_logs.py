"""What is written to the log holds no address of a person and no token."""

import logging

import pytest

from bot.logs import configure, mask


@pytest.mark.parametrize(
    "secret",
    [
        "ada.lovelace@example.com",
        "xoxb-1234567890-abcdef",
        "xapp-1-A0B1C2-abcdef",
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJodHRwczovL2NvbnRvc28ifQ.c2ln-bmF0_dXJl",
    ],
)
def test_addresses_and_tokens_of_slack_and_entra_are_masked(secret: str) -> None:
    shown = mask(f"Authorization: Bearer {secret}; more")
    assert secret not in shown
    assert not any(part in shown for part in secret.split(".")[:2] if len(part) > 8)
    assert shown.endswith("; more")


def test_libraries_that_tell_of_requests_are_quiet_at_every_level() -> None:
    before = logging.getLogger().level
    try:
        configure("DEBUG")
        for name in ("httpx", "httpcore", "urllib3", "msal", "slack_sdk"):
            assert not logging.getLogger(f"{name}.anything").isEnabledFor(logging.INFO)
    finally:
        logging.getLogger().setLevel(before)
