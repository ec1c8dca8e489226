"""How ``inferox run`` reads lines, arguments and objects, and which of them it refuses."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import inferox
from inferox.core import RequestError
from tests.cli.conftest import Run
from tests.cli.test_run import Packages, records

PREMISE, HYPOTHESIS = "a man is eating", "nobody eats"
PAIR = f'{{"text": "{PREMISE}", "text_pair": "{HYPOTHESIS}"}}\n'.encode()


def scores(record: dict[str, object]) -> dict[str, float]:
    labels = record["labels"]
    assert isinstance(labels, list)
    return {label["label"]: label["score"] for label in labels}


def png(edge: int = 20) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (edge, 30, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("name", ["texts.txt", "rows.parquet", "lines.jsonl", "table.csv.gz"])
def test_a_file_given_as_a_text_is_refused(run: Run, packages: Packages, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    assert run("run", packages["embed"], str(path)).code == 0  # a text, as there is no such file
    path.write_text("a text\n")
    done = run("run", packages["embed"], "another", str(path))
    assert done.code == 4
    assert f"{str(path)!r} is a file, and as an argument it would be a text itself" in done.err
    assert f"--input {path}" in done.err
    assert run("run", packages["embed"], "-", stdin=f"{path}\n".encode()).code == 0


def test_a_long_text_that_ends_like_a_file_is_a_text(run: Run, packages: Packages) -> None:
    assert run("run", packages["embed"], "read " * 1000 + "notes.txt", "a\0b.txt").code == 0


def test_pairs_are_the_same_in_every_form_of_input(run: Run, packages: Packages, tmp_path: Path) -> None:
    package = packages["classify"]
    (tmp_path / "pairs.tsv").write_text(f"{PREMISE}\t{HYPOTHESIS}\n")
    (tmp_path / "premises.txt").write_text(f"{PREMISE}\n")
    forms = [
        run("run", package, "--jsonl", "-", stdin=PAIR),
        run("run", package, "--jsonl", "-", stdin=f'["{PREMISE}", "{HYPOTHESIS}"]'.encode()),
        run("run", package, "--pairs", PREMISE, HYPOTHESIS),
        run("run", package, "--pairs", "--input", tmp_path / "pairs.tsv"),
        run("run", package, "--text-pair", HYPOTHESIS, PREMISE),
        run("run", package, "--text-pair", HYPOTHESIS, "--input", tmp_path / "premises.txt"),
    ]
    with inferox.load(package) as model:
        (pair,), (alone,) = model.classify([(PREMISE, HYPOTHESIS)]), model.classify([PREMISE])

    found = [records(done) for done in forms]

    assert all(len(rows) == 1 for rows in found)
    assert [(row["text"], row["text_pair"]) for (row,) in found] == [(PREMISE, HYPOTHESIS)] * len(forms)
    for (row,) in found:
        assert scores(row) == {label.label: label.score for label in pair}
        assert scores(row) != {label.label: label.score for label in alone}
    assert "a man is eating | nobody eats" in run("run", package, "--table", "--pairs", PREMISE, HYPOTHESIS).out


def test_ranked_pairs_are_the_same_in_every_form_of_input(run: Run, packages: Packages, tmp_path: Path) -> None:
    package = packages["rerank"]
    (tmp_path / "pairs.tsv").write_text("who?\ta fox\n")
    found = [
        records(run("run", package, "--query", "who?", "a fox")),
        records(run("run", package, "--pairs", "who?", "a fox")),
        records(run("run", package, "--pairs", "--input", tmp_path / "pairs.tsv")),
        records(run("run", package, "--jsonl", "-", stdin=b'["who?", "a fox"]')),
        records(run("run", package, "--jsonl", "-", stdin=b'{"text": "who?", "text_pair": "a fox"}')),
        records(run("run", package, "--jsonl", "-", stdin=b'{"query": "who?", "document": "a fox"}')),
    ]

    assert all(rows == found[0] for rows in found)
    assert [(row["query"], row["document"]) for row in found[0]] == [("who?", "a fox")]


@pytest.mark.parametrize(
    ("task", "line", "named"),
    [
        (
            "embed",
            PAIR,
            'unknown key text_pair\n  hint: this task takes text, as in {"text": "…"}; to read a column of --input',
        ),
        (
            "token-classify",
            b'{"text": "x", "id": 3, "lang": "de"}',
            "unknown keys id, lang\n",
        ),
        (
            "classify",
            b'{"text": "x", "textPair": "y"}',
            "unknown key textPair\n",
        ),
        ("classify", b'{"text_pair": "y"}', "must be a JSON string, a list of two, or an object"),
        ("classify", b'{"text": "x", "text_pair": null}', "must be a JSON string, a list of two"),
        ("classify", b'["x", "y", "z"]', "must be a JSON string, a list of two"),
        ("classify", b'{"text": "x", "text": "y"}', "the field 'text' appears twice"),
        ("embed", b'["x", "y"]', "must be a JSON string, or an object"),
        ("rerank", b'{"query": "x", "documents": ["y"], "top_k": 3}', "unknown key top_k"),
        ("rerank", b'{"query": "x", "documents": ["y"], "document": "y"}', "must be a list of two texts, or an object"),
        ("rerank", b'{"query": "x", "documents": ["y", 3]}', "must be a list of two texts, or an object"),
        ("rerank", b'["x"]', "must be a list of two texts, or an object"),
        ("image-classify", b'{"image": "x.png", "text": "y"}', "unknown key text\n  hint: this task takes image,"),
        ("image-classify", b'{"image": "data:image/png;base64,@@@"}', "is not base64"),
        ("image-classify", b'"https://example.org/a.png"', "is an address, and images are not fetched"),
        ("image-classify", b'{"image": "data:image/png,abc"}', "a URI such as data:image/png;base64,"),
    ],
)
def test_lines_of_the_wrong_form_are_refused(run: Run, packages: Packages, task: str, line: bytes, named: str) -> None:
    done = run("run", packages[task], "--jsonl", "-", stdin=line)

    assert (done.code, done.out) == (4, "")
    assert "line 1" in done.err
    assert named in done.err


@pytest.mark.parametrize(
    ("task", "options"),
    [("embed", ()), ("classify", ("--pair-column", "about")), ("rerank", ("--pair-column", "about"))],
)
def test_the_hint_on_other_columns_leads_to_their_results(
    run: Run, packages: Packages, tmp_path: Path, task: str, options: tuple[str, ...]
) -> None:
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 7, "body": "a fox", "about": "animals"}\n')
    command = ("run", packages[task], "--input", source, "--output", output)

    refused = run(*command)

    assert (refused.code, "add --column NAME" in refused.err) == (4, True)
    assert refused.err.endswith("where NAME is one of: body, about\n")
    assert ("--pair-column NAME" in refused.err) == bool(options)
    assert run(*command, "--column", "body", *options).code == 0
    assert json.loads(output.read_text())["id"] == 7


def test_of_many_columns_the_first_are_named(run: Run, packages: Packages) -> None:
    line = json.dumps({f"c{index}": "x" for index in range(20)}).encode()

    done = run("run", packages["embed"], "--jsonl", "-", stdin=line)

    assert done.err.endswith("where NAME is one of: c0, c1, c2, c3, c4, c5, c6, c7, …\n")


@pytest.mark.parametrize(
    ("task", "arguments", "named"),
    [
        ("classify", ("--pairs", "a", "b", "c"), "--pairs takes an even number of arguments, but there are 3"),
        ("embed", ("--pairs", "a", "b"), "--pairs is for the task classify or rerank"),
        ("embed", ("--text-pair", "a", "b"), "--text-pair is for the task classify"),
        ("classify", ("--pairs", "--text-pair", "a", "b", "c"), "excludes --query and --text-pair"),
        ("embed", ("--jsonl", '{"text": "x"}'), "--jsonl is for the lines of an input"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    run: Run, packages: Packages, task: str, arguments: tuple[str, ...], named: str
) -> None:
    done = run("run", packages[task], *arguments)

    assert (done.code, named in done.err) == (2, True)


@pytest.mark.parametrize("line", [b"one column\n", b"a\tb\tc\n"])
def test_lines_without_two_columns_are_refused(run: Run, packages: Packages, line: bytes) -> None:
    done = run("run", packages["classify"], "--pairs", "-", stdin=b"a\tb\n" + line)

    assert (done.code, "line 2 must have two columns, separated by a tab" in done.err) == (4, True)


def test_a_second_text_for_what_is_a_pair_already_is_refused(run: Run, packages: Packages) -> None:
    done = run("run", packages["classify"], "--jsonl", "--text-pair", "x", "-", stdin=PAIR)

    assert (done.code, "line 1 is already a pair" in done.err) == (4, True)


def test_json_lines_may_have_any_name(run: Run, packages: Packages, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_bytes(b'{"text": "hello"}\n')

    (record,) = records(run("run", packages["embed"], "--jsonl", "--input", tmp_path / "texts.txt"))

    assert record["text"] == "hello"


def test_lines_that_look_like_json_are_texts_and_that_is_said(run: Run, packages: Packages) -> None:
    done = run("run", packages["embed"], "-", stdin=b'{"text": "hello"}\n')

    assert records(done)[0]["text"] == '{"text": "hello"}'
    assert "looks like JSON and is taken as a text; --jsonl reads it as JSON" in done.err
    done = run("run", packages["embed"], "-", stdin=b'[sic]\n{"text": broken\n')
    assert (len(records(done)), "looks like JSON" in done.err) == (2, False)


def test_a_byte_order_mark_is_not_part_of_the_text(run: Run, packages: Packages) -> None:
    (record,) = records(run("run", packages["embed"], "-", stdin=b"\xef\xbb\xbfhello\r\n"))

    assert record["text"] == "hello"


def test_images_as_uris_and_on_standard_input(run: Run, packages: Packages, tmp_path: Path) -> None:
    package = packages["image-classify"]
    (tmp_path / "a.png").write_bytes(png())
    uri = b"data:image/png;base64," + base64.b64encode(png())
    (by_path,) = records(run("run", package, tmp_path / "a.png"))

    (by_uri,) = records(run("run", package, "--jsonl", "-", stdin=b'{"image": "' + uri + b'"}'))
    (piped,) = records(run("run", package, "-", stdin=png()))
    (listed,) = records(run("run", package, "-", stdin=f"{tmp_path / 'a.png'}\n".encode()))

    assert (by_uri["image"], piped["image"], listed["image"]) == ("line 1", "standard input", str(tmp_path / "a.png"))
    assert scores(by_uri) == scores(piped) == scores(listed) == scores(by_path)


def test_of_an_animation_the_first_frame_is_taken_and_that_is_said(
    run: Run, packages: Packages, tmp_path: Path
) -> None:
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "one.gif")
    frames[0].save(tmp_path / "two.tiff", save_all=True, append_images=frames[1:])

    moving = run("run", packages["image-classify"], tmp_path / "two.gif")
    still = run("run", packages["image-classify"], tmp_path / "one.gif")

    assert scores(records(moving)[0]) == scores(records(still)[0])
    assert "two.gif) has several frames, and the first is classified" in moving.err
    assert "frames" not in still.err
    assert "two.tiff) has several frames" in run("run", packages["image-classify"], tmp_path / "two.tiff").err


def test_pipes_and_devices_are_refused_without_waiting(run: Run, packages: Packages, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.npz")
    os.mkfifo(tmp_path / "fifo.png")

    for arguments in (
        (packages["image-classify"], tmp_path / "fifo.png"),
        (packages["image-classify"], "/dev/zero"),
        (packages["raw"], "--trust-code", tmp_path / "fifo.npz"),
    ):
        done = run("run", *arguments)
        assert (done.code, "must be a regular file" in done.err) == (4, True)


def test_python_opens_a_path_and_refuses_a_text(packages: Packages, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    with inferox.load(packages["image-classify"]) as model:
        assert len(model.classify_images([tmp_path / "a.png"])) == 1
        with pytest.raises(RequestError, match=r"image 0 must be the bytes of a file.* \(read the file first"):
            model.classify_images([str(tmp_path / "a.png")])
        with pytest.raises(RequestError, match="got a single one"):
            model.classify_images(str(tmp_path / "a.png"))


def test_standard_input_is_not_one_item_of_several(run: Run, packages: Packages) -> None:
    for arguments in (["a", "-"], ["-", "-"], ["-", "--input", "x.txt"]):
        done = run("run", packages["embed"], *arguments, stdin=b"a line\n")
        assert (done.code, done.out) == (4, "")
        assert "- stands for standard input, which must be the only source of items" in done.err
