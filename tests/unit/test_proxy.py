"""Which proxy the environment variables name for an address."""

import pytest

from bot.proxy import proxy_to


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    ("variable", "value", "address", "proxy"),
    [
        ("HTTPS_PROXY", "http://proxy.example:3128", "https://api.omnisend.com/v3", "http://proxy.example:3128"),
        ("HTTPS_PROXY", "proxy.example:3128", "https://api.omnisend.com", "http://proxy.example:3128"),
        ("https_proxy", "proxy.example", "https://api.omnisend.com", "http://proxy.example"),
        ("ALL_PROXY", "http://proxy.example", "https://api.omnisend.com", "http://proxy.example"),
        ("HTTP_PROXY", "http://proxy.example", "https://api.omnisend.com", None),
        ("HTTPS_PROXY", "http://proxy.example", "https://127.0.0.1:8443", None),
        ("HTTPS_PROXY", "http://proxy.example", "https://localhost:8443", None),
        ("HTTPS_PROXY", "http://proxy.example", "https://[::1]:8443", None),
        ("HTTPS_PROXY", "", "https://api.omnisend.com", None),
    ],
)
def test_the_proxy_is_the_one_for_the_addresss_scheme_and_never_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, address: str, proxy: str | None
) -> None:
    monkeypatch.setenv(variable, value)
    assert proxy_to(address) == proxy


@pytest.mark.parametrize("spared", ["api.omnisend.com", ".omnisend.com", "elsewhere.example,api.omnisend.com", "*"])
def test_a_host_that_no_proxy_names_is_asked_without_one(monkeypatch: pytest.MonkeyPatch, spared: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example")
    monkeypatch.setenv("NO_PROXY", spared)
    assert proxy_to("https://api.omnisend.com") is None
    assert proxy_to("https://contoso.crm4.dynamics.com") == (None if spared == "*" else "http://proxy.example")
