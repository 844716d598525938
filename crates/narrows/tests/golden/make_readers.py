"""Writes the arrays and pictures in the folder `readers` that tests/readers.rs reads.

Needs Python and numpy. The values follow from the place: see `array` below and
`stored_value` in the test. The pictures are put together from the PNG specification with zlib.
"""

import os
import struct
import zlib

import numpy

os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "readers"))


def array(kind):
    """3 rows of 4: up from the smallest value, around 0, down from the largest value."""
    step = numpy.arange(4)
    if kind == "b1":
        return numpy.array([[(i + j) % 2 == 1 for j in range(4)] for i in range(3)])
    if kind[0] in "iu":
        info = numpy.iinfo(kind)
        rows = [[int(info.min) + int(j) for j in step], [int(j) for j in step]]
        rows.append([int(info.max) - int(j) for j in step])
        return numpy.array(rows, dtype=kind)
    return numpy.array([[(-1) ** i / (1 + 4 * i + j) for j in step] for i in range(3)], dtype=kind)


arrays = {}
for kind in "b1 u1 i1 u2 i2 u4 i4 u8 i8 f4 f8".split():
    values = array(kind)
    for order in "CF":
        for endian in "<>":
            dtype = values.dtype.newbyteorder(endian)
            arrays[f"{kind}_{order}_{'little' if endian == '<' else 'big'}"] = numpy.array(
                values, dtype=dtype, order=order
            )
cube = numpy.arange(24, dtype="u1").reshape(2, 3, 4)
arrays["cube_C"] = cube
arrays["cube_F"] = numpy.asfortranarray(cube)
arrays["vector"] = numpy.arange(5, dtype="f4")
arrays["scalar"] = numpy.float32(1)
arrays["words"] = numpy.array(["a", "bc"])
arrays["complex"] = numpy.zeros((2, 2), "c16")
arrays["record"] = numpy.zeros(2, [("x", "f4"), ("shape", "i4")])
arrays["empty"] = numpy.zeros((0, 4))
numpy.savez("arrays.npz", **arrays)
numpy.savez_compressed("deflated.npz", X=array("f8"), y=numpy.array([3, 1, 3]))


def png(name, width, height, depth, colour, rows):
    def chunk(tag, body):
        return struct.pack(">I", len(body)) + tag + body + struct.pack(">I", zlib.crc32(tag + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + bytes(row) for row in rows))
    with open(name, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.write(chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b""))


png("grey.png", 3, 2, 8, 0, [[0, 10, 255], [1, 2, 3]])
png("coloured.png", 2, 1, 8, 2, [[255, 0, 0, 10, 200, 30]])
png("transparent.png", 2, 1, 8, 6, [[255, 0, 0, 0, 10, 200, 30, 255]])
# 16 bits: 0, 257, 65535 and 384 = 1.494 · 257
png("grey16.png", 4, 1, 16, 0, [[0, 0, 1, 1, 255, 255, 1, 128]])
