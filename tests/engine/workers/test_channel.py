"""Messages between processes: they arrive as they were sent, without a copy, whatever their size."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import pytest

from inferox.engine.workers.channel import INLINE_BYTES, Channel, open_pair
from inferox.engine.workers.codec import encode
from inferox.engine.workers.failures import to_error
from inferox.engine.workers.items import explain, to_sendable
from inferox.engine.workers.messages import Answered, AnsweredLabels, AnsweredSpans, Ask, Done
from inferox.engine.workers.quarantine import digest_item
from inferox.engine.workers.unnamed_file import map_file, open_file
from inferox.tasks.image_file import ImageFile
from inferox.tasks.labels import LabelScore, Span

Pair = tuple[Channel, Channel]


@pytest.fixture
def channels() -> Iterator[Pair]:
    ours, theirs = map(Channel, open_pair())
    yield ours, theirs
    ours.close()
    theirs.close()


def send_through(channels: Pair, value: Any) -> Any:
    ours, theirs = channels
    ours.send(Done(1, value))
    (message,) = theirs.receive()
    assert isinstance(message, Done)
    return message.value


def test_a_value_of_the_wrong_type_fails_its_call_alone(channels: Pair) -> None:
    ours, theirs = channels
    ask = Ask(7, "model", "1", ["a"], None, 0, None, None, "cut")
    for strange in ({"unscaled": 1}, {"deadline_s": np.float32(2)}, {"priority": 2.5}, {"owner": 5}):
        ours.send(msgspec.structs.replace(ask, **strange))
    ours.send(AnsweredLabels(8, [3], "a", None, 0, {}, 1, None))  # type: ignore[list-item]
    ours.send(Done(9, "later"))
    found: list[Any] = []
    while len(found) < 6:
        found += theirs.receive()
    *failed, label, last = found
    assert {(each.call, each.kind) for each in failed} == {(7, "RequestError")}
    assert "cannot read the call 'ask': Expected `bool`, got `int`" in failed[0].message
    assert (label.call, label.kind) == (8, "ExecutionError")
    for each in (*failed, label):
        assert to_error(each).item is None  # with all facts of an error
    assert last == Done(9, "later")


@pytest.mark.parametrize(
    "value", [np.ma.masked_array([1, 2], [False, True]), memoryview(cast("Any", np.arange(6)[::2]))], ids=type
)
def test_what_would_lose_its_meaning_is_not_sent(value: Any) -> None:
    with pytest.raises((TypeError, BufferError)):
        encode(Done(1, [value]))
    assert digest_item("model", [value]) is None


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.arange(40_000, dtype=np.int64),
        np.zeros((3, 0), np.float16),
        np.array(["a", "text"]),
        np.arange(20)[::-2],
        np.array(7, np.int16),
        np.array([True, False]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_arrive_as_they_are_and_cannot_be_written_to(channels: Pair, array: np.ndarray[Any, Any]) -> None:
    found = send_through(channels, {"a": array, "b": [array, "beside"]})
    for arrived in (found["a"], found["b"][0]):
        assert arrived.dtype == array.dtype
        assert arrived.shape == array.shape
        np.testing.assert_array_equal(arrived, array)
        assert not arrived.flags.writeable
        assert arrived.flags.aligned


def test_a_large_message_is_in_memory_once(channels: Pair) -> None:
    files = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - the descriptors, not the files
    found = send_through(channels, np.arange(INLINE_BYTES))
    assert len(os.listdir("/proc/self/fd")) == files  # noqa: PTH208
    root = found
    while isinstance(root, np.ndarray):
        root = root.base
    # It is a view of the file, which is closed with it.
    assert "memfd:inferox" in Path("/proc/self/maps").read_text(encoding="ascii")
    del found, root
    assert "memfd:inferox" not in Path("/proc/self/maps").read_text(encoding="ascii")


def test_messages_that_come_together_are_taken_apart(channels: Pair) -> None:
    ours, theirs = channels
    values: list[Any] = [1, "x" * 100, np.arange(3), np.arange(INLINE_BYTES), "x" * INLINE_BYTES, np.arange(5), None]
    for value in values:
        ours.send(Done(1, value))
    found: list[Any] = []
    while len(found) < len(values):
        found += theirs.receive(wait=False)
    for message, value in zip(found, values, strict=True):
        np.testing.assert_array_equal(message.value, value)


def test_sending_waits_for_nobody(channels: Pair) -> None:
    ours, theirs = channels
    values = ["x" * (INLINE_BYTES // 2)] * 50 + [np.arange(INLINE_BYTES)] + ["y"]
    for value in values:  # nobody reads, and the socket holds less than this
        ours.send(Done(1, value))
    found: list[Any] = []
    while len(found) < len(values):
        found += [message.value for message in theirs.receive() if isinstance(message, Done)]
    assert found[:50] == values[:50]
    assert found[-1] == "y"


def test_threads_may_send_at_once(channels: Pair) -> None:
    ours, theirs = channels

    def send(start: int) -> None:
        for number in range(200):
            ours.send(Done(start + number, "x" * number * 20))

    threads = [threading.Thread(target=send, args=(1000 * index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    found: list[int] = []
    while len(found) < 800:
        found += [message.call for message in theirs.receive() if isinstance(message, Done)]
    for thread in threads:
        thread.join()
    for index in range(4):  # in the order in which each process has sent them
        assert [call for call in found if call // 1000 == index] == list(range(1000 * index, 1000 * index + 200))


def test_the_end_of_the_other_side_is_reported(channels: Pair) -> None:
    ours, theirs = channels
    theirs.close()
    ours.send(Done(1, "nobody"))  # raises nothing
    with pytest.raises(EOFError):
        ours.receive()


def test_a_file_that_could_shrink_is_refused() -> None:
    file = open_file()
    os.write(file, bytes(100))
    with pytest.raises(ValueError, match="is not sealed"):
        map_file(file, 100)
    file = open_file()
    with pytest.raises(ValueError, match="smaller than it says"):
        map_file(file, 100)


def test_a_message_without_its_file_is_refused() -> None:
    ours, theirs = open_pair()
    with ours:
        channel = Channel(theirs)
        ours.sendall(b"\x01" + bytes(15) + b"\x01" + bytes(15))
        with pytest.raises(ValueError, match="refers to a file, but none came"):
            channel.receive()
        channel.close()


def test_answers_have_the_types_of_their_tasks(channels: Pair) -> None:
    ours, theirs = channels
    labels = [(LabelScore("good", 0.5), LabelScore("bad", 0.25)), ()]
    spans: list[tuple[Span, ...]] = [(), (Span("PER", 0.5, 0, 3, "Ann"),)]
    ours.send(AnsweredLabels(1, labels, "artifact", None, 0, {}, 5, None))
    ours.send(AnsweredSpans(2, spans, "artifact", None, 2, {1: (3, True)}, 7, None))
    ours.send(Answered(3, [0.5], "artifact", "space", 0, {}, 1, "exact"))
    found = [message for message in theirs.receive() if isinstance(message, Answered)]
    assert [message.results for message in found] == [labels, spans, [0.5]]
    assert found[1].cut == {1: (3, True)}


def test_items_are_sent_as_they_are(channels: Pair, tmp_path: Path) -> None:
    items = ["text", ("a", "pair"), b"bytes", {"x": [[1.5, 2]]}, np.float32(0.5), ImageFile.at(tmp_path), None]
    items.append(ImageFile("name", b"content"))
    ours, theirs = channels
    ours.send(Ask(1, "model", "1", to_sendable(items), None, 0, None, None, "cut"))
    (message,) = theirs.receive()
    assert isinstance(message, Ask)
    assert message.items == [*items[:1], ["a", "pair"], *items[2:]]
    assert to_sendable(np.array(["a", b"b"], dtype=object)) == ["a", b"b"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["fine", "a\ud800b"], "text 1 has a lone surrogate at character 1: U\\+D800"),
        ([("a", "\ud800")], "the second text of pair 0 has a lone surrogate"),
        ([2**70], "an integer among the items has more than 64 bits"),
        ([Path("x")], "an item of the type PosixPath cannot leave this process"),
        ([[np.array([object()])]], "an array of the type object cannot be sent"),
    ],
)
def test_items_that_cannot_be_sent(items: list[Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)) as caught:
        encode(Done(1, to_sendable(items)))
    with pytest.raises(Exception, match=message):
        raise explain(caught.value, items)
