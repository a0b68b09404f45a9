"""Settings of the sources: a folder, an environment, or both; checked at the start (issue 4, Choosing)."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from bot.settings import Settings

ENVIRONMENT = "https://contoso.crm4.dynamics.com"
SIGN_IN = {"entra_tenant": "contoso.example", "entra_client_id": "00000000-0000-0000-0000-000000000001"}


def settings(**given: Any) -> Settings:
    return Settings(_env_file=None, **given)


def test_a_source_may_be_a_folder() -> None:
    chosen = settings(source="/tables")
    assert (chosen.tables_folder, chosen.environment) == (Path("/tables"), "")


def test_a_source_may_be_an_environment() -> None:
    chosen = settings(source=ENVIRONMENT, **SIGN_IN)
    assert (chosen.tables_folder, chosen.environment) == (None, ENVIRONMENT)


def test_a_folder_and_an_environment_may_be_configured_at_once() -> None:
    chosen = settings(source="/tables", dataverse_url=ENVIRONMENT, **SIGN_IN)
    assert (chosen.tables_folder, chosen.environment) == (Path("/tables"), ENVIRONMENT)


@pytest.mark.parametrize(
    ("given", "name", "says"),
    [
        ({"source": "http://contoso.crm4.dynamics.com", **SIGN_IN}, "source", "begins with https://"),
        ({"dataverse_url": "contoso.crm4.dynamics.com", **SIGN_IN}, "dataverse_url", "begins with https://"),
        ({"source": ENVIRONMENT, "dataverse_url": ENVIRONMENT, **SIGN_IN}, "dataverse_url", "there can be one"),
        ({"source": ENVIRONMENT, "entra_client_id": "x"}, "entra_tenant", "nobody can sign in"),
        ({"dataverse_url": ENVIRONMENT, "entra_tenant": "x"}, "entra_client_id", "nobody can sign in"),
        ({"entra_tenant": "https://login.example/contoso"}, "entra_tenant", "a domain for the tenant"),
        ({"entra_authority": "http://login.example"}, "entra_authority", "begins with https://"),
        ({"dataverse_ca": "/no/such/file.pem"}, "dataverse_ca", "no such file"),
        ({"dataverse_ca": __file__}, "dataverse_ca", "no PEM file"),
        ({"entra_app_certificate": "/no/such/file.pem"}, "entra_app_certificate", "no such file"),
        ({"hook_port": 70_000}, "hook_port", "less than or equal to 65535"),
        ({"hook_url": "ferry.example.com"}, "hook_url", "begins with https://"),
    ],
)
def test_what_can_not_be_used_is_named(given: dict[str, Any], name: str, says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(**given)
    (problem,) = raised.value.errors()
    assert problem["loc"] == (name,)
    assert says in problem["msg"]


def test_the_webhook_is_off_unless_it_has_a_port() -> None:
    assert settings().hook_port is None
    assert settings(hook_port="").hook_port is None
    assert settings(hook_port="0").hook_port == 0
