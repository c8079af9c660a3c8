"""What training would run or fetch because of `download:` in a data.yaml (D004). Nothing is run here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanitizer.dataset.tables import dataset_fault
from sanitizer.findings.finding import Severity
from sanitizer.util.paths import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.tables import DatasetFault

_ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".bz2", ".txz", ".tbz2")


def check_download(document: DataYaml, val_missing: bool) -> Iterator[DatasetFault]:
    """At most one fault: `download:` is not empty. `val_missing`: training would use it on this machine now."""
    value = document.data.get("download")
    if not value:
        return
    when = (
        "the val images are missing, so training would"
        if val_missing
        else "if the val images were missing, training would"
    )
    line = document.line("download")
    if not isinstance(value, str):
        detail = f"`download:` is a {type(value).__name__}, not text: {when} stop here"
        yield dataset_fault(
            "D004", detail, "Remove `download:`.", Severity.ERROR, file=document.path, line=line
        )
        return
    first = shown(value.strip().splitlines()[0] if value.strip() else "")
    first = first if len(first) <= 80 else f"{first[:80]}…"
    bare = value.lower().partition("?")[0]
    advice = "Remove `download:` and fetch the images yourself."
    if value.lower().startswith("http") and bare.endswith(_ARCHIVES):
        detail = f"`download: {first}`: {when} fetch and unpack this archive"
        yield dataset_fault("D004", detail, advice, Severity.WARNING, file=document.path, line=line)
        return
    if value.lower().startswith("http") and len(value.split()) == 1:
        detail = f"`download: {first}` is a URL but not of an archive: {when} try to run it as Python code"
        yield dataset_fault("D004", detail, advice, Severity.WARNING, file=document.path, line=line)
        return
    kind = "run the command" if value.startswith("bash ") else "run this Python code with exec():"
    detail = f"`download:` carries code: {when} {kind} `{first}`"
    yield dataset_fault(
        "D004", detail, f"{advice} Read the code first.", Severity.ERROR, file=document.path, line=line
    )
