"""Writes a small data set in IDX format: 8x8 images of three classes.

usage: make-data.py DIR [--gzip] [--classes=3] [--size=8]

Class 0 has horizontal stripes, class 1 vertical ones, class 2 none.
"""

import argparse
import gzip
import os
import random
import struct


def image(label, size, noise):
    pixels = []
    for y in range(size):
        for x in range(size):
            stripe = y % 2 if label == 0 else x % 2 if label == 1 else 0.5
            pixels.append(int(200 * stripe) + noise.randrange(56))
    return bytes(pixels)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir")
    parser.add_argument("--gzip", action="store_true")
    parser.add_argument("--classes", type=int, default=3)
    parser.add_argument("--size", type=int, default=8)
    args = parser.parse_args()
    os.makedirs(args.dir, exist_ok=True)
    noise = random.Random(1)

    def write(name, content):
        path = os.path.join(args.dir, name)
        if args.gzip:
            with gzip.open(path + ".gz", "wb") as file:
                file.write(content)
        else:
            with open(path, "wb") as file:
                file.write(content)

    for prefix, count in (("train", 96), ("t10k", 30)):
        labels = bytes(i % args.classes for i in range(count))
        header = struct.pack(">4B3I", 0, 0, 8, 3, count, args.size, args.size)
        pixels = b"".join(image(label, args.size, noise) for label in labels)
        write(prefix + "-images-idx3-ubyte", header + pixels)
        header = struct.pack(">4BI", 0, 0, 8, 1, count)
        write(prefix + "-labels-idx1-ubyte", header + labels)


main()
