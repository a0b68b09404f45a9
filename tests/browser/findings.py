"""What axe-core holds against a page."""

from typing import Any

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Locator, Page

AXE = Axe()


async def findings(page: Page, part: Locator | None = None) -> list[str]:
    """The serious and critical findings in the page, or in a part of it: rule, impact, and the first element."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(AXE.axe_script)
    looked_at = part or page.locator("html")
    options = {"resultTypes": ["violations"]}
    results: dict[str, Any] = await looked_at.evaluate("(part, options) => axe.run(part, options)", options)
    return [
        f"{finding['id']} ({finding['impact']}): {finding['nodes'][0]['html'][:300]}"
        for finding in results["violations"]
        if finding["impact"] in ("serious", "critical")
    ]
