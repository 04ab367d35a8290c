"""Sealing: opens under the right key, owner and purpose, and under nothing else."""

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tpsd.errors import SealError
from tpsd.store.seal import WRAPPED_BYTES, Pool, Sealed, keyed_digest, rewrap, seal, unseal, unwrap, wrap

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))
PLAIN = b'{"tag":"the card"}'


def sealed(plain: bytes = PLAIN) -> Sealed:
    return seal(4, KEY, "owner", "body", plain)


def changed(box: Sealed, name: str, value: bytes) -> Sealed:
    fields: dict[str, Any] = {name: value}
    return replace(box, **fields)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@given(st.binary(max_size=2000))
def test_what_is_sealed_opens(plain: bytes) -> None:
    box = sealed(plain)
    assert box.epoch == 4
    assert unseal(KEY, "owner", "body", box) == plain
    assert len(plain) < 8 or plain not in box.data + box.wrapped_key


def test_nothing_else_opens_it() -> None:
    box = sealed()
    for key, owner, purpose in ((OTHER, "owner", "body"), (KEY, "another", "body"), (KEY, "owner", "tap")):
        with pytest.raises(SealError, match="does not open"):
            unseal(key, owner, purpose, box)


def test_every_flipped_bit_is_noticed() -> None:
    box = sealed()
    for name in ("data", "wrapped_key", "nonce"):
        whole = getattr(box, name)
        for at in range(len(whole)):
            with pytest.raises(SealError, match="does not open"):
                unseal(KEY, "owner", "body", changed(box, name, flipped(whole, at)))


@pytest.mark.parametrize("cut", [0, 1, 11, 12, 15, 27])
def test_what_is_cut_is_noticed(cut: int) -> None:
    box = sealed()
    for name in ("data", "wrapped_key", "nonce"):
        whole = getattr(box, name)
        with pytest.raises(SealError):
            unseal(KEY, "owner", "body", changed(box, name, whole[: min(cut, len(whole) - 1)]))


def test_two_seals_of_one_text_share_nothing() -> None:
    one, two = sealed(), sealed()
    assert len({one.data, two.data, one.nonce, two.nonce, one.wrapped_key, two.wrapped_key}) == 6


def test_a_body_wrapped_anew_opens_under_the_new_key_alone() -> None:
    box = sealed()
    moved = replace(box, epoch=5, wrapped_key=rewrap(KEY, OTHER, "owner", "body", box.wrapped_key, os.urandom))
    assert unseal(OTHER, "owner", "body", moved) == PLAIN
    assert (moved.data, moved.nonce) == (box.data, box.nonce)
    with pytest.raises(SealError):
        unseal(KEY, "owner", "body", moved)
    with pytest.raises(SealError):
        rewrap(OTHER, KEY, "owner", "body", box.wrapped_key, os.urandom)


def test_a_wrapped_key_has_its_label_and_its_length() -> None:
    wrapped = wrap(KEY, OTHER, "epoch 1")
    assert len(wrapped) == WRAPPED_BYTES
    assert unwrap(KEY, wrapped, "epoch 1") == OTHER
    with pytest.raises(SealError, match=r"epoch 2 does not open"):
        unwrap(KEY, wrapped, "epoch 2")
    with pytest.raises(SealError):
        unwrap(b"short", wrapped, "epoch 1")


def test_entropy_is_asked_for_keys_and_nonces_and_nothing_else() -> None:
    asked: list[int] = []

    def counting(size: int) -> bytes:
        asked.append(size)
        return os.urandom(size)

    seal(1, KEY, "owner", "body", PLAIN, counting)
    assert sorted(asked) == [12, 12, 32]


def test_a_box_does_not_print_what_is_in_it() -> None:
    box = sealed()
    assert repr(box) == "Sealed(epoch=4)"


def test_a_digest_is_keyed() -> None:
    assert keyed_digest(KEY, PLAIN) == keyed_digest(KEY, PLAIN) != keyed_digest(OTHER, PLAIN)
    assert len(keyed_digest(KEY, b"")) == 32


def test_a_pool_gives_every_byte_at_most_once() -> None:
    drawn_from = iter(n.to_bytes(4, "big") for n in range(1_000_000))

    def source(size: int) -> bytes:
        return b"".join(next(drawn_from) for _ in range(size // 4))

    pool = Pool(source)
    parts = [pool(size) for size in (12, 32, 4000, 40, 8000, 12, *(4 for _ in range(2000)))]
    assert [len(part) for part in parts[:6]] == [12, 32, 4000, 40, 8000, 12]
    numbers = [part[at : at + 4] for part in parts for at in range(0, len(part), 4)]
    assert len(numbers) == len(set(numbers))
