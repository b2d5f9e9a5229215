"""Bodies that come packed."""

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import AttemptFailed
from server.packing import Unpacker, unpacker


def unpacked(blocks: list[bytes]) -> bytes:
    one, pieces = Unpacker(), list[bytes]()
    for block in [*blocks, b""]:
        pieces.append(one.unpack(block))
        while one.left:
            pieces.append(one.unpack(one.left))
    return b"".join(pieces)


@given(
    parts=st.lists(st.binary(max_size=40) | st.integers(1, 300_000).map(bytes), min_size=1, max_size=4),
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    packed_by=st.sampled_from(["gzip", "zlib"]),
)
def test_any_parts_cut_anywhere_give_what_was_packed(
    parts: list[bytes], cuts: list[int], packed_by: str
) -> None:
    pack = gzip.compress if packed_by == "gzip" else zlib.compress
    packed = b"".join(pack(part) for part in parts)
    edges = [0, *sorted(cut % (len(packed) + 1) for cut in cuts), len(packed)]
    blocks = [packed[start:end] for start, end in pairwise(edges)]
    assert unpacked([block for block in blocks if block]) == b"".join(parts)


def test_a_piece_is_small_however_much_is_packed() -> None:
    one = Unpacker()
    assert len(one.unpack(gzip.compress(bytes(10**8)))) <= 64 * 1024
    assert one.left


def test_what_is_not_packed_is_a_broken_answer() -> None:
    with pytest.raises(AttemptFailed, match="cannot be unpacked"):
        Unpacker().unpack(b"{}" * 20)


def test_an_encoding_that_is_not_known_is_a_broken_answer() -> None:
    assert unpacker("identity") is None
    with pytest.raises(AttemptFailed, match="nobody asked for"):
        unpacker("br")
