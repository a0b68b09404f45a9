"""The address of an environment: only https, only Dynamics' hosts, nothing that leads a token astray.

reference: customer-insights.md §12.1 (the resource is the address without a path), §12.2 (hosts).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.sources.dataverse import authority_of, environment_url
from bot.sources.dataverse.faults import AddressRefused

CONTOSO = "https://contoso.crm4.dynamics.com"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (CONTOSO, CONTOSO),
        (f"  {CONTOSO}/ ", CONTOSO),
        ("HTTPS://Contoso.CRM4.Dynamics.com:443", CONTOSO),
        (f"{CONTOSO}/main.aspx?appid=7&pagetype=dashboard#x", CONTOSO),
        (f"{CONTOSO}./", CONTOSO),
        ("https://contoso.crm.dynamics.com", "https://contoso.crm.dynamics.com"),
        ("https://contoso.api.crm21.dynamics.com", "https://contoso.api.crm21.dynamics.com"),
        ("https://contoso.crm.microsoftdynamics.us", "https://contoso.crm.microsoftdynamics.us"),
        ("https://contoso.crm.appsplatform.us", "https://contoso.crm.appsplatform.us"),
        ("https://contoso.crm.dynamics.cn", "https://contoso.crm.dynamics.cn"),
    ],
)
def test_what_people_paste_becomes_the_environments_origin(text: str, url: str) -> None:
    assert environment_url(text) == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "https://"),
        ("contoso.crm4.dynamics.com", "https://"),
        ("http://contoso.crm4.dynamics.com", "https://"),
        ("https://contoso.crm4.dynamics.com.evil.example", "not one of Dynamics 365"),
        ("https://contoso-crm4-dynamics.com", "not one of Dynamics 365"),
        ("https://crm4.dynamics.com", "not one of Dynamics 365"),
        ("https://evil.example/contoso.crm4.dynamics.com", "not one of Dynamics 365"),
        ("https://contoso.crm4.dynamics.com@evil.example", "user name"),
        ("https://me:hunter2@contoso.crm4.dynamics.com", "user name"),
        ("https://contoso.crm4.dynamics.com:8443", "port"),
        ("https://contoso.crm4.dynamics.com:hunter2", "no address"),
        ("https://cоntoso.crm4.dynamics.com", "plain letters"),  # with a Cyrillic o
        ("https://[::1", "no address"),
        ("https://127.0.0.1", "not one of Dynamics 365"),
    ],
)
def test_everything_else_is_refused_with_the_reason_and_without_passwords(text: str, reason: str) -> None:
    with pytest.raises(AddressRefused, match=reason) as refused:
        environment_url(text)
    assert "hunter2" not in str(refused.value)


def test_a_setting_allows_other_hosts_but_never_plain_http() -> None:
    assert environment_url("https://127.0.0.1:8443/", any_host=True) == "https://127.0.0.1:8443"
    assert environment_url("https://[::1]:8443", any_host=True) == "https://[::1]:8443"
    with pytest.raises(AddressRefused, match="https://"):
        environment_url("http://127.0.0.1:8443", any_host=True)


@given(st.text())
def test_any_text_is_either_refused_or_an_origin_of_dynamics(text: str) -> None:
    try:
        url = environment_url(f"https://{text}")
    except AddressRefused:
        return
    assert url.startswith("https://")
    assert url.endswith((".dynamics.com", ".microsoftdynamics.us", ".appsplatform.us", ".dynamics.cn"))


@pytest.mark.parametrize(
    ("environment", "authority"),
    [
        (CONTOSO, "https://login.microsoftonline.com"),
        ("https://contoso.crm9.dynamics.com", "https://login.microsoftonline.com"),
        ("https://contoso.crm.microsoftdynamics.us", "https://login.microsoftonline.us"),
        ("https://contoso.crm.appsplatform.us", "https://login.microsoftonline.us"),
        ("https://contoso.crm.dynamics.cn", "https://login.partner.microsoftonline.cn"),
        ("https://127.0.0.1:8443", "https://login.microsoftonline.com"),
    ],
)
def test_each_cloud_has_its_authority(environment: str, authority: str) -> None:
    assert authority_of(environment) == authority
