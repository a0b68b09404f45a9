"""The address of a Dataverse environment: what people paste, checked before any token goes there."""

import re
from urllib.parse import SplitResult, urlsplit

from bot.sources.dataverse.faults import AddressRefused

CLOUDS = {
    "dynamics.com": "https://login.microsoftonline.com",  # crm, crm2 … crm21; crm9 is the US government's GCC
    "microsoftdynamics.us": "https://login.microsoftonline.us",  # GCC High
    "appsplatform.us": "https://login.microsoftonline.us",  # DoD
    "dynamics.cn": "https://login.partner.microsoftonline.cn",  # China
}
"""Where environments live, and the Entra authority of each cloud (Power Platform docs, "National clouds")."""

_HOST = re.compile(rf"(?P<org>[a-z0-9][a-z0-9-]*)(\.api)?\.crm\d{{0,2}}\.(?P<cloud>{'|'.join(map(re.escape, CLOUDS))})")


def environment_url(text: str, *, any_host: bool = False) -> str:
    """The environment's origin, such as `https://contoso.crm4.dynamics.com`, from an address that somebody pasted.

    What follows the host is dropped: people copy the address of an app's page. `any_host` allows hosts other than
    Dynamics' (an emulator), though never anything but https. Raises `AddressRefused`.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise AddressRefused(url="This", detail="it is no address at all") from None
    if problem := _problem(parts, host, port, any_host=any_host):
        raise AddressRefused(url=host or "This", detail=problem)  # never the whole text: it may hold a password
    origin = f"[{host}]" if ":" in host else host
    return f"https://{origin}" if port in (None, 443) else f"https://{origin}:{port}"


def authority_of(environment: str) -> str:
    """The Entra authority that goes with an environment: that of its cloud; the public cloud's for any other host."""
    match = _HOST.fullmatch(urlsplit(environment).hostname or "")
    return CLOUDS[match["cloud"] if match else "dynamics.com"]


def _problem(parts: SplitResult, host: str, port: int | None, *, any_host: bool) -> str | None:
    if parts.scheme != "https":
        return "it has to begin with https://"
    if parts.username is not None or parts.password is not None:
        return "it holds a user name"
    if not re.fullmatch(r"[a-z0-9.:-]+", host):
        return "its host is not written in plain letters, digits and hyphens"
    if any_host:
        return None
    if port not in (None, 443):
        return "it names a port"
    return None if _HOST.fullmatch(host) else "its host is not one of Dynamics 365"
