"""Prints the tensors of a safetensors file, with nothing but the standard
library.

usage: read-safetensors.py FILE [NAME]

Each line has a tensor's name, its extents and, if it is named, its elements as
hexadecimal words.
"""

import json
import struct
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
(length,) = struct.unpack_from("<Q", data)
header = json.loads(data[8 : 8 + length])
header.pop("__metadata__")
for name, tensor in header.items():
    if sys.argv[2:] not in ([], [name]):
        continue
    begin, end = (8 + length + offset for offset in tensor["data_offsets"])
    words = struct.unpack("<%dI" % ((end - begin) // 4), data[begin:end])
    print(name, *tensor["shape"], end=" " if sys.argv[2:] else "\n")
    if sys.argv[2:]:
        print(*("%08x" % word for word in words))
