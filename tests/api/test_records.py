"""Uploads are cut into records the same way however they arrive."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.problems import MalformedBodyError, TooLargeError
from api.records import Record, records

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('"\\{}[],: \nä', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('"\\{}[],x', max_size=4), inner, max_size=3),
    max_leaves=12,
)


class Upload:
    """A request whose body arrives in chunks."""

    def __init__(self, body: bytes, chunk: int, content_type: bytes = b"application/json") -> None:
        self.scope = {"headers": [(b"content-type", content_type)]}
        self._chunks = [body[at : at + chunk] for at in range(0, len(body), chunk)]

    async def stream(self):
        for chunk in self._chunks:
            yield chunk


async def cut(body: bytes, chunk: int, content_type: bytes = b"application/json", limit: int = 10_000) -> list[Record]:
    upload: Any = Upload(body, chunk, content_type)
    return [record async for record in records(upload, 1_000_000, limit)]


@given(st.lists(VALUES, max_size=5), st.integers(1, 40), st.sampled_from([None, 1]))
@settings(max_examples=60, deadline=None)
async def test_array_elements_are_those_that_json_sees(values, chunk, indent):
    """Strings with brackets and quotes, nesting, white space and chunk borders never move a cut."""
    found = await cut(json.dumps(values, indent=indent).encode(), chunk)
    assert [json.loads(record.data) for record in found] == values
    assert [record.number for record in found] == list(range(1, len(values) + 1))


@given(st.lists(st.dictionaries(st.text(max_size=3), VALUES), min_size=1, max_size=5), st.integers(1, 40))
@settings(max_examples=60, deadline=None)
async def test_lines_are_those_that_json_sees(values, chunk):
    """NDJSON is recognised by its form too, and each record's first byte is known."""
    body = b"\n".join(json.dumps(value).encode() for value in values)
    found = await cut(body, chunk)
    assert [json.loads(record.data) for record in found] == values
    assert all(body[record.start :].startswith(record.data) for record in found)


@pytest.mark.parametrize("chunk", [1, 5, 1000])
async def test_one_object_over_many_lines(chunk):
    """A single document may be written for people."""
    found = await cut(b'{\n "a": {\n  "b": 1\n }\n}\n', chunk)
    assert [json.loads(record.data) for record in found] == [{"a": {"b": 1}}]


@pytest.mark.parametrize(
    ("body", "numbers", "faulty"),
    [
        (b'[{"a":1},{bad},{"b":2}]', [1, 2, 3], []),
        (b'[{"a":1},]', [1, 2], []),
        (b'[{"a":1}', [1], [1]),
        (b'[{"a":1}] x', [1, 2], [2]),
        (b'{"a":1}\n\nxx\n{"b":2}\n', [1, 3, 4], []),
    ],
)
@pytest.mark.parametrize("chunk", [1, 1000])
async def test_a_broken_record_harms_no_other(body, numbers, faulty, chunk):
    """Faults keep their line, and the others theirs."""
    found = await cut(body, chunk)
    assert [record.number for record in found] == numbers
    assert [record.number for record in found if record.fault] == faulty


@pytest.mark.parametrize("body", [b"", b" \n ", b"nonsense", b"\xff\xfe", b"17"])
async def test_what_is_no_upload_is_refused_at_once(body):
    """A body that begins like neither form is malformed as a whole."""
    with pytest.raises(MalformedBodyError):
        await cut(body, 3)


@pytest.mark.parametrize("chunk", [7, 1000])
async def test_a_record_without_end_is_bounded(chunk):
    """Memory never holds more than one record of bounded size."""
    long = b'{"a":"' + b"x" * 500 + b'"}'
    lines = await cut(long + b'\n{"b":1}', chunk, b"application/x-ndjson", limit=100)
    assert [bool(record.fault) for record in lines] == [True, False]
    array = await cut(b"[" + long + b',{"b":1}]', 7, limit=100)
    assert array[-1].fault


async def test_the_body_limit_counts_what_arrives():
    """A body without Content-Length is cut off as soon as it passes the limit."""
    with pytest.raises(TooLargeError):
        await cut(b"[1," + b" " * 1_100_000 + b"1]", 65_536)
