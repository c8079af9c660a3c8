"""The task that a data.yaml declares, and a refusal in one sentence of what is not judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sanitizer.dataset.model import DatasetError
from sanitizer.dataset.tables import LABEL_TASKS, TASKS, Task
from sanitizer.util.paths import shown
from sanitizer.util.suggest import did_you_mean

if TYPE_CHECKING:
    from sanitizer.dataset.class_names import Classes
    from sanitizer.dataset.data_yaml import DataYaml
    from sanitizer.dataset.model import Dataset

TaskChoice = Task | Literal["auto"]
"""A task that the user names, or auto."""

NOT_JUDGED = {"depth": "depth maps are not checked by this version"}
"""Tasks of Ultralytics that are declined, and why."""
_LONGEST = 40


def declared_task(document: DataYaml | None, wanted: TaskChoice = "auto") -> Task | None:
    """`task:` of a data.yaml; None where it declares none, or where the user names a task whose files lie otherwise.

    Raises:
        DatasetError: It declares a task that is not judged, and the user names no other.
    """
    value = document.data.get("task") if document is not None else None
    if document is None or value is None:
        return None
    text = str(value).strip().lower()
    task = next((task for task in TASKS if task == text), None)
    if task is None and wanted == "auto":
        raise DatasetError(_refusal(document, text))
    if wanted not in ("auto", task) and not {wanted, task} <= set(LABEL_TASKS):
        return None
    return task


def meant_task(document: DataYaml | None, classes: Classes, wanted: TaskChoice) -> Task | None:
    """`declared_task`, or what the other keys of a data.yaml imply.

    Raises:
        DatasetError: As `declared_task`.
    """
    return declared_task(document, wanted) or ("pose" if classes.kpt_shape != (0, 0) else None)


def _refusal(document: DataYaml, text: str) -> str:
    place = f"{shown(document.path)} declares `task: {shown(text[:_LONGEST])}`"
    if text in NOT_JUDGED:
        return f"{place}, and {NOT_JUDGED[text]}: nothing was judged"
    tasks = f"there are {', '.join(TASKS)}"
    return (
        f"{place}, which is no task that is judged{did_you_mean(text, TASKS)}: {tasks}; --task names another"
    )


def refuse_packed(document: DataYaml, wanted: TaskChoice) -> None:
    """DatasetError where a data.yaml names shards of a task that has no label files."""
    task = declared_task(document, wanted) if wanted == "auto" else wanted
    if task not in (None, *LABEL_TASKS):
        raise DatasetError(
            f"{shown(document.path)} names shards, and those of the task {task} are not judged"
        )


def require_label_task(dataset: Dataset) -> Dataset:
    """The same dataset, for commands that work on rows of label files.

    Raises:
        DatasetError: It is for another task.
    """
    task = dataset.declared_task
    if task is None or task in LABEL_TASKS:
        return dataset
    raise DatasetError(f"{shown(dataset.data)} is a set for the task {task}, which {ONLY_SCAN}")


ONLY_SCAN = f"only `scan` judges: the other commands work on label files ({', '.join(LABEL_TASKS)})"
