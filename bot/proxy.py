"""The proxy on the way to the web, where the environment variables name one."""

import ipaddress
import urllib.request
from urllib.parse import urlsplit


def proxy_to(address: str) -> str | None:
    """As httpx's own client and Entra's library find it: HTTPS_PROXY or ALL_PROXY, but not for hosts of NO_PROXY.

    This machine is never asked through a proxy.
    """
    parts = urlsplit(address)
    host, proxies = parts.hostname or "", urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or _is_here(host) or urllib.request.proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
