"""The guide: built from its pages and from the rules, then opened as a reader opens it."""

from __future__ import annotations

import html
import os
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import pytest

from sanitizer.rules.language.pack import load_rules

if TYPE_CHECKING:
    from html_pages import Opener

ROOT = Path(__file__).parents[2]
MISSING = [name for name in ("mkdocs", "material", "mkdocstrings") if find_spec(name) is None]

pytestmark = [
    pytest.mark.docs,
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)} (the docs extra)"),
]


class Page(HTMLParser):
    """Links, ids and text of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.text = path, ""
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value for key, value in attrs if key in ("href", "src") and value and tag != "base"]
        self.ids |= {value for key, value in attrs if key == "id" and value}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built guide."""
    folder = tmp_path_factory.mktemp("guide")
    config = ROOT / "scripts" / "docs" / "mkdocs.yml"
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict"]
    built = subprocess.run(
        [*command, "--config-file", str(config), "--site-dir", str(folder)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}


def test_every_link_leads_to_a_file_and_to_a_place_in_it(site: Path, pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target = urlsplit(link)
            if target.scheme in ("http", "https", "data", "mailto"):
                continue
            file = (path.parent / unquote(target.path)).resolve() if target.path else path
            anchors = pages[file].ids if file in pages else None
            if not file.is_file() or (
                target.fragment and anchors and unquote(target.fragment) not in anchors
            ):
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    loads = [f"{tag} {kind}" for tag in ("script", "img", "iframe") for kind in ('src="http', 'src="//')]
    for path in site.rglob("*.html"):
        text = path.read_text("utf-8")
        assert not [load for load in loads if f"<{load}" in text], path
        assert 'rel="preconnect"' not in text, path


def test_every_rule_has_a_page_with_its_words_and_examples(site: Path) -> None:
    index = Page(site / "rules" / "index.html")
    for rule in load_rules().values():
        assert f"{rule.code}.html" in index.links
        page = Page(site / "rules" / f"{rule.code}.html")
        assert rule.name in page.text
        shown = _shown(page.text)
        for part in (rule.why, rule.training_note):
            assert _shown(part) in shown, (rule.code, part)
        for example in (e for kind in ("bad", "good") for e in rule.examples[kind]):
            for key in ("about", "rows", "recipe"):
                assert _shown(example.get(key)) in shown, (rule.code, example)


def _shown(text: str | None) -> str:
    """Letters and digits in order: what Markdown may not change."""
    return "".join(c for c in html.unescape(text or "") if c.isalnum())


def test_the_python_page_has_the_public_names(site: Path) -> None:
    page = Page(site / "api.html")
    names = ("scan", "Report", "fix", "undo", "probe", "attach", "ClippedTrainer")
    assert [name for name in names if not any(i.split(".")[-1] == name for i in page.ids)] == []
    assert "Report.to_frame" in " ".join(page.ids)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["index.html", "rules/B001.html", "api.html"])
def test_a_page_opens_from_disk_without_error_or_network(site: Path, open_page: Opener, name: str) -> None:
    page = open_page(site / name)
    assert page.locator("h1").first.is_visible()
    assert page.locator("nav a").count() > 10
