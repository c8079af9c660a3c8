"""README and CONTRIBUTING: short, and true of the files and the output that they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sanitizer.cli import main

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"


@pytest.mark.parametrize(
    ("name", "most_lines"), [("README.md", 249), ("sanitizer/README.md", 89), (".github/CONTRIBUTING.md", 59)]
)
def test_it_is_short(name: str, most_lines: int) -> None:
    assert len((ROOT / name).read_text("utf-8").splitlines()) <= most_lines


@pytest.mark.parametrize("name", ["README.md", ".github/CONTRIBUTING.md", ".github/pull_request_template.md"])
def test_every_link_leads_to_a_file(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / name).read_text("utf-8"))
    missing = {link for link in links if not ((ROOT / name).parent / link).exists()}
    assert missing == set()


def test_contributing_names_only_what_exists() -> None:
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text("utf-8")
    names = re.findall(r"`(?:\./)?([\w.-]+(?:/[\w.-]+)*/(?:[\w.-]+)?|[\w-]+\.(?:md|toml|yml))`", text)
    assert len(names) > 10
    made = {"build/docs"}  # by scripts/docs/build
    assert [name for name in names if not (ROOT / name).exists() and name not in made] == []


def test_the_screen_in_the_readme_is_what_the_demo_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = README.read_text("utf-8").partition("$ sanitize demo\n")[2].partition("```")[0]
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    printed = _without_times(capsys.readouterr().out)
    missing = [line for line in _without_times(screen) if line not in ("…", "") and line not in printed]
    assert missing == []


def _without_times(text: str) -> list[str]:
    return re.sub(r"\d+\.\d+ s$", "TIME", text, flags=re.MULTILINE).splitlines()
