"""Writes the folder `activations` that tests/activations.rs reads.

Needs Python, numpy 2, torch 2, safetensors 0.8, datasets 5.2 with pyarrow 26. The values follow from the
place: see `activation` below and in the test; all are exact in bfloat16.
"""

import os
import shutil

import datasets
import numpy
import pyarrow
import safetensors.torch
import torch

here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "activations")
shutil.rmtree(here, ignore_errors=True)
os.makedirs(here)
os.chdir(here)
SEQUENCES, CONTEXT, WIDTH = 7, 5, 3


def activation(rows, width):
    row, column = numpy.arange(rows)[:, None], numpy.arange(width)[None, :]
    return ((row * 7 + column * 3) % 255 - 127) / 8


cube = activation(SEQUENCES * CONTEXT, WIDTH).reshape(SEQUENCES, CONTEXT, WIDTH)
tensors = {
    "f16": torch.tensor(cube).half(),
    "bf16": torch.tensor(cube).bfloat16(),
    "f32": torch.tensor(cube.reshape(-1, WIDTH)).float(),
    "f64": torch.tensor(cube.reshape(-1, WIDTH)),
    "tokens": torch.arange(SEQUENCES * CONTEXT),
    "vector": torch.zeros(4),
}
safetensors.torch.save_file(tensors, "tensors.safetensors")
safetensors.torch.save_file({"only": tensors["bf16"], "tokens": tensors["tokens"]}, "one.safetensors")

halves = cube.reshape(-1, WIDTH).astype("f2")
numpy.save("half.npy", halves)
numpy.save("half_big.npy", numpy.asfortranarray(halves.astype(">f2")))


def cache(dtype, folder, shards, hooks=("blocks.0.hook",)):
    """What SAELens' CacheActivationsRunner saves."""
    columns = {hook: datasets.Array2D((CONTEXT, WIDTH), dtype) for hook in hooks}
    columns["token_ids"] = datasets.Sequence(datasets.Value("int32"), length=CONTEXT)
    # Neither belongs to a row of activations.
    columns["source"] = datasets.Value("string")
    columns["length"] = datasets.Value("int64")
    rows = {hook: (cube * (1 + k)).astype(dtype) for k, hook in enumerate(hooks)}
    rows["token_ids"] = numpy.arange(SEQUENCES * CONTEXT, dtype="int32").reshape(SEQUENCES, CONTEXT)
    rows["source"] = ["text %d" % i for i in range(SEQUENCES)]
    rows["length"] = [CONTEXT] * SEQUENCES
    made = datasets.Dataset.from_dict(rows, features=datasets.Features(columns))
    made.save_to_disk(folder, num_shards=shards)


cache("float32", "cache32", 2)
cache("float16", "cache16", 1, ("blocks.0.hook", "blocks.1.hook"))

# One vector for each row, in the file format and several batches, with a part that was cut out.
flat = pyarrow.array(list(cube.reshape(-1, WIDTH)), pyarrow.large_list(pyarrow.float64()))
table = pyarrow.table({"x": flat, "place": pyarrow.array(range(SEQUENCES * CONTEXT), pyarrow.int64())})
with pyarrow.OSFile("flat.arrow", "wb") as sink:
    with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table.slice(4), max_chunksize=10)

fixed = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(cube.reshape(-1), pyarrow.float32()), WIDTH)
refused = {
    "fixed": pyarrow.table({"x": fixed}),
    "ragged": pyarrow.table({"x": pyarrow.array([[1.0, 2.0], [3.0]])}),
    "missing": pyarrow.table({"x": pyarrow.array([[1.0, None]])}),
    "words": pyarrow.table({"x": pyarrow.array(["a", "b"]), "y": pyarrow.array([1.5, 2.5])}),
}
for name, table in refused.items():
    with pyarrow.OSFile(name + ".arrow", "wb") as sink:
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
with pyarrow.OSFile("packed.arrow", "wb") as sink:
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with pyarrow.ipc.new_stream(sink, refused["fixed"].schema, options=options) as writer:
        writer.write_table(refused["fixed"])
