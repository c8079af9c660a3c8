"""How long a browser takes to open the HTML page of thousands of findings, and how it scrolls and filters.

    python scripts/bench/html_open.py /tmp/html10k --findings 10000
    python scripts/bench/html_open.py /tmp/html10k --findings 10000 --probe

Makes the dataset and its page where the folder does not exist. Each round opens the page in a new, empty browser
context: times count from the start of the navigation. With --probe the page also shows a gradient probe, made up of
as many steps and images as a page holds. Needs playwright and chromium or google-chrome on PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
from dataclasses import replace
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np
from html_report import make_dataset
from measure import machine, table, versions

from sanitizer.reports.html.build import write_page
from sanitizer.reports.html.probe import MAX_IMAGES, MAX_STEPS
from sanitizer.scanner.run import scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from playwright.sync_api import Browser, Page

SCROLLED_FRAMES = 240
IMAGES_OF_A_STEP = 64

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

PICKED = """async () => {
    const start = performance.now();
    pick('step', PROBE.steps.spike.indexOf(1));
    await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done));
    return performance.now() - start;
}"""
HOVERED = """() => {
    const plot = document.querySelectorAll('.chart')[1], area = plot.getBoundingClientRect();
    const start = performance.now();
    for (let n = 0; n < 100; n++) {
        plot.dispatchEvent(new PointerEvent('pointermove', { clientX: area.left + 3 * n, clientY: area.top + n }));
    }
    return (performance.now() - start) / 100;
}"""


def main() -> None:
    """Parse arguments, make what is missing, measure, print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder")
    parser.add_argument("--findings", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--probe", action="store_true")
    args = parser.parse_args()
    if not os.path.exists(args.folder):
        make_dataset(args.folder, args.findings)
    page = Path(args.folder, "page", "index.html").resolve()
    report = scan(f"{args.folder}/data.yaml", images="header")
    if args.probe:
        names = sorted({f.image for f in report.findings if f.image})
        report = replace(report, probe=made_up_probe(names))
    write_page(report, str(page), str(page.parent / "crops"))

    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        rounds = [one_round(browser, page, args.probe) for _ in range(args.rounds)]
        print(f"{machine()}; {versions('playwright')}, Chromium {browser.version}")
        browser.close()
    print(
        f"{len(report.findings):,} findings, page {page.stat().st_size / 1e6:.1f} MB, {args.rounds} rounds\n"
    )
    rows = [
        [name, *(f"{f([r[name] for r in rounds]):.0f}" for f in (median, min, max))] for name in rounds[0]
    ]
    print(table(["", "median", "least", "most"], rows))


def made_up_probe(names: Sequence[str]) -> dict[str, Any]:
    """As many images and steps as a page holds, with norms of every size; images beyond the names have no file."""
    random = np.random.default_rng(20_261_125)
    of_images = [*names[:MAX_IMAGES], *(f"images/train/other{n}.jpg" for n in range(MAX_IMAGES - len(names)))]
    norms = np.exp(random.normal(3, 1, MAX_IMAGES))
    images = [
        {
            "image": name, "label": name.replace("images", "labels").replace(".jpg", ".txt"), "boxes": n % 40,
            "box_loss": 1.5, "cls_loss": 2.5, "dfl_loss": 1.25, "grad_norm": float(f"{norms[n]:.5g}"),
            "norm_z": float(f"{np.log(norms[n]) - 3:.5g}"), "share": 0.0123, "background_share": 0.0045,
            "background_x": 0.525, "background_y": 0.4125, "score_combined": float(MAX_IMAGES - n),
            "reasons": "the model does not stand behind line 1 (4.2 z); no predicted box fits line 2 (3.1 z)",
            "lines": [{"line": k, "score": 5.0 - k, "share": 0.001 * k, "weight": 1.0} for k in range(1, 9)],
        }
        for n, name in enumerate(of_images)
    ]  # fmt: skip
    steps = [
        {
            "step": n, "loss": 12.345, "grad_norm": float(f"{np.exp(random.standard_t(3)):.5g}"),
            "clip_coefficient": 0.98765, "lr": 0.0012345, "skipped": 0,
            "images": [of_images[k] for k in random.integers(MAX_IMAGES, size=IMAGES_OF_A_STEP)],
        }
        for n in range(MAX_STEPS)
    ]  # fmt: skip
    return {"imgsz": 640, "steps": steps, "images": images}


def one_round(browser: Browser, path: Path, with_probe: bool) -> dict[str, float]:
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
    if with_probe:
        measured["pick a step of the probe, ms"] = float(page.evaluate(PICKED))
        measured["a move over its images, ms"] = float(page.evaluate(HOVERED))
    measured["cards in the document"] = float(page.locator(".card").count())
    context.close()
    return measured


def navigation_ms(page: Page) -> float:
    """From the start of the navigation to the end of DOMContentLoaded."""
    return float(page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"))


if __name__ == "__main__":
    main()
