"""Model files that would run code, download, fill the memory or wait for ever, if they were loaded or built."""

from __future__ import annotations

import copy
import io
import os
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from ultralytics.nn import modules
from ultralytics.nn.distill_model import DistillationModel
from ultralytics.nn.tasks import DetectionModel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RUN = "__import__('os').system('touch HARM')"
SMALL_YAML = """\
nc: 2
backbone:
  - [-1, 1, Conv, [8, 3, 2]]
  - [-1, 1, Conv, [16, 3, 2]]
head:
  - [-1, 1, Conv, [16, 3, 2]]
  - [[2], 1, Detect, [nc]]
"""


def small_model() -> Any:
    """A tiny model as Ultralytics would save it."""
    import yaml

    return DetectionModel(yaml.safe_load(SMALL_YAML), ch=3, verbose=False)


def save_checkpoint(path: Path, arguments: dict[str, Any]) -> None:
    """Save an ordinary checkpoint of a run with these train arguments."""
    torch.save({"ema": small_model().half(), "model": None, "train_args": arguments}, path)


class Calls:
    """Pickled as the call of a function."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def _with_yaml(**keys: Any) -> dict[str, Any]:
    model = small_model()
    model.yaml = {**copy.deepcopy(model.yaml), **keys}
    return {"model": model}


def _with_attribute(name: str, value: Any) -> dict[str, Any]:
    model = small_model()
    model.__dict__[name] = value
    return {"model": model}


def _with_hook() -> dict[str, Any]:
    model = small_model()
    model._state_dict_hooks[0] = nn.Identity()
    return {"model": model}


def _layers(*rows: Any) -> dict[str, Any]:
    return _with_yaml(backbone=list(rows))


CHECKPOINTS: dict[str, tuple[Callable[[], Any], str]] = {
    "activation": (lambda: _with_yaml(activation=f"({RUN}, torch.nn.SiLU())[1]"), "activation: "),
    "module": (lambda: _layers([-1, 1, "YAML", [8]]), "there is no layer 'YAML'"),
    "torch-module": (lambda: _layers([-1, 1, "nn.Module", [8]]), "there is no layer 'nn.Module'"),
    "variable": (lambda: _layers([-1, 1, "Conv", ["layers"]]), "the argument 'layers' is no number"),
    "download-by-layer": (
        lambda: _layers([-1, 1, "TorchVision", [512, "resnet18"]]),
        "would download weights",
    ),
    "huge-repeats": (lambda: _layers([-1, 10**9, "C2f", [8]]), "repeats: 1000000000 is no whole number"),
    "called-os": (lambda: {"model": Calls(os.system, "touch HARM")}, "posix.system"),
    "called-layer": (lambda: {"model": Calls(modules.block.TorchVision, "resnet18")}, "TorchVision"),
    "called-model": (lambda: {"model": Calls(DetectionModel, "http://127.0.0.1:9/x.yaml")}, "DetectionModel"),
    "called-distillation": (
        lambda: {"model": Calls(DistillationModel, "http://127.0.0.1:9/x.pt", None)},
        "DistillationModel",
    ),
    "hook": (_with_hook, "hooks"),
    "method": (lambda: _with_attribute("state_dict", nn.Identity()), "in place of its method state_dict"),
    "method-below": (
        lambda: {"model": small_model(), "train_args": [_with_attribute("float", nn.Identity())]},
        "in place of its method float",
    ),
    "class-kept": (lambda: _with_attribute("kept", modules.block.Bottleneck), "keeps the class"),
    "modelopt": (lambda: {"model": small_model(), "modelopt": {"x": 1}}, "modelopt"),
}
"""Name to what is saved, and what the sentence about it says."""


def write_checkpoints(folder: Path) -> dict[str, str]:
    """Save all of them; name to what is said."""
    for name, (make, _) in CHECKPOINTS.items():
        torch.save(make(), folder / f"{name}.pt")
    return {f"{name}.pt": said for name, (_, said) in CHECKPOINTS.items()}


def write_broken_archives(folder: Path) -> dict[str, str]:
    """Files that only look like a checkpoint; name to what is said."""
    harm = pickle.dumps(Calls(os.system, "touch HARM"), 2)
    torch.save(
        {"model": Calls(os.system, "touch HARM")}, folder / "old.pt", _use_new_zipfile_serialization=False
    )
    whole = io.BytesIO()
    torch.save({"model": small_model()}, whole)
    (folder / "two-formats.pt").write_bytes(harm + whole.getvalue())
    torch.jit.script(nn.Identity()).save(str(folder / "script.pt"))
    os.mkfifo(folder / "fifo.pt")
    os.mkfifo(folder / "fifo.yaml")
    (folder / "device.pt").symlink_to("/dev/urandom")
    (folder / "device.yaml").symlink_to("/dev/urandom")
    with zipfile.ZipFile(folder / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x/data.pkl", "w", force_zip64=True) as member:
            for _ in range(300):
                member.write(bytes(1 << 20))
        archive.writestr("x/version", "3\n")
    _archive(folder / "marks.pt", b"\x80\x02" + b"}" * 3_000_000 + b".")
    _archive(folder / "not-stored.pt", _tensor_pickle((1 << 40,), (0,)))
    (folder / "empty.pt").write_bytes(b"")
    (folder / "folder.pt").mkdir()
    unread = "no checkpoint that can be read"
    return {
        "old.pt": unread,
        "two-formats.pt": unread,
        "script.pt": "TorchScript",
        "fifo.pt": "no regular file",
        "fifo.yaml": "no regular file",
        "device.pt": "no regular file",
        "device.yaml": "no regular file",
        "bomb.pt": "its members are larger than the file",
        "marks.pt": "more than 2,000,000 steps",
        "not-stored.pt": "more numbers than are stored",
        "empty.pt": unread,
        "folder.pt": "no regular file",
    }


def _archive(path: Path, data: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/data.pkl", data)
        archive.writestr("x/version", "3\n")
        archive.writestr("x/byteorder", "little")
        archive.writestr("x/data/0", bytes(64))


def _tensor_pickle(size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A pickle of a single tensor over 16 numbers."""
    buffer = io.BytesIO()
    torch.save({"x": torch.zeros(16)}, buffer)
    with zipfile.ZipFile(buffer) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("data.pkl")))
    # (16,), (1,) as PyTorch writes them
    old = pickle.dumps(16, 2)[2:-1] + b"\x85", pickle.dumps(1, 2)[2:-1] + b"\x85"
    new = pickle.dumps(size[0], 2)[2:-1] + b"\x85", pickle.dumps(stride[0], 2)[2:-1] + b"\x85"
    assert old[0] in data and old[1] in data
    return data.replace(old[0], new[0]).replace(old[1], new[1])


YAMLS: dict[str, tuple[str, str]] = {
    "activation": (f"activation: \"({RUN}, torch.nn.SiLU())[1]\"\n" + SMALL_YAML, "activation: "),
    "lambda": ('activation: "nn.SiLU(*[].append(1))"\n' + SMALL_YAML, "activation: "),
    "class": ('activation: "nn.Module()"\n' + SMALL_YAML, "activation: "),
    "argument": (SMALL_YAML.replace("[8, 3, 2]", f'[8, "{RUN}"]'), "backbone layer 0, Conv"),
    "download": (SMALL_YAML.replace("Conv, [8, 3, 2]", "TorchVision, [8, resnet18, DEFAULT]"), "download"),
    "module": (SMALL_YAML.replace("Conv, [8", "torchvision.ops.MLP, [8"), "there is no layer"),
    "global": (SMALL_YAML.replace("Conv, [8", "load_checkpoint, [8"), "there is no layer 'load_checkpoint'"),
    "nc": (SMALL_YAML.replace("nc: 2", "nc: 1000000000"), "nc: 1000000000 is no whole number"),
    "nc-text": (SMALL_YAML.replace("nc: 2", "nc: two"), "nc: 'two' is no whole number"),
    "wide": (SMALL_YAML.replace("[8, 3, 2]", "[60000, 3, 2]").replace("[16", "[60000"), "million|parameters"),
    "wide-by-scale": (SMALL_YAML + "scales: {n: [1, 1.0e+9, 1024]}\n", "scales, n: "),
    "deep-by-scale": (SMALL_YAML + "scales: {n: [.inf, 1, 1024]}\n", "scales, n: "),
    "kernel": (SMALL_YAML.replace("[8, 3, 2]", "[8, 60001, 2]"), "parameters|built"),
    "repeats": (SMALL_YAML.replace("-1, 1, Conv, [8", "-1, 99999, Conv, [8"), "repeats"),
    "modules": (SMALL_YAML.replace("Conv, [8, 3, 2]", "RepNCSPELAN4, [8, 8, 8, 60000]"), "modules"),
    "attention": (SMALL_YAML.replace("Conv, [8, 3, 2]", "A2C2f, [64, True, 1]"), "gigabytes"),
    "upsample": (SMALL_YAML.replace("Conv, [8, 3, 2]", "nn.Upsample, [None, 4096, nearest]"), "gigabytes"),
    "aliases": ("a: &a [1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{y}: &{y} [{','.join('*' + x for _ in range(9))}]\n" for x, y in zip("abcdefgh", "bcdefghi", strict=True)
    ) + SMALL_YAML, "more than 20,000 values"),
    "nested": ("x: " + "[" * 100_000 + "\n", "nested"),
    "cycle": ("x: &x [*x]\n" + SMALL_YAML, "values"),
    "tag": ("x: !!python/object/apply:os.system ['touch HARM']\n" + SMALL_YAML, "no model yaml"),
    "large": ("# " + "x" * (2 << 20) + "\n" + SMALL_YAML, "larger than the limit"),
    "list": ("[1, 2]\n", "a model is a mapping"),
    "empty": ("", "a model is a mapping"),
    "rows": ("backbone: 1\nhead: []\n", "backbone: is missing"),
    "row": ("nc: 1\nbackbone: [[1, 2]]\nhead: []\n", "is no [from, repeats, module, arguments]"),
    "text-model": (SMALL_YAML + "text_model: http://127.0.0.1:9/x\n", "text_model: "),
}  # fmt: skip
"""Name to text of a model yaml, and what is said of it (alternatives by |)."""


def write_yamls(folder: Path) -> dict[str, str]:
    """Write all of them; name to what is said."""
    for name, (text, _) in YAMLS.items():
        (folder / f"{name}.yaml").write_text(text)
    return {f"{name}.yaml": said for name, (_, said) in YAMLS.items()}
