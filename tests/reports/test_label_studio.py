"""Tasks for Label Studio: their geometry by the formulas of Label Studio, and that the real one takes them."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from annotation_samples import IMAGES, ROWS, make
from report_samples import finding

from sanitizer.reports.annotators.flagged import ExportError, Flagged
from sanitizer.reports.annotators.label_studio import write

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.findings.report import Report


def tasks_of(report: Report, folder: Path, images_url: str | None = None) -> list[dict[str, Any]]:
    write(Flagged.of(report), str(folder / "tasks.json"), images_url)
    tasks: list[dict[str, Any]] = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    return tasks


def regions(task: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {r["id"]: r for r in task["predictions"][0]["result"]}


def corners_px(region: dict[str, Any]) -> np.ndarray:
    """Corners of a rectangle, as Label Studio's own converter computes them: turned about the upper left one."""
    value, width, height = region["value"], region["original_width"], region["original_height"]
    x, y = value["x"] / 100 * width, value["y"] / 100 * height
    w, h = value["width"] / 100 * width, value["height"] / 100 * height
    cos, sin = math.cos(math.radians(value["rotation"])), math.sin(math.radians(value["rotation"]))
    return np.array(
        [(x, y), (x + w * cos, y + w * sin), (x + w * cos - h * sin, y + w * sin + h * cos), (x - h * sin, y + h * cos)]
    )  # fmt: skip


def same_points(a: np.ndarray, b: np.ndarray, within_px: float) -> bool:
    distances = np.linalg.norm(a[:, None] - b[None], axis=2)
    return bool(distances.min(axis=0).max() <= within_px and distances.min(axis=1).max() <= within_px)


def test_one_task_an_image_with_size_and_notes(tmp_path: Path) -> None:
    tasks = tasks_of(make(tmp_path / "set", "detect"), tmp_path)
    assert [task["data"]["file"] for task in tasks] == sorted(f"images/{name}" for name in IMAGES)
    for task in tasks:
        notes = task["data"]["findings"].split("\n")
        assert notes == ["I006 training would rewrite this file", "line 1: B001 box is <b>thin</b> & long"]
        first = regions(task)["line1"]
        assert first["meta"]["text"] == ["B001 box is <b>thin</b> & long"]
        size = IMAGES[task["data"]["file"].removeprefix("images/")]
        assert (first["original_width"], first["original_height"]) == size
        assert first["value"] == {
            "x": 37.5, "y": 25.0, "width": 25.0, "height": 50.0, "rotation": 0,
            "rectanglelabels": ["<script>alert(1)</script>"],
        }  # fmt: skip


def test_what_lies_outside_is_clipped_and_says_so(tmp_path: Path) -> None:
    task = tasks_of(make(tmp_path / "set", "detect"), tmp_path)[0]
    found = regions(task)
    assert found["line2"]["value"] | {"rectanglelabels": 0} == {
        "x": 80.0, "y": 40.0, "width": 20.0, "height": 20.0, "rotation": 0, "rectanglelabels": 0,
    }  # fmt: skip
    assert found["line2"]["meta"]["text"] == ["(drawn clipped to the image)"]
    assert "meta" not in found["line3"]
    assert found["line5"]["type"] == "polygonlabels"
    assert not {"line6", "line7"} & found.keys()  # no row at all, and nothing of it inside


def test_every_label_used_is_in_the_configuration_and_no_dollar_names_a_field(tmp_path: Path) -> None:
    tasks = tasks_of(make(tmp_path / "set", "detect"), tmp_path)
    config = ElementTree.parse(tmp_path / "tasks.xml")
    offered = {label.get("value") for label in config.iterfind(".//RectangleLabels/Label")}
    assert offered == {"<script>alert(1)</script>", 'K&D "Straße"', "＄findings", "class 7"}
    used = {v for t in tasks for r in regions(t).values() for v in r["value"].get("rectanglelabels", ())}
    assert used <= offered


def test_two_classes_of_one_name_stay_apart(tmp_path: Path) -> None:
    report = replace(make(tmp_path / "set", "detect"), names={0: "ship", 1: "ship", 2: ""})
    labels = Flagged.of(report).labels
    assert [labels.of(c) for c in (0, 1, 2, 2.5)] == ["ship", "ship (class 1)", "class 2", "class 2.5"]


@pytest.mark.parametrize("angle_deg", [0, 30, 90, 133, 215, 300])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_oriented_box_keeps_its_corners(tmp_path: Path, angle_deg: float, mirrored: bool) -> None:
    report = make(tmp_path / "set", "obb")
    width, height = IMAGES["zwölf.jpg"]
    turn = np.array([[math.cos(a := math.radians(angle_deg)), -math.sin(a)], [math.sin(a), math.cos(a)]])
    corners = np.array([[-40, -10], [40, -10], [40, 10], [-40, 10]]) @ turn.T + [50, 150]
    written = corners[::-1] if mirrored else corners
    row = " ".join(f"{x / width:.9f} {y / height:.9f}" for x, y in written)
    (tmp_path / "set/labels/zwölf.txt").write_text(f"0 {row}\n")
    task = next(t for t in tasks_of(report, tmp_path) if t["data"]["file"].endswith("zwölf.jpg"))
    region = regions(task)["line1"]
    assert region["type"] == "rectanglelabels"
    assert max(region["value"][side] for side in ("x", "y", "width", "height")) <= 100
    assert same_points(corners_px(region), corners, within_px=0.01)


def test_four_corners_that_are_no_rectangle_stay_a_polygon(tmp_path: Path) -> None:
    task = tasks_of(make(tmp_path / "set", "obb"), tmp_path)[0]
    assert regions(task)["line1"]["type"] == "rectanglelabels"
    assert regions(task)["line2"]["value"]["points"] == [[10, 10], [50, 20], [40, 60], [30, 90]]


def test_keypoints_belong_to_their_box_and_unlabelled_ones_are_left_out(tmp_path: Path) -> None:
    found = regions(tasks_of(make(tmp_path / "set", "pose"), tmp_path)[0])
    assert list(found) == ["line1", "line1-1", "line1-2", "line2"]
    assert found["line1-1"]["parentID"] == "line1"
    assert (found["line1-2"]["value"]["x"], found["line1-2"]["meta"]["text"]) == (60.0, ["hidden"])
    assert found["line1-2"]["value"]["keypointlabels"] == ["keypoint 2"]


def test_polygons_are_percent_of_the_image(tmp_path: Path) -> None:
    found = regions(tasks_of(make(tmp_path / "set", "segment"), tmp_path)[0])
    assert found["line1"]["value"]["points"] == [[10, 10], [90, 10], [50, 90]]
    assert found["line2"]["value"]["points"][1] == [100, 20]


def test_addresses_of_images(tmp_path: Path) -> None:
    report = make(tmp_path / "my set", "detect")
    first = tasks_of(report, tmp_path)[0]["data"]["image"]
    assert first == "/data/local-files/?d=my%20set/images/a%20%26%20%3Cb%3E.png"
    first = tasks_of(report, tmp_path, "https://example.org/ships/")[0]["data"]["image"]
    assert first == "https://example.org/ships/images/a%20%26%20%3Cb%3E.png"


def test_images_outside_the_root_have_a_local_address_and_none_below_a_prefix(tmp_path: Path) -> None:
    report = make(tmp_path / "set", "detect")
    (tmp_path / "other").mkdir()
    shutil.copy(tmp_path / "set/images/zwölf.jpg", tmp_path / "other/z.jpg")
    report = replace(report, findings=[finding("I006", "m", image="../other/z.jpg"), *report.findings])
    local = tasks_of(report, tmp_path)[0]["data"]["image"]
    assert local == f"/data/local-files/?d={tmp_path.name}/other/z.jpg"
    exported = write(Flagged.of(report), str(tmp_path / "t.json"), "https://example.org/")
    assert exported.images == len(IMAGES)
    assert [s.partition(":")[0] for s in exported.left_out] == ["../other/z.jpg"]


def test_images_of_unknown_size_are_left_out_by_name(tmp_path: Path) -> None:
    report = make(tmp_path / "set", "detect")
    (tmp_path / "set/images/a & <b>.png").write_bytes(b"no picture")
    (tmp_path / "set/images/zwölf.jpg").unlink()
    exported = write(Flagged.of(report), str(tmp_path / "t.json"))
    assert exported.images == 1
    assert [s.partition(":")[0] for s in exported.left_out] == ["images/a & <b>.png", "images/zwölf.jpg"]


def test_nothing_is_written_where_no_image_can_be_read(tmp_path: Path) -> None:
    report = replace(make(tmp_path / "set", "detect"), root=str(tmp_path))
    with pytest.raises(ExportError, match="none of the 3 images with findings can be read below"):
        write(Flagged.of(report), str(tmp_path / "t.json"))
    assert sorted(os.listdir(tmp_path)) == ["set"]


# --- the real Label Studio ----------------------------------------------------------------------------------

TOKEN = "0123456789abcdef0123456789abcdef01234567"
STARTS_WITHIN_S = 300


@dataclass(frozen=True)
class Server:
    """A running Label Studio."""

    url: str
    served_folder: Path

    def get(self, path: str) -> bytes:
        return self._send("GET", path, None)

    def call(self, method: str, path: str, content: object = None) -> Any:
        return json.loads(self._send(method, path, content))

    def _send(self, method: str, path: str, content: object) -> bytes:
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Authorization", f"Token {TOKEN}")
        if content is not None:
            request.data = json.dumps(content).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read()[:2000]!r}") from error


def label_studio_executable() -> str:
    named = os.environ.get("SANITIZE_LABEL_STUDIO")
    own = Path(__file__).parents[2] / ".venv-label-studio" / "bin" / "label-studio"
    found = named or (str(own) if own.exists() else shutil.which("label-studio"))
    if not found:
        pytest.skip("no label-studio found (set SANITIZE_LABEL_STUDIO, or run scripts/exports)")
    return found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Label Studio on a free port of the loopback device, with a home of its own, and told to call nobody."""
    executable = label_studio_executable()
    home, served = tmp_path_factory.mktemp("label-studio"), tmp_path_factory.mktemp("served")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    environment = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ} | {
        "HOME": str(home),
        "LABEL_STUDIO_BASE_DATA_DIR": str(home / "data"),
        "LOCAL_FILES_SERVING_ENABLED": "true",
        "LOCAL_FILES_DOCUMENT_ROOT": str(served),
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
        "FEATURE_FLAGS_OFFLINE": "true",
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        # Whatever is tried all the same ends at a port that nobody listens on.
        "HTTP_PROXY": "http://127.0.0.1:9",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1,localhost",
    }
    command = [
        executable, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port), "--init",
        "--username", "a@example.org", "--password", "not-a-secret", "--user-token", TOKEN,
        "--enable-legacy-api-token",
    ]  # fmt: skip
    with open(home / "log", "wb") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True
        )
    running = Server(f"http://127.0.0.1:{port}", served)
    try:
        wait_for(running, process, home / "log")
        yield running
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            server.get("/health")
            return
        except (OSError, AssertionError):
            time.sleep(0.5)
    pytest.fail(f"Label Studio did not start:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.mark.slow
@pytest.mark.label_studio
@pytest.mark.parametrize("task", ROWS)
def test_label_studio_takes_the_tasks_and_serves_the_images(server: Server, task: str) -> None:
    folder = server.served_folder / task
    report = make(folder, task)
    out = server.served_folder.parent / f"out-{task}"
    out.mkdir(exist_ok=True)
    tasks = tasks_of(report, out)
    config = (out / "tasks.xml").read_text(encoding="utf-8")
    project = server.call("POST", "/api/projects", {"title": task, "label_config": config})["id"]
    server.call(
        "POST", "/api/storages/localfiles", {"project": project, "path": str(folder), "use_blob_urls": True}
    )
    answer = server.call("POST", f"/api/projects/{project}/import", tasks)
    assert (answer["task_count"], answer["prediction_count"]) == (len(tasks), len(tasks))

    listed = server.call("GET", f"/api/tasks?project={project}&fields=all&page_size=100")["tasks"]
    stored = {t["data"]["file"]: server.call("GET", f"/api/tasks/{t['id']}") for t in listed}
    assert stored.keys() == {t["data"]["file"] for t in tasks}
    for sent in tasks:
        got = stored[sent["data"]["file"]]
        assert got["data"] == sent["data"]
        assert [p["result"] for p in got["predictions"]] == [p["result"] for p in sent["predictions"]]
        assert server.get(got["data"]["image"]) == (folder / sent["data"]["file"]).read_bytes()
