"""A second reader of the container, from FORMAT.md alone: standard library, no code of the package.

Laid out like the text: sections 2, 3 and 4. It returns plain dicts, and raises ValueError.
"""

from __future__ import annotations

import binascii


def varint(b: bytes, i: int) -> tuple[int, int]:
    total = 0
    for n in range(5):
        byte = b[i + n]
        total += (byte % 128) * 128**n
        if byte < 128:
            if n and byte == 0:
                raise ValueError("varint not shortest")
            return total, i + n + 1
    raise ValueError("varint too long")


def read(b: bytes) -> dict[str, object]:
    if len(b) > 536870912:
        raise ValueError("too long")
    try:
        return _read(b)
    except IndexError:
        raise ValueError("ends early") from None


def _read(b: bytes) -> dict[str, object]:
    # 2. signature and header
    if b[:8] != bytes.fromhex("895349430d0a1a0a"):
        raise ValueError("signature")
    version, flags = b[8], b[9]
    if version != 1 or flags > 1:
        raise ValueError("version or flags")
    width, i = varint(b, 10)
    height, i = varint(b, i)
    levels, model = b[i], b[i + 1 : i + 9]
    i += 9
    if not (1 <= width <= 65535 and 1 <= height <= 65535 and 1 <= levels <= 64):
        raise ValueError("range")
    if width * height > 178_000_000:
        raise ValueError("pixels")
    header_crc = binascii.crc32(b[8:i])
    if len(b) < i + 4 or header_crc != int.from_bytes(b[i : i + 4], "big"):
        raise ValueError("header checksum")
    i += 4
    # 3. chunks
    chunks, first = [], i
    while i < len(b) and b[i] >= 65:
        kind = b[i : i + 4]
        if len(kind) < 4 or not kind.isalpha():
            raise ValueError("chunk type")
        size, j = varint(b, i + 4)
        data = b[j + 4 : j + 4 + size]
        if size > 16 << 20 or len(data) < size:
            raise ValueError("chunk length")
        check = binascii.crc32(b[i:j] + data, header_crc)
        if check != int.from_bytes(b[j : j + 4], "big"):
            raise ValueError("chunk checksum")
        if kind[0] < 97 and kind != b"ALPH":
            raise ValueError("critical chunk")
        chunks.append((kind.decode(), data))
        i = j + 4 + size
        if len(chunks) > 256 or i - first > 16 << 20:
            raise ValueError("too many chunks")
    # 4. layers
    layers: list[dict[str, object]] = []
    while i < len(b) and len(layers) <= levels:
        try:
            if b[i] != len(layers):
                break
            size, j = varint(b, i + 6)
            payload = b[j + 4 : j + 4 + size]
            check = binascii.crc32(b[i:j] + payload, header_crc)
            if (
                size > 536870912
                or len(payload) < size
                or len(b) < j + 4
                or check != int.from_bytes(b[j : j + 4], "big")
            ):
                break
        except (IndexError, ValueError):
            break
        layers.append(
            {
                "psnr": b[i + 1],
                "digest": int.from_bytes(b[i + 2 : i + 6], "big"),
                "payload": payload,
                "end": j + 4 + size,
            }
        )
        i = j + 4 + size
    return {
        "width": width,
        "height": height,
        "levels": levels,
        "grey": bool(flags & 1),
        "model": model,
        "chunks": chunks,
        "layers": layers,
    }
