"""Texts are read from every format, compressed or not; unreadable files are named, and the others still read."""

import csv
import gzip
import json

import pytest

from desktop_app.core.evidence.texts import PIECE, Fault, Piece, find_texts, read_pieces
from desktop_app.gpt2.errors import LogitscopeError

TEXTS = ["A first text,\nof two lines.", 'A "second", with quotes.', "Grüße, 世界"]


def texts_of(path, column="text"):
    return [piece.text for piece in read_pieces(path, column) if isinstance(piece, Piece)]


def faults_of(path, column="text"):
    return [piece for piece in read_pieces(path, column) if isinstance(piece, Fault)]


def write_jsonl(path):
    path.write_text("".join(json.dumps({"id": n, "text": text}) + "\n" for n, text in enumerate(TEXTS)))


def write_csv(path, delimiter=","):
    with path.open("w", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerows([["id", "text"], *enumerate(TEXTS)])


def test_plain_text_comes_in_pieces_that_end_with_a_line(tmp_path):
    lines = [f"line {n} of a long text\n" for n in range(3000)]
    (tmp_path / "a.txt").write_text("".join(lines))
    pieces = texts_of(tmp_path / "a.txt")
    assert "".join(pieces) == "".join(lines)
    assert len(pieces) > 3
    assert all(piece.endswith("\n") and len(piece) < PIECE + 100 for piece in pieces)


def test_a_text_without_lines_is_cut_all_the_same(tmp_path):
    (tmp_path / "a.txt").write_text("word " * 100_000)
    pieces = texts_of(tmp_path / "a.txt")
    assert "".join(pieces) == "word " * 100_000
    assert max(map(len, pieces)) <= 4 * PIECE


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv"])
@pytest.mark.parametrize("packed", [False, True])
def test_records_come_one_by_one(tmp_path, name, packed):
    path = tmp_path / name
    write_jsonl(path) if name == "a.jsonl" else write_csv(path, "\t" if name == "a.tsv" else ",")
    if packed:
        path, plain = path.with_name(f"{name}.gz"), path
        path.write_bytes(gzip.compress(plain.read_bytes()))
    assert texts_of(path) == TEXTS
    assert [piece.record for piece in read_pieces(path)] == [0, 1, 2]


def test_parquet_and_zstd_are_read(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"id": [0, 1, 2], "body": TEXTS}), tmp_path / "a.parquet")
    assert texts_of(tmp_path / "a.parquet", "body") == TEXTS
    (fault,) = faults_of(tmp_path / "a.parquet")
    assert fault.words == "has no column 'text'; its columns: id, body" and fault.whole
    with arrow.OSFile(str(tmp_path / "b.txt.zst"), "wb") as raw, arrow.CompressedOutputStream(raw, "zstd") as file:
        file.write(TEXTS[2].encode())
    assert texts_of(tmp_path / "b.txt.zst") == TEXTS[2:]
    (tmp_path / "broken.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-40])
    (fault,) = faults_of(tmp_path / "broken.parquet")
    assert "Parquet" in fault.words


def test_what_is_broken_is_named_and_the_rest_is_read(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"text": "good"}\n{"text": 3}\nno json\n\n{"other": "x"}\n{"text": "good, too"}\n'
    )
    assert texts_of(tmp_path / "a.jsonl") == ["good", "good, too"]
    words = [(fault.record, fault.words, fault.whole) for fault in faults_of(tmp_path / "a.jsonl")]
    assert words == [(1, "has no text 'text'", False), (2, "is not JSON", False), (3, "has no text 'text'", False)]

    (tmp_path / "b.txt").write_bytes(b"in Latin-1: caf\xe9\n")
    (fault,) = faults_of(tmp_path / "b.txt")
    assert fault.words.startswith("is not UTF-8") and fault.whole

    whole = gzip.compress("".join(f"line {n}\n" for n in range(20_000)).encode())
    (tmp_path / "c.txt.gz").write_bytes(whole[: len(whole) // 2])
    assert texts_of(tmp_path / "c.txt.gz")
    (fault,) = faults_of(tmp_path / "c.txt.gz")
    assert fault.words.startswith("cannot be read to its end") and fault.record > 0


@pytest.mark.parametrize("at", [10, 11, 40, 2000, 9000])
def test_a_packed_file_that_is_damaged_in_the_middle_is_named(tmp_path, at):
    whole = bytearray(gzip.compress("".join(f"line {n * n}\n" for n in range(20_000)).encode()))
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "a.txt.gz").write_bytes(bytes(whole))
    *_, fault = read_pieces(tmp_path / "a.txt.gz")
    assert isinstance(fault, Fault) and fault.whole
    assert fault.words.startswith(("cannot be read to its end: ", "is not UTF-8: "))


def test_files_folders_and_patterns_name_texts(tmp_path):
    for name in ("b/2.txt", "b/1.txt", "b/.hidden.txt", "c.txt", "d.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    outside = tmp_path.parent / f"{tmp_path.name}-outside.txt"
    outside.write_text("x")
    (tmp_path / "b" / "link.txt").symlink_to(outside)
    found = find_texts([str(tmp_path / "b"), str(tmp_path / "*.txt"), str(tmp_path / "c.txt")])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["b/1.txt", "b/2.txt", "c.txt"]
    with pytest.raises(LogitscopeError, match="neither a file"):
        find_texts([str(tmp_path / "nothing*")])


def test_windows_end_machine_text_is_no_path_or_code(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "../../etc/passwd {{7*7}} <script>"}) + "\n")
    assert texts_of(tmp_path / "a.jsonl") == ["../../etc/passwd {{7*7}} <script>"]
