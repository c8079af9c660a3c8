"""Workflows, templates and changelog fragments: well formed, and true of what the package supports."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from example_files import image_bytes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable

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
    assert any('"$PROGRAM" scan --format github' in script for script in scripts)
    assert not any("${{" in script for script in scripts)


@pytest.fixture
def act(tmp_path: Path) -> Callable[[str, str], tuple[int, str, dict[str, str]]]:
    """Runs the action's last step in a folder with a small set: (exit status, what is printed, outputs)."""
    (tmp_path / "set/images").mkdir(parents=True)
    (tmp_path / "set/labels").mkdir()
    (tmp_path / "set/images/a b.png").write_bytes(image_bytes("64x48 seed=1", "a.png"))
    (tmp_path / "set/labels/a b.txt").write_text("0 0.5 0.5 1.4 0.2\n")
    (tmp_path / "set/data.yaml").write_text("train: images\nval: images\nnames: [x]\n")
    program = tmp_path / "sanitize"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m sanitizer "$@"\n')
    program.chmod(0o755)
    (script,) = [
        step["run"]
        for step in _load(GITHUB / "actions" / "sanitize" / "action.yml")["runs"]["steps"]
        if step.get("id") == "scan"
    ]
    outputs = tmp_path / "outputs"

    def run(paths: str, options: str) -> tuple[int, str, dict[str, str]]:
        outputs.write_text("")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "RUNNER_TEMP": str(tmp_path),
                "GITHUB_OUTPUT": str(outputs),
                "PROGRAM": str(program),
                "PATHS": paths,
                "OPTIONS": options,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        found = dict(line.split("=", 1) for line in outputs.read_text().splitlines())
        return done.returncode, done.stdout, found

    return run


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="stands in for GitHub's runner")
def test_the_action_annotates_and_tells_where_the_report_is(
    act: Callable[[str, str], tuple[int, str, dict[str, str]]],
) -> None:
    status, printed, outputs = act("set/labels/a b.txt\nset/data.yaml\n", "--select=B003\n--quiet")
    assert status == 1
    assert printed.startswith("::error file=set/labels/a b.txt,line=1,title=B003 out-of-range::width is 1.4")
    assert json.loads(Path(outputs["report"]).read_text())["findings"]
    assert act("set/data.yaml", "--fail-on=never")[0] == 0
    status, printed, outputs = act("nowhere/data.yaml", "--quiet")
    assert (status, outputs) == (2, {}), "not the report of the scan before"
    assert printed.startswith(
        "::error title=sanitize could not scan::sanitize scan: nowhere/data.yaml does not exist"
    )


def test_ci_runs_what_people_run() -> None:
    steps = _load(GITHUB / "workflows" / "ci.yml")["jobs"]["test"]["steps"]
    assert any(step.get("run") == "./.ci/run" for step in steps)


def test_other_systems_run_what_the_quick_tests_run() -> None:
    job = _load(GITHUB / "workflows" / "ci.yml")["jobs"]["systems"]
    (measured,) = re.findall(
        r'^MEASURED="(.*)"$', (ROOT / "scripts" / "test").read_text("utf-8"), re.MULTILINE
    )
    assert job["env"]["MEASURED"] == measured
    assert any('-m "not thorough and $MEASURED"' in step.get("run", "") for step in job["steps"])


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
