"""What axe-core holds against a page."""

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page


async def findings(page: Page) -> list[str]:
    """The findings that are serious or critical: rule, impact, and the first element."""
    results = await Axe().run(page)
    return [
        f"{finding['id']} ({finding['impact']}): {finding['nodes'][0]['html'][:300]}"
        for finding in results.response["violations"]
        if finding["impact"] in ("serious", "critical")
    ]
