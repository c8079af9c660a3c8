"""How long a browser takes to open the HTML page of thousands of findings, and how it scrolls and filters.

    python scripts/bench/html_open.py /tmp/html10k --findings 10000

Makes the dataset and its page where the folder does not exist. Each round opens the page in a new, empty browser
context: times count from the start of the navigation. Needs playwright and chromium or google-chrome on PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING

from html_report import make_dataset
from measure import machine, table, versions

from sanitizer.reports.html.build import write_page
from sanitizer.scanning import scan

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCROLLED_FRAMES = 240

# After a frame in which cards were in the document, they are on the screen.
WHEN_CARDS_ARE_DRAWN = """
window.cardsDrawn = new Promise((done) => {
    const look = () => document.querySelector('.card')
        ? requestAnimationFrame(() => setTimeout(() => done(performance.now())))
        : requestAnimationFrame(look);
    requestAnimationFrame(look);
});
"""
PICTURES_AFTER_A_JUMP = """async () => {
    const start = performance.now();
    scrollTo({ top: document.documentElement.scrollHeight / 2, behavior: 'instant' });
    const inSight = (card) => card.getBoundingClientRect().bottom > 0 && card.getBoundingClientRect().top < innerHeight;
    const loaded = (card) => [...card.querySelectorAll('img')].every((i) => i.complete && i.naturalWidth);
    for (;;) {
        await new Promise(requestAnimationFrame);
        const cards = [...document.querySelectorAll('.card')].filter(inSight);
        if (cards.length && cards.every(loaded)) return performance.now() - start;
    }
}"""
FRAMES_WHILE_SCROLLING = """async (frames) => {
    const gaps = [];
    let before = performance.now();
    for (let n = 0; n < frames; n++) {
        scrollBy({ top: 180, behavior: 'instant' });
        await new Promise(requestAnimationFrame);
        gaps.push(performance.now() - before);
        before = performance.now();
    }
    return gaps;
}"""
FILTERED = """async (name) => {
    const start = performance.now();
    document.querySelector(`#facets input[name=${name}]`).click();
    await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done));
    return performance.now() - start;
}"""


def main() -> None:
    """Parse arguments, make what is missing, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--findings", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    if not os.path.exists(args.folder):
        make_dataset(args.folder, args.findings)
    page = Path(args.folder, "page", "index.html").resolve()
    report = scan(f"{args.folder}/data.yaml", images="header")
    write_page(report, str(page), str(page.parent / "crops"))

    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        rounds = [one_round(browser, page) for _ in range(args.rounds)]
        print(f"{machine()}; {versions('playwright')}, Chromium {browser.version}")
        browser.close()
    print(
        f"{len(report.findings):,} findings, page {page.stat().st_size / 1e6:.1f} MB, {args.rounds} rounds\n"
    )
    rows = [
        [name, *(f"{f([r[name] for r in rounds]):.0f}" for f in (median, min, max))] for name in rounds[0]
    ]
    print(table(["", "median", "least", "most"], rows))


def one_round(browser: Browser, path: Path) -> dict[str, float]:
    """Name to number; times in milliseconds."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.add_init_script(WHEN_CARDS_ARE_DRAWN)
    page = context.new_page()
    page.goto(path.as_uri())
    measured = {
        "first cards drawn, ms": float(page.evaluate("window.cardsDrawn")),
        "document ready, ms": navigation_ms(page),
        "jump to the middle until its pictures are loaded, ms": float(page.evaluate(PICTURES_AFTER_A_JUMP)),
    }
    gaps = [float(gap) for gap in page.evaluate(FRAMES_WHILE_SCROLLING, SCROLLED_FRAMES)]
    measured["frame while scrolling, median, ms"] = median(gaps)
    measured["frame while scrolling, 95th percentile, ms"] = quantiles(gaps, n=20)[-1]
    measured["filter by severity, ms"] = float(page.evaluate(FILTERED, "severity"))
    measured["cards in the document"] = float(page.locator(".card").count())
    context.close()
    return measured


def navigation_ms(page: Page) -> float:
    """From the start of the navigation to the end of DOMContentLoaded."""
    return float(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))


if __name__ == "__main__":
    main()
