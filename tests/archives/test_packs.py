"""Tar shards: the same findings as the loose files that were packed, whatever the layout of the archive."""

from __future__ import annotations

import gzip
import io
import os
import signal
import sys
import tarfile
from typing import TYPE_CHECKING, Any

import pytest
from packed_sets import GOOD, ZERO, comparable, folders_of, pack_samples, picture, samples, write_tar
from PIL import Image
from published_sets import FOLDER
from tiny_sets import tiny_set

from sanitizer.archives import ranges as cut
from sanitizer.archives.finding import find_dataset
from sanitizer.archives.members import Members, read_members
from sanitizer.archives.reading import pack_chunks
from sanitizer.archives.tar.shard_names import expand, folder_split, shard_split
from sanitizer.archives.tar.shard_sets import pack_paths
from sanitizer.cli import main
from sanitizer.dataset.model import PAIRS_PER_CHUNK, DatasetError
from sanitizer.scanner.pieces import pieces
from sanitizer.scanner.run import scan
from sanitizer.util.bounded_read import MIB

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sanitizer.findings.finding import Finding
    from sanitizer.findings.report import Report


def report_of(*paths: Path | str, **options: object) -> Report:
    options = {"cache": False, "jobs": 1, "images": "header"} | options
    return scan(*map(str, paths), **options)  # type: ignore[arg-type]


def found(report: Report, rule: str) -> list[Finding]:
    return [f for f in report.findings if f.rule == rule]


def names() -> Sequence[str]:
    if not os.path.isdir(FOLDER):
        return []
    return [n for n in folders_of(FOLDER) if os.path.exists(os.path.join(FOLDER, n, "data.yaml"))]


_OF_THE_LAYOUT = ("D001", "D002", "D003", "D005", "D006", "D007", "D011")


@pytest.mark.parametrize("name", names())
def test_shards_of_real_sets_give_the_findings_of_the_loose_files(
    shared_data: Path, tmp_path: Path, name: str
) -> None:
    dataset = find_dataset([str(shared_data / name / "data.yaml")]).without_repeats()
    data, moved = pack_samples(dataset, tmp_path, 100)
    loose = report_of(dataset.yaml_path or "", task="auto")
    packed = report_of(data, task=loose.task)

    def kept(findings: Sequence[Finding]) -> list[Finding]:
        # What the layout says names other folders in a shard; the rest must agree to the letter.
        return [
            f
            for f in findings
            if f.rule not in ("D001", "D002", "D003", "D005", "D006", "D007", "D011") and f.image
        ]

    assert comparable(kept(packed.findings), moved) == comparable(kept(loose.findings))
    without_label = {f.image for f in loose.findings if f.rule == "D006" and f.image}
    assert {moved.get(f.image or "") for f in packed.findings if f.rule == "D006"} == without_label
    for field in (
        "images",
        "labels",
        "boxes",
        "images_dropped_by_training",
        "images_background",
        "images_rewritten",
    ):
        assert getattr(packed.summary, field) == getattr(loose.summary, field), field


@pytest.mark.parametrize("decode", [False, True], ids=["header", "decode"])
def test_a_tree_in_one_archive_is_paired_as_training_pairs_it(tmp_path: Path, decode: bool) -> None:
    data = tiny_set(tmp_path / "set", train=5, val=3)
    (tmp_path / "set/labels/train/1.txt").write_bytes(ZERO)
    (tmp_path / "set/labels/train/2.txt").unlink()
    (tmp_path / "set/labels/val/lost.txt").write_bytes(GOOD)
    (tmp_path / "set/labels/train/3.txt").rename(tmp_path / "set/labels/train/3.TXT")
    (tmp_path / "set/images/val/copy.jpg").write_bytes((tmp_path / "set/images/train/0.jpg").read_bytes())
    (tmp_path / "set/labels/val/copy.txt").write_bytes(GOOD)
    archive = tmp_path / "packed" / "set.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as tar:
        tar.add(tmp_path / "set", ".")
    yaml = tmp_path / "packed" / "data.yaml"
    yaml.write_text("train: set.tar\nval: set.tar\nnames: [red, green]\n")
    mode = "decode" if decode else "header"
    loose, packed = report_of(data, images=mode), report_of(yaml, images=mode)
    expected = comparable(f for f in loose.findings)
    prefix = "set.tar/"

    def bare(text: object) -> object:
        return text.replace(prefix, "") if isinstance(text, str) else text

    assert sorted(tuple(map(bare, row)) for row in comparable(packed.findings)) == expected
    assert {r[0] for r in expected} >= {"B002", "D006", "D007", "D009", "D010", "L009"}
    assert packed.summary.splits == loose.summary.splits


def test_split_names_come_from_the_folders_of_a_tree(tmp_path: Path) -> None:
    tiny_set(tmp_path / "set")
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(tmp_path / "set", "set")
    report = report_of(tmp_path / "all.tar")
    assert [(s.split, s.images, s.labels) for s in report.summary.splits] == [("train", 4, 4), ("val", 2, 2)]


def test_members_of_a_sample_agree_up_to_the_first_dot(tmp_path: Path) -> None:
    shard = write_tar(
        tmp_path / "train-0.tar",
        [
            ("a.main.jpg", picture(1)), ("a.txt", ZERO), ("a.json", b"{}"),
            ("b.jpg", picture(2)), ("b.labels.txt", ZERO),
            ("c_jpg.rf.1.jpg", picture(3)), ("c_jpg.rf.2.txt", ZERO),
            ("__meta__.txt", b"x"), (".hidden.jpg", b"x"), ("classes.txt", b"cat"),
        ],
    )  # fmt: skip
    report = report_of(shard)
    paired = [(f.image, f.label) for f in found(report, "B002") if f.image]
    assert paired == [
        ("train-0.tar/a.main.jpg", "train-0.tar/a.txt"),
        ("train-0.tar/b.jpg", "train-0.tar/b.labels.txt"),
    ]
    assert [f.image for f in found(report, "D006")] == ["train-0.tar/c_jpg.rf.1.jpg"]
    assert "train-0.tar/c_jpg.rf.2.txt" in [f.label for f in found(report, "D007")]


def test_two_images_with_one_label_and_members_that_are_there_twice(tmp_path: Path) -> None:
    shard = write_tar(
        tmp_path / "0.tar",
        [
            ("a.jpg", picture(1)), ("a.png", picture(2, kind="PNG")), ("a.txt", GOOD),
            ("b.txt", GOOD), ("b.txt", ZERO), ("b.jpg", picture(3)),
        ],
    )  # fmt: skip
    report = report_of(shard)
    shared, twice = found(report, "D008")
    assert "a.png and a.jpg share one label file" in shared.message
    assert "b.txt is there twice" in twice.message
    assert [f.label for f in found(report, "B002")] == ["0.tar/b.txt"]


def test_labels_far_from_their_images_are_found(tmp_path: Path) -> None:
    members = samples(30, ZERO)
    apart = write_tar(tmp_path / "apart.tar", sorted(members, key=lambda m: (m[0][-3:], m[0])))
    together = write_tar(tmp_path / "together.tar", members)
    a, b = (report_of(path) for path in (apart, together))
    assert len(found(a, "B002")) == len(found(b, "B002")) == 30
    assert not found(a, "D006")


def test_images_alone_labels_alone_and_neither(tmp_path: Path) -> None:
    only_images = report_of(write_tar(tmp_path / "images.tar", samples(3)[::2]))
    assert len(found(only_images, "D006")) == 3
    only_labels = report_of(write_tar(tmp_path / "labels.tar", samples(3, ZERO)[1::2]))
    (said,) = found(only_labels, "D007")
    assert "no image for 3 label files in labels.tar" in said.message
    assert len(found(only_labels, "B002")) == 3
    neither = report_of(write_tar(tmp_path / "none.tar", [("readme.md", b"hello")]))
    assert neither.summary.images == 0


@pytest.mark.parametrize("images", ["header", "decode", "none"])
def test_damaged_images_are_told_as_loose_ones_are(tmp_path: Path, images: str) -> None:
    whole = picture(1, 80)
    cases = {
        "cut.jpg": whole[:-200], "empty.jpg": b"", "text.jpg": b"hello", "more.jpg": whole + b"\0\0",
        "tiny.jpg": picture(2, 8), "lfs.jpg": b"version https://git-lfs.github.com/spec/v1\n",
        "png.jpg": picture(3, kind="PNG"),
        "grey.png": _gray_png(), "long.jpg": _with_long_comment(whole), "broken.png": picture(4, kind="PNG")[:-40],
    }  # fmt: skip
    loose = tmp_path / "loose"
    for kind in ("images", "labels"):
        (loose / kind / "train").mkdir(parents=True)
    members = []
    for name, content in cases.items():
        (loose / "images/train" / name).write_bytes(content)
        (loose / "labels/train" / name).with_suffix(".txt").write_bytes(GOOD)
        members += [(f"images/train/{name}", content), (f"labels/train/{name[:-4]}.txt", GOOD)]
    write_tar(tmp_path / "packed/set.tar", members)
    a = report_of(loose, images=images)
    b = report_of(tmp_path / "packed", images=images)

    def of_images(report: Report) -> list[tuple[object, ...]]:
        rows = comparable(f for f in report.findings if f.rule[0] in "IL")
        return sorted((r[0], r[1], str(r[3]).removeprefix("set.tar/"), r[9:]) for r in rows)

    assert of_images(b) == of_images(a)
    assert b.summary.images_dropped_by_training == a.summary.images_dropped_by_training
    assert images == "none" or len(of_images(a)) >= 8


def _gray_png() -> bytes:
    buffer = io.BytesIO()
    Image.new("I;16", (20, 20)).save(buffer, "PNG")
    return buffer.getvalue()


def _with_long_comment(jpeg: bytes) -> bytes:
    comment = b"\xff\xfe" + (60_002).to_bytes(2, "big") + b"c" * 60_000
    return jpeg[:2] + comment + jpeg[2:]


def test_a_damaged_shard_is_one_finding_and_the_others_are_read(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", samples(4, ZERO))
    broken = write_tar(tmp_path / "train-1.tar", samples(4, ZERO, 4))
    raw = broken.read_bytes()
    at = raw.index(b"000006.jpg")
    broken.write_bytes(raw[:at] + b"#" + raw[at + 1 :])
    (tmp_path / "train-2.tar").write_bytes(b"")
    report = report_of(tmp_path)
    damaged, empty = found(report, "D002")
    assert (damaged.file, empty.file) == ("train-1.tar", "train-2.tar")
    assert f"at byte {at:,}" in damaged.message
    assert "zero bytes" in empty.message
    assert len(found(report, "B002")) == 6


def test_what_is_no_plain_file_or_leads_outside_is_named(tmp_path: Path) -> None:
    shard = tmp_path / "0.tar"
    with tarfile.open(shard, "w") as tar:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        outside = tarfile.TarInfo("../up.txt")
        outside.size = len(ZERO)
        tar.addfile(outside, io.BytesIO(ZERO))
    report = report_of(shard)
    assert "1 member that are links" in found(report, "D002")[0].message
    assert "../up.txt" in found(report, "D005")[0].message
    assert found(report, "B002")[0].label == "0.tar/../up.txt"


def test_a_second_archive_in_one_file_is_named(tmp_path: Path) -> None:
    one = write_tar(tmp_path / "x/0.tar", samples(1)).read_bytes()
    (tmp_path / "0.tar").write_bytes(one + one)
    assert "more after it" in found(report_of(tmp_path / "0.tar"), "D002")[0].message


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("ending", "kind"), [(".tar.gz", "gz"), (".tgz", "gz"), (".tar.xz", "xz"), (".tar.bz2", "bz2")]
)
def test_compressed_shards_are_read_from_end_to_end(tmp_path: Path, ending: str, kind: str) -> None:
    plain = write_tar(tmp_path / "plain/train-0.tar", samples(5, ZERO))
    packed = tmp_path / f"train-0{ending}"
    with tarfile.open(str(packed), f"w:{kind}") as out, tarfile.open(plain) as source:  # type: ignore[call-overload]
        for info in source:
            out.addfile(info, source.extractfile(info))
    report = report_of(packed)
    assert any("random access" in note for note in report.notes)
    assert [(f.rule, f.line, f.message) for f in found(report, "B002")] == [
        (f.rule, f.line, f.message) for f in found(report_of(plain), "B002")
    ]


def test_a_cut_off_compressed_shard(tmp_path: Path) -> None:
    raw = gzip.compress(write_tar(tmp_path / "x/0.tar", samples(20, ZERO)).read_bytes())
    (tmp_path / "0.tar.gz").write_bytes(raw[: len(raw) // 2])
    report = report_of(tmp_path / "0.tar.gz")
    assert "is damaged" in found(report, "D002")[0].message
    assert 0 < len(found(report, "B002")) < 20


@pytest.mark.thorough
@pytest.mark.skipif(sys.version_info >= (3, 14), reason="its tarfile reads Zstandard")
@pytest.mark.parametrize(
    ("ending", "kind"), [(".tar.xz", "w:xz"), (".tar.gz", "w:gz"), (".tar.bz2", "w:bz2")]
)
def test_members_before_the_damage_of_a_compressed_shard_are_read(
    tmp_path: Path, ending: str, kind: str
) -> None:
    contents = [os.urandom(MIB // 2) for _ in range(4)]
    shard = tmp_path / f"train{ending}"
    write_tar(tmp_path / "plain.tar", [(f"{i}.jpg", content) for i, content in enumerate(contents)])
    with tarfile.open(shard, kind) as out, tarfile.open(tmp_path / "plain.tar") as plain:  # type: ignore[call-overload]
        for member in plain:
            out.addfile(member, plain.extractfile(member))
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2 :: 1000] = b"\xff" * len(damaged[len(damaged) // 2 :: 1000])
    shard.write_bytes(damaged)
    dataset = find_dataset([str(shard)])
    wanted = [f"{shard}/{i}.jpg" for i in range(4)]
    read = dict(read_members(wanted, dataset))
    assert read[wanted[0]] == contents[0]
    assert wanted[3] not in read
    assert Members(dataset).open(wanted[3]) is None


def test_zstandard_is_named(tmp_path: Path) -> None:
    (tmp_path / "train-0.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(600))
    assert "Zstandard" in found(report_of(tmp_path / "train-0.tar.zst"), "D002")[0].message


def test_copies_across_shards_are_confirmed_by_their_bytes(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", samples(3))
    near = bytearray(picture(1))
    near[-40] ^= 1  # equal size, equal ends: equal digest, another picture
    write_tar(
        tmp_path / "val-0.tar",
        [("x.jpg", picture(2)), ("x.txt", b"0 0.2 0.2 0.1 0.1\n"), ("y.jpg", bytes(near)), ("y.txt", GOOD)],
    )
    report = report_of(tmp_path)
    (leak,) = found(report, "D009")
    assert leak.image == "val-0.tar/x.jpg"
    assert "leak between train and val" in leak.message
    assert "train-0.tar/000002.jpg" in leak.message
    assert [f.label for f in found(report, "D010")] == ["val-0.tar/x.txt"]


@pytest.mark.thorough
def test_large_shards_are_cut_between_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members = samples(60, ZERO)
    members[20:21] = []  # an image without label, a label without image
    members[41:42] = []
    shard = write_tar(tmp_path / "0.tar", members)
    whole = report_of(shard)
    monkeypatch.setattr(cut, "_LOOKED_AT", 5)
    monkeypatch.setattr(cut, "CHUNKS_PER_RANGE", 4)
    monkeypatch.setitem(PAIRS_PER_CHUNK, "header", 4)
    dataset = find_dataset([str(shard)])
    parts = list(cut.ranges(dataset.packs[0], 16))
    assert len(parts) == 4
    assert len(list(pieces(dataset, 4))) == 4
    assert len(list(cut.ranges(dataset.packs[0], 32))) == 1, "not worth it"
    assert [p[0] for p in parts[1:]] == [p[1] for p in parts[:-1]]
    assert report_of(shard).findings == whole.findings
    assert report_of(shard, jobs=2).findings == whole.findings


def test_a_tree_is_never_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cut, "_LOOKED_AT", 2)
    folders = {"jpg": "images", "txt": "labels"}
    members = [(f"{folders[name[-3:]]}/{name}", content) for name, content in samples(20)]
    tree = find_dataset([str(write_tar(tmp_path / "tree.tar", members))])
    apart = find_dataset(
        [str(write_tar(tmp_path / "apart.tar", sorted(samples(20), key=lambda m: m[0][-3:])))]
    )
    assert len(list(cut.ranges(tree.packs[0], 4))) == len(list(cut.ranges(apart.packs[0], 4))) == 1


def test_only_headers_labels_and_ends_of_images_are_read(tmp_path: Path) -> None:
    from sanitizer.archives.read_ahead import open_unbuffered

    big = [(n, c + bytes(300_000) + c[-2:] if n.endswith("jpg") else c) for n, c in samples(50)]
    shard = write_tar(tmp_path / "0.tar", big)
    read = []

    class Counted:
        def __init__(self, path: str) -> None:
            self.file = open_unbuffered(path)

        def read(self, n: int) -> bytes:
            data = self.file.read(n)
            read.append(len(data))
            return data

        def seek(self, *where: int) -> int:
            return self.file.seek(*where)

        def __enter__(self) -> Counted:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

    dataset = find_dataset([str(shard)])
    part = (0, dataset.packs[0].size_bytes, 1)
    chunks = list(pack_chunks(dataset, 0, part, "header", opener=Counted))  # type: ignore[arg-type]
    assert sum(len(c.pairs) for c in chunks) == 50
    assert (chunks[0].images.width == 40).all()
    assert sum(read) < 0.05 * dataset.packs[0].size_bytes
    assert len(read) <= 50 * 1.2


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("t-{000..002}.tar", ["t-000.tar", "t-001.tar", "t-002.tar"]),
        ("t-{8..10}.tar", ["t-8.tar", "t-9.tar", "t-10.tar"]),
        ("{train,val}-{0..1}.tar", ["train-0.tar", "train-1.tar", "val-0.tar", "val-1.tar"]),
        ("t-{x}.tar", ["t-{x}.tar"]),
        ("plain.tar", ["plain.tar"]),
    ],
)
def test_brace_patterns(pattern: str, expected: list[str]) -> None:
    assert expand(pattern) == expected


def test_a_pattern_without_end_is_refused() -> None:
    with pytest.raises(DatasetError, match="more than"):
        expand("t-{0..99999999999}.tar")


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("/d/train-000001.tar", "train"), ("/d/coco-val-0.tar", "val"), ("/d/val/0001.tar", "val"),
        ("/d/valid_3.tar", "val"), ("/d/test2017-1.tar", "test"), ("/d/shard-00.tar", "train"),
        ("/train/test-1.tar", "test"),
    ],
)  # fmt: skip
def test_the_split_of_a_shard(path: str, split: str) -> None:
    assert shard_split(path) == split


def test_the_split_of_a_member() -> None:
    assert folder_split("images/val/a.jpg", "train") == "val"
    assert folder_split("val.jpg", "train") == "train"


def test_folders_patterns_and_data_yamls_lead_to_the_same_shards(tmp_path: Path) -> None:
    for i in range(3):
        write_tar(tmp_path / f"shards/train-{i:06d}.tar", samples(2, ZERO, 2 * i))
    write_tar(tmp_path / "shards/val-000000.tar", samples(2, GOOD, 20))
    by_folder = report_of(tmp_path / "shards")
    assert pack_paths([f"{tmp_path}/shards/train-{{000000..000002}}.tar"]) == [
        str(tmp_path / f"shards/train-{i:06d}.tar") for i in range(3)
    ]
    (tmp_path / "shards/data.yaml").write_text(
        "train: train-{000000..000002}.tar\nval: val-000000.tar\nnames: [a]\n"
    )
    by_yaml = report_of(tmp_path / "shards/data.yaml")
    assert report_of(tmp_path / "shards").findings == by_yaml.findings
    assert comparable(found(by_folder, "B002")) == comparable(found(by_yaml, "B002"))
    assert [(s.split, s.images) for s in by_yaml.summary.splits] == [("train", 6), ("val", 2)]
    (tmp_path / "data.yaml").write_text(
        "path: shards\ntrain: [train-000000.tar]\nval: val-{000000..000004}.tar\nnames: [a]\n"
    )
    missing = report_of(tmp_path / "data.yaml")
    assert "4 shards missing, first val-000001.tar" in found(missing, "D002")[0].message
    assert [s.images for s in report_of(tmp_path / "shards/data.yaml", splits=["val"]).summary.splits] == [2]


def test_a_yaml_with_names_alone_gives_the_classes_of_the_shards_beside_it(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0.tar", samples(2, b"3 0.5 0.5 0.2 0.2\n"))
    (tmp_path / "data.yaml").write_text("names: [a, b]\n")
    report = report_of(tmp_path)
    assert len(found(report, "C001")) == 2
    assert not found(report, "D001")


def test_usage_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = str(write_tar(tmp_path / "train-0.tar", samples(1)))
    for arguments, words in (
        ([f"{tmp_path}/no-{{0..3}}.tar"], "does not exist (4 of 4 shards)"),
        ([f"{tmp_path}/no.tar"], "no.tar does not exist\n"),
        ([shard, str(tmp_path)], "by themselves"),
        ([shard, "--split", "dev"], "no split 'dev'"),
    ):
        assert main(["scan", *arguments]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["fix", *(pytest.param(name, marks=pytest.mark.probe) for name in ("probe", "train", "preflight"))],
)
def test_commands_that_need_loose_files_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    if command != "fix":
        pytest.importorskip("ultralytics", reason="needs the probe extra")
    shard = str(write_tar(tmp_path / "train-0.tar", samples(1)))
    model = [] if command == "fix" else ["--model", "yolov8n.yaml"]
    assert main([command, shard, *model]) == 2
    assert "unpack it (`tar -xf train-0.tar -C FOLDER`)" in capsys.readouterr().err
    write_tar(tmp_path / "val-0.tar", samples(1))
    assert main([command, str(tmp_path), *model]) == 2
    assert "into a folder of its own (`tar -xf train-0.tar -C FOLDER/train`)" in capsys.readouterr().err


@pytest.mark.thorough
def test_the_same_report_from_several_processes(tmp_path: Path) -> None:
    for i in range(4):
        write_tar(tmp_path / f"train-{i}.tar", samples(10, ZERO, 10 * i))
    assert report_of(tmp_path, jobs=2).findings == report_of(tmp_path, jobs=1).findings


def test_unreadable_paths_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        report_of(tmp_path / "no.tar")


@pytest.mark.thorough
@pytest.mark.skipif(
    sys.platform != "linux" or os.environ.get("SANITIZE_START_METHOD") == "spawn",
    reason="workers see what a test replaces only where they are forked",
)
def test_an_image_that_ends_its_process_is_named_and_the_rest_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sanitizer.archives.tar import chunks as tar_chunks

    here, really = os.getpid(), tar_chunks.read_stored

    def deadly(size: int, part: Any, mode: Any) -> Any:
        if os.getpid() != here and b"deadly" in part(0, size):
            os.kill(os.getpid(), signal.SIGKILL)
        return really(size, part, mode)

    members = samples(12, ZERO)
    members[6] = (members[6][0], members[6][1][:-2] + b"deadly" + members[6][1][-2:])
    write_tar(tmp_path / "train-0.tar", members)
    write_tar(tmp_path / "train-1.tar", samples(12, ZERO, 12))
    monkeypatch.setattr(tar_chunks, "read_stored", deadly)
    report = report_of(tmp_path, jobs=2)
    (named,) = found(report, "I001")
    assert named.image == "train-0.tar/000003.jpg"
    assert "ends the process" in named.message
    assert len(found(report, "B002")) == 24
