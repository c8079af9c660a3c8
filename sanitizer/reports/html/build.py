"""The page that people look through: built, and written so that it never shows pictures of another run."""

from __future__ import annotations

import contextlib
import importlib.resources
import json
import os
import re
import secrets
import shutil
from dataclasses import dataclass, replace
from itertools import filterfalse
from typing import TYPE_CHECKING, Any, cast

from sanitizer.archives.finding import find_dataset
from sanitizer.dataset.model import DatasetError
from sanitizer.dataset.tables import LABEL_TASKS, TaskSpec
from sanitizer.findings.finding import Severity, characters_of, count_by_severity
from sanitizer.reports.common import ReportError
from sanitizer.reports.html.bundle import bundle
from sanitizer.reports.html.cards import Card, Group, make_cards
from sanitizer.reports.html.data import page_data
from sanitizer.reports.html.plots import plots, spread_of_dataset, spread_of_findings
from sanitizer.reports.html.pool import share_out
from sanitizer.reports.html.probe import probe_part
from sanitizer.reports.html.twins import twin_pictures
from sanitizer.reports.reach import OUTSIDE, Reach, folders_of
from sanitizer.scanner.engines.local import usable_cores
from sanitizer.storage.opening import is_remote
from sanitizer.util.atomic import write_atomically
from sanitizer.util.bounded_read import open_regular
from sanitizer.util.escape import encodable
from sanitizer.util.paths import absolute_path, join_path, real_path, relative_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sanitizer.dataset.model import Dataset
    from sanitizer.dataset.tables import Task
    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report
    from sanitizer.rules.language.pack import Rule

MAX_FINDINGS = 50_000
"""Findings with a card; a page with more would be slow to open. The counts are always those of all."""

MAX_CHARACTERS = 1 << 25
"""Text of findings with a card, for the same reason; fifty thousand findings usually have less."""

SIGNATURE = b"<!-- made by sanitize report -->\n"
"""Last line of a page: what may be overwritten."""
MARKER = "made-by-sanitize.txt"
_MARKER_TEXT = "Pictures of a page that sanitize made. It deletes them when the page is made again.\n"
_RUN = re.compile(r"run-[0-9a-f]{12}")

_GROUPS_WORTH_A_POOL = 64
_PAIRS_WORTH_A_POOL = 4000
_GROUPS_PER_SHARE = 8


@dataclass(frozen=True, slots=True)
class PageNotes:
    """What was written.

    Attributes:
        page: Its path.
        findings: Findings with a card.
        crops: Pictures of findings and thumbnails written.
        size_bytes: Of the page itself.
        notes: Sentences on what it lacks, for stderr; they stand in the page too.
    """

    page: str
    findings: int
    crops: int
    size_bytes: int
    notes: tuple[str, ...]


def write_page(
    report: Report,
    page: str,
    assets: str,
    progress: bool = False,
    jobs: int | None = None,
    reach: Reach | None = None,
    dataset: Dataset | None = None,
) -> PageNotes:
    """Write the HTML page of a report, and crops of its findings beside it.

    Crops go to a new folder inside `assets`. Then the page that names them takes the place of the old one, and then
    the old page's crops are deleted. So the page on disk always has the crops it was made with.

    Args:
        report: What to show. Images and labels are read again from its root.
        page: The file to write.
        assets: Folder for the crops; made where there is none.
        progress: Show bars on stderr.
        jobs: Worker processes; None takes the cores there are, where it is worth it.
        reach: Which images and labels may be read; None: all that the report names.
        dataset: What the report is about; None looks for it where the report says.

    Raises:
        ReportError: `page` or `assets` exist, and sanitize did not make them.
        OSError: Something cannot be written. The old page and its crops are then as they were.
    """
    _refuse_what_is_not_ours(page, assets)
    had_assets = os.path.isdir(assets)
    run = _new_run_folder(assets)
    try:
        reach = reach or Reach.everywhere(report)
        content, data, notes = _page(report, dataset, page, run, progress, jobs, reach)
        write_atomically(page, content)
    except BaseException as error:
        shutil.rmtree(run if had_assets else assets, ignore_errors=True)
        if isinstance(error, OSError) and error.errno and not error.filename:  # such as a full disk
            raise OSError(error.errno, error.strerror, assets) from error
        raise
    _delete_other_runs(assets, run)
    return PageNotes(page, len(data["findings"]["rule"]), _pictures(data), len(content), notes)


def _page(
    report: Report,
    dataset: Dataset | None,
    page: str,
    run: str,
    progress: bool,
    jobs: int | None,
    reach: Reach,
) -> tuple[bytes, dict[str, Any], tuple[str, ...]]:
    """(the page's bytes, its data object, what it lacks); crops are written to `run`."""
    notes = []
    shown = _worst(report.findings)
    if len(shown) < len(report.findings):
        notes.append(
            f"the page shows the {len(shown):,} gravest of {len(report.findings):,} findings; "
            "the CSV and JSON reports have all of them"
        )
    dataset, why = _plotted(report, dataset, reach)
    notes += [why] if why else []
    spec = TaskSpec(cast("Task", report.task), None, report.names, report.kpt_shape)
    drawn, class_counts = None, report.class_counts
    if dataset is not None:
        n_jobs = jobs or (usable_cores() if len(dataset) >= _PAIRS_WORTH_A_POOL else 1)
        spread = spread_of_dataset(dataset, spec, n_jobs, progress)
        # Of more findings than memory holds, those that have a card are drawn.
        flagged = report.findings if isinstance(report.findings, list | tuple) else shown
        paths = [reach.path(f.image) for f in flagged]
        drawn = plots(spread, spread_of_findings(flagged, paths))
        class_counts = class_counts or dict(spread.counts)
    cards = _cards(shown, spec, run, progress, jobs, reach)
    crops = _from_page(run, page)
    twins = twin_pictures(shown, spec, run, crops, reach, progress, jobs)
    probed = probe_part(report, spec, run, crops, progress, jobs, reach)
    notes += probed.notes if probed else ()
    if outside := reach.note():
        notes.append(outside)
    data = page_data(report, shown, cards, _rules_of(dataset), class_counts, drawn, notes, crops)
    data["twins"] = twins
    if probed:
        data["probe"] = probed.data
    return _filled_in(data), data, tuple(notes)


def _pictures(data: Mapping[str, Any]) -> int:
    """Number of files that the page shows."""
    thumbnails = data.get("probe", {}).get("thumbnails", {})
    others = (t["crop"] for t in (*thumbnails.values(), *data["twins"].values()))
    return len({*data["findings"]["crop"], *others} - {None})


def _worst(findings: Sequence[Finding]) -> Sequence[Finding]:
    """The findings that get a card, in the order of the report: by severity, and no more text than fits."""
    shown, room = [], MAX_CHARACTERS
    for f in _gravest(findings):
        room -= characters_of(f)
        if room < 0:
            break
        shown.append(f)
    return shown


def _gravest(findings: Sequence[Finding]) -> Sequence[Finding]:
    if len(findings) <= MAX_FINDINGS:
        return findings
    counts = count_by_severity(findings)
    room, rest = {}, MAX_FINDINGS
    for severity in sorted(Severity, reverse=True):
        room[severity] = min(rest, counts[severity.label])
        rest -= room[severity]
    shown = []
    for f in findings:
        if room[f.severity]:
            room[f.severity] -= 1
            shown.append(f)
    return shown


def _plotted(report: Report, found: Dataset | None, reach: Reach) -> tuple[Dataset | None, str | None]:
    """(the dataset that was scanned, None) if it is still there, else (None, why there are no plots)."""
    without_plots = "the page has no plots of all boxes"
    if report.files_only:
        return None, f"single files were scanned, not a dataset: {without_plots}"
    if is_remote(report.root):
        return (
            None,
            f"the dataset is not on this disk ({report.root}): the page has no pictures, and no plots",
        )
    if not os.path.isdir(report.root):
        return None, f"the dataset is no longer at {report.root}: the page has no pictures, and no plots"
    if reach.closed:
        return None, f"the page has no pictures, and no plots: {reach.closed}"
    dataset = found or _found_again(report)
    if dataset is None:
        return None, f"{report.data} is no longer what was scanned: {without_plots}"
    if dataset.packs:
        return None, f"{report.data} is packed: the page has no pictures, and no plots"
    if not all(map(reach.holds, folders_of(dataset))):
        return None, f"some of its images or labels lie outside of {report.root}: {without_plots}"
    return dataset.without_repeats(), None


def _found_again(report: Report) -> Dataset | None:
    """The splits that a saved report is about, if its dataset is still what was scanned."""
    names = {s.split for s in report.summary.splits}
    candidates = (report.data, join_path(report.root, os.path.basename(report.data)), report.root)
    for path in filterfalse(is_remote, candidates):
        with contextlib.suppress(DatasetError, OSError, ValueError):
            dataset = find_dataset([path])
            same_root = real_path(dataset.root) == real_path(report.root)
            if dataset.packs or (same_root and names <= {s.name for s in dataset.splits}):
                return replace(dataset, splits=[s for s in dataset.splits if s.name in names])
    return None


def _rules_of(dataset: Dataset | None) -> Mapping[str, Rule]:
    """The built-in rules, and the user's own where the dataset's configuration names packs that can be read."""
    from sanitizer.config import ConfigError
    from sanitizer.rules.language.pack import PackError, load_rules

    if dataset is not None:
        from sanitizer.scanner.run import nearby_config

        with contextlib.suppress(ConfigError, PackError, OSError):
            return load_rules(nearby_config(dataset).packs)
    return load_rules()


def _cards(
    shown: Sequence[Finding], spec: TaskSpec, run: str, progress: bool, jobs: int | None, reach: Reach
) -> list[Card]:
    """A card for each finding; findings on one image are made together, so that it is decoded once."""
    members: dict[tuple[str | None, str | None], list[int]] = {}
    for i, f in enumerate(shown):
        members.setdefault((f.image, f.label), []).append(i)
    groups = [
        _group(image, label, [shown[i] for i in of_group], run, spec, reach)
        for (image, label), of_group in members.items()
    ]
    n_jobs = jobs or (usable_cores() if len(groups) >= _GROUPS_WORTH_A_POOL else 1)
    weights = [len(g.findings) for g in groups]
    bar = ("making pictures", " findings") if progress else None
    made = share_out(make_cards, groups, min(n_jobs, len(groups)), _GROUPS_PER_SHARE, weights, bar)
    cards = [Card()] * len(shown)
    for of_group, cards_of_group in zip(members.values(), made, strict=True):
        for i, card in zip(of_group, cards_of_group, strict=True):
            cards[i] = card
    return cards


def _group(
    image: str | None, label: str | None, findings: list[Finding], run: str, spec: TaskSpec, reach: Reach
) -> Group:
    label = label if spec.task in LABEL_TASKS else None  # a mask has no line to quote
    image_path, label_path = reach.path(image), reach.label_path(label)
    if reach.closed:
        return Group(None, None, findings, run, spec)
    left_out = [n for n, path in ((image, image_path), (label, label_path)) if n is not None and path is None]
    why = f"{' and '.join(left_out)} left out: {OUTSIDE}." if left_out else None
    return Group(image_path, label_path, findings, run, spec, why)


def _from_page(folder: str, page: str) -> str:
    """The folder's path seen from the page, POSIX."""
    return relative_to(folder, os.path.dirname(absolute_path(page)))


def _filled_in(data: Mapping[str, Any]) -> bytes:
    """The page: the template with style, script and data in their places."""
    here = importlib.resources.files("sanitizer.reports.html")
    styles, entry = ["style.css", "style_causes.css"], "page"
    if "probe" in data:
        styles, entry = [*styles, "style_probe.css"], "probe_page"
    parts = {
        "/*STYLE*/": "\n".join(here.joinpath(name).read_text("utf-8") for name in styles),
        "/*SCRIPT*/": bundle(here.joinpath("app"), entry),
        "/*DATA*/": script_safe_json(data),
    }
    template = here.joinpath("template.html").read_text("utf-8")
    # In one pass: what is put in may hold a marker's text itself.
    places = "|".join(re.escape(marker) for marker in parts)
    text = re.sub(places, lambda match: parts[match[0]], template)
    return text.encode("utf-8") + b"\n" * (not text.endswith("\n")) + SIGNATURE


def script_safe_json(value: object) -> str:
    """JSON that cannot end the script element that it stands in (HTML Standard, 4.12.1.3)."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _refuse_what_is_not_ours(page: str, assets: str) -> None:
    """ReportError where writing would overwrite or mix with files of somebody else."""
    if os.path.isdir(page):
        raise ReportError(f"{page}: is a folder, and the page is to be written there")
    if os.path.lexists(page) and not _is_our_page(page):
        raise ReportError(f"{page}: exists and is no page that sanitize made; move it, or name another file")
    if os.path.lexists(assets) and not os.path.isdir(assets):
        raise ReportError(f"{assets}: is a file, and the page's pictures go into a folder of that name")
    if encodable(name := _from_page(assets, page)) != name:
        raise ReportError(f"{name}: no page can link to a folder whose name is not UTF-8; name another page")
    marker = join_path(assets, MARKER)
    marked = os.path.isfile(marker) and not os.path.islink(marker)
    if os.path.isdir(assets) and os.listdir(assets) and not marked:
        raise ReportError(
            f"{assets}: is a folder with other files, and the page's pictures would go there; name another page"
        )


def _is_our_page(path: str) -> bool:
    """Whether a file is empty, or ends with our signature."""
    with open_regular(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(SIGNATURE)))
        return file.read() in (b"", SIGNATURE)


def _new_run_folder(assets: str) -> str:
    """A new folder inside `assets`, which is made and marked as ours."""
    os.makedirs(assets, exist_ok=True)
    with open(join_path(assets, MARKER), "w", encoding="utf-8") as file:
        file.write(_MARKER_TEXT)
    run = join_path(assets, f"run-{secrets.token_hex(6)}")
    os.mkdir(run)
    return run


def _delete_other_runs(assets: str, run: str) -> None:
    for name in os.listdir(assets):
        path = join_path(assets, name)
        if _RUN.fullmatch(name) and name != os.path.basename(run) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
