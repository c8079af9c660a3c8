"""The hooks as pre-commit runs them: installed from a clone of this repository into an environment of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
HOOKS = {hook["id"]: hook for hook in yaml.safe_load((REPOSITORY / ".pre-commit-hooks.yaml").read_text())}

GOOD = "0 0.5 0.5 0.4 0.3\n"
BAD = "0 0.5 0.5 0.4 0.3\n0 0.5 0.5 nan 0.3\n"
YAML = "train: images/train\nval: images/val\nnames: [ship]\n"


@pytest.mark.parametrize(
    ("path", "checked"),
    [
        ("labels/train/a.txt", True),
        ("data/ships/labels/a.txt", True),
        ("data/ships/images/train/a.JPG", True),
        ("data/ships/images/train/a.jpg", True),
        ("images/a.tiff", True),
        ("requirements.txt", False),
        ("labels/readme.md", False),
        ("docs/screenshot.png", False),
        ("mylabels/a.txt", False),
    ],
)
def test_the_label_hook_is_called_for_labels_and_images(path: str, checked: bool) -> None:
    assert bool(re.search(HOOKS["sanitize-labels"]["files"], path)) is checked


def test_the_dataset_hook_is_told_the_dataset_by_its_arguments() -> None:
    hook = HOOKS["sanitize-dataset"]
    assert (hook["pass_filenames"], hook["args"]) == (False, ["data.yaml"])


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def hook_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables for pre-commit. Skips where pip cannot fetch what the hook's environment is made of."""
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    pytest.importorskip("pre_commit")
    target = tmp_path_factory.mktemp("reachable")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--dest",
        str(target),
        "hatchling",
    ]
    if subprocess.run(pip, capture_output=True, check=False).returncode:
        pytest.skip("pip cannot fetch packages here, and pre-commit builds an environment with it")
    return os.environ | {
        "PRE_COMMIT_HOME": str(tmp_path_factory.mktemp("pre-commit")),
        "GIT_CONFIG_NOSYSTEM": "1",
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this repository with what is not committed yet, committed."""
    clone = tmp_path_factory.mktemp("source") / "sanitize"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY, capture_output=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("this is no git checkout")
    for name in filter(None, os.fsdecode(listed.stdout).split("\0")):
        if (REPOSITORY / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, clone / name)
    git(clone, "init", "-q")
    git(clone, "add", "-A")
    git(clone, "commit", "-qm", "all")
    return clone


@pytest.fixture
def project(tmp_path: Path, source: Path) -> Path:
    """A user's repository: a small dataset, and both hooks configured."""
    revision = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=source, check=True, capture_output=True, text=True
    ).stdout.strip()
    config = {
        "repos": [
            {
                "repo": str(source),
                "rev": revision,
                "hooks": [{"id": "sanitize-labels"}, {"id": "sanitize-dataset", "args": ["ships/data.yaml"]}],
            }
        ]
    }
    folder = tmp_path / "project"
    for split in ("train", "val"):
        (folder / "ships" / "images" / split).mkdir(parents=True)
        (folder / "ships" / "labels" / split).mkdir(parents=True)
        write_image(folder / "ships" / "images" / split / "a.png", seed=len(split))
        (folder / "ships" / "labels" / split / "a.txt").write_text(GOOD)
    (folder / "ships" / "data.yaml").write_text(YAML)
    (folder / ".pre-commit-config.yaml").write_text(yaml.safe_dump(config))
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    return folder


def write_image(path: Path, seed: int) -> None:
    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(seed).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def run_hook(hook: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", "run", hook],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_hooks_pass_good_files_and_stop_bad_ones(project: Path, hook_environment: dict[str, str]) -> None:
    for hook in HOOKS:
        run = run_hook(hook, project, hook_environment)
        assert run.returncode == 0, run.stdout + run.stderr
        assert "Passed" in run.stdout

    label = project / "ships" / "labels" / "train" / "a.txt"
    label.write_text(BAD)
    git(project, "add", "-A")
    for hook in HOOKS:
        run = run_hook(hook, project, hook_environment)
        assert run.returncode == 1, run.stdout + run.stderr
        assert "labels/train/a.txt:2:11: L004 " in run.stdout
    assert label.read_text() == BAD


@pytest.mark.slow
def test_the_label_hook_is_not_called_for_other_files(
    project: Path, hook_environment: dict[str, str]
) -> None:
    git(project, "commit", "-qm", "dataset")
    (project / "requirements.txt").write_text("not a label\n")
    git(project, "add", "-A")
    run = run_hook("sanitize-labels", project, hook_environment)
    assert (run.returncode, "no files to check" in run.stdout) == (0, True), run.stdout + run.stderr
