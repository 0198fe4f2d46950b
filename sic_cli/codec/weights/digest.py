"""The identity of weights: SHA-256 of its weights file, checked before anything is parsed."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ...errors import ModelError

MODEL_BYTES = 8
MAX_WEIGHTS = 256 << 20


def read_checked(path: Path, want: str) -> bytes:
    """The bytes of a weights file whose SHA-256 is `want` (hex). Raises ModelError otherwise."""
    try:
        if path.stat().st_size > MAX_WEIGHTS:
            raise ModelError(f"{path}: larger than {MAX_WEIGHTS} bytes")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: {error.strerror}") from None
    got = hashlib.sha256(data).hexdigest()
    if got != want:
        raise ModelError(
            f"{path}: digest {got[:16]} is not the card's {want[:16]}: damaged or exchanged weights",
            "reinstall sic",
        )
    return data


def model_id(digest: str) -> bytes:
    """What files carry: the first 8 bytes of the digest."""
    return bytes.fromhex(digest)[:MODEL_BYTES]
