"""Model yamls: those that only describe a model are built, all others are refused in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")

import ultralytics  # noqa: E402
from hostile_models import SMALL_YAML, YAMLS, write_yamls  # noqa: E402
from ultralytics.nn.modules import Conv  # noqa: E402

from sanitizer.dataset.tables import TaskSpec  # noqa: E402
from sanitizer.ultra.adapter.families import TASK_OF_HEAD, head_of  # noqa: E402
from sanitizer.ultra.model import ModelError, build_model, check_model_file  # noqa: E402
from sanitizer.ultra.model_size import check_size  # noqa: E402
from sanitizer.ultra.model_yaml import check_model_yaml, is_activation, read_model_yaml  # noqa: E402

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.probe

MODELS = Path(ultralytics.__file__).parent / "cfg" / "models"
PUBLISHED = sorted(MODELS.rglob("*.yaml"))
SPEC = TaskSpec("detect", 2, {0: "a", 1: "b"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_every_published_model_passes_but_those_that_download(path: Path) -> None:
    config = yaml.safe_load(path.read_text())
    if "TorchVision" in path.read_text():
        with pytest.raises(ModelError, match="would download weights"):
            check_model_yaml(config, path.name)
    else:
        check_model_yaml(config, path.name)


@pytest.mark.slow
@pytest.mark.parametrize("path", PUBLISHED, ids=lambda p: p.stem)
def test_the_largest_published_scale_is_within_the_limits(path: Path) -> None:
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    text = path.read_text()
    if head_of(config) not in TASK_OF_HEAD:
        pytest.skip("no model of a task that is probed")
    assert "TorchVision" not in text
    check_size(config | {"scale": list(config.get("scales") or [""])[-1]})


@pytest.mark.parametrize("name", YAMLS)
def test_hostile_yamls_are_refused_in_a_sentence(name: str, folder: Path) -> None:
    said = write_yamls(folder)[f"{name}.yaml"]
    activation = Conv.default_act
    with pytest.raises(ModelError) as refused:
        build_model(f"{name}.yaml", SPEC)
    sentence = str(refused.value)
    assert sentence.startswith(f"{name}.yaml: ")
    assert any(part in sentence for part in said.split("|")), sentence
    assert len(sentence) < 400
    assert "\n" not in sentence
    assert not (folder / "HARM").exists()
    assert Conv.default_act is activation, "and no other model is built otherwise because of it"
    with pytest.raises(ModelError):
        check_model_file(f"{name}.yaml")


@pytest.mark.parametrize(
    "change",
    [
        ("nc: 2", "nc: 2\nactivation: torch.nn.LeakyReLU(0.1, inplace=True)"),
        ("nc: 2", "nc: 2\nactivation: nn.Hardtanh(-1.0, +1.0)"),
        ("nc: 2", "nc: 2\nauthor: somebody\nanchors: [1, 2.5, null]"),
        ("[8, 3, 2]", "['8', '3', 2, None, 1, 1, True]"),
        ("-1, 1, Conv, [16, 3, 2]]\nhead", "-1, 1, nn.MaxPool2d, [2]]\nhead"),
        ("Conv, [8, 3, 2]", "TorchVision, [512, resnet18, null, true, 2]"),
    ],
)
def test_what_only_describes_a_model_is_built(change: tuple[str, str], folder: Path) -> None:
    (folder / "own.yaml").write_text(SMALL_YAML.replace(*change))
    assert build_model("own.yaml", SPEC).model[-1].nc == 2


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("nn.SiLU()", True),
        (" torch.nn.ReLU() ", True),
        ("nn.GELU('tanh')", True),
        ("nn.PReLU(num_parameters=1)", True),
        ("nn.SiLU", False),
        ("SiLU()", False),
        ("nn.SiLU()()", False),
        ("nn.Linear(3, 3)", False),
        ("nn.PReLU(10**9)", False),
        ("nn.PReLU(999999999)", False),
        ("nn.functional.silu()", False),
        ("nn.SiLU(**{})", False),
        ("nn.SiLU(*[])", False),
        ("nn.SiLU(x := 1)", False),
        ("nn.SiLU(open('x', 'w'))", False),
        ("nn.SiLU() if 1 else 2", False),
        ("torch.hub.nn.SiLU()", False),
        ("f().nn.SiLU()", False),
        ("nn.SiLU()\nimport os", False),
        ("(" * 90, False),
        ("nn.SiLU(" + "1," * 100 + ")", False),
        ("\0", False),
    ],
)
def test_an_activation_is_a_known_one_with_plain_arguments(text: str, harmless: bool) -> None:
    assert is_activation(text) is harmless


@pytest.mark.parametrize(
    ("name", "scale"),
    [("yolov8n.yaml", "n"), ("yolo11x-seg.yaml", "x"), ("yolov8s6.yaml", "s"), ("yolov5nu.yaml", "n")],
)
def test_names_that_ultralytics_knows_are_found(name: str, scale: str) -> None:
    config = read_model_yaml(name)
    assert config["scale"] == scale
    assert config["scales"]


def test_nothing_is_downloaded() -> None:
    for name in ("http://127.0.0.1:9/x.yaml", "ul://me/project/x.yaml", "gone.yaml"):
        with pytest.raises(ModelError, match=r"nothing is downloaded|no such file"):
            read_model_yaml(name)


def test_a_value_of_another_kind_is_refused() -> None:
    config = yaml.safe_load(SMALL_YAML)
    for wrong in (object(), {1, 2}, b"x", float("nan")):
        with pytest.raises(ModelError, match=r"m\.yaml: "):
            check_model_yaml(config | {"nc": wrong}, "m.yaml")
