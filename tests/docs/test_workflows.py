"""Workflows, templates and changelog fragments: well formed, and true of what the package supports."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
FORMS = [p for p in sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) if p.name != "config.yml"]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _load(path: Path) -> dict[Any, Any]:
    return dict(yaml.safe_load(path.read_text("utf-8")))


@pytest.mark.parametrize("path", sorted((GITHUB / "workflows").glob("*.yml")), ids=lambda p: p.name)
def test_a_workflow_has_a_trigger_and_steps_that_run_or_use_something(path: Path) -> None:
    workflow = _load(path)
    assert workflow[True]  # YAML 1.1 reads the key `on` as true
    for job in workflow["jobs"].values():
        assert job["runs-on"] and job["timeout-minutes"]
        assert all(("run" in step) != ("uses" in step) for step in job["steps"])


def test_ci_runs_on_every_python_that_the_package_supports() -> None:
    project = PYPROJECT["project"]
    prefix = "Programming Language :: Python :: 3."
    supported = [f"3.{c.removeprefix(prefix)}" for c in project["classifiers"] if c.startswith(prefix)]
    matrix = _load(GITHUB / "workflows" / "ci.yml")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == supported
    assert project["requires-python"] == f">={supported[0]}"
    assert PYPROJECT["tool"]["ruff"]["target-version"] == "py" + supported[0].replace(".", "")


def test_the_action_pastes_no_input_into_a_script() -> None:
    action = _load(GITHUB / "actions" / "sanitize" / "action.yml")
    assert action["runs"]["using"] == "composite"
    scripts = [step["run"] for step in action["runs"]["steps"] if "run" in step]
    assert any("sanitize scan --format github" in script for script in scripts)
    assert not any("${{" in script for script in scripts)


def test_ci_runs_what_people_run() -> None:
    steps = _load(GITHUB / "workflows" / "ci.yml")["jobs"]["test"]["steps"]
    assert any(step.get("run") == "./.ci/run" for step in steps)


def test_a_release_is_made_by_a_tag_and_published_without_a_stored_secret() -> None:
    workflow = _load(GITHUB / "workflows" / "release.yml")
    assert workflow[True]["push"]["tags"] == ["v*"]
    assert workflow["jobs"]["publish"]["permissions"] == {"id-token": "write"}
    assert "secrets." not in (GITHUB / "workflows" / "release.yml").read_text("utf-8")


@pytest.mark.parametrize("path", FORMS, ids=lambda p: p.stem)
def test_an_issue_form_asks_for_something_and_its_fields_have_names_of_their_own(path: Path) -> None:
    form = _load(path)
    assert form["name"] and form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids)) > 0
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_every_changelog_fragment_has_a_kind_that_the_changelog_knows() -> None:
    kinds = "|".join(kind["directory"] for kind in PYPROJECT["tool"]["towncrier"]["type"])
    fragments = [path for path in (GITHUB / "changelog.d").iterdir() if path.name != ".gitignore"]
    wrong = [path.name for path in fragments if not re.fullmatch(rf"\+[a-z0-9-]+\.({kinds})\.md", path.name)]
    assert wrong == []
    assert [path.name for path in fragments if not path.read_text("utf-8").strip()] == []
