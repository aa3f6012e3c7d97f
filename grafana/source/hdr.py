"""The HDR histograms of results.json: V2, deflated, base64. https://github.com/HdrHistogram/HdrHistogram, V2EncodedHistogram"""

import base64
import bisect
import itertools
import math
import struct
import zlib

# Buckets in the lower half of each power of two, with three significant digits.
HALF, HALF_BITS = 1024, 10


def counts_of(text):
    """The counts in a histogram: time in nanoseconds -> how many."""
    packed = base64.b64decode(text)
    inner = zlib.decompress(packed[8:])
    digits = struct.unpack_from(">i", inner, 12)[0]
    if digits != 3:
        raise ValueError(f"a histogram with {digits} digits, and not with 3")
    found, at, index = {}, 40, 0
    while at < len(inner):
        number, at = varint(inner, at)
        if number < 0:
            index -= number  # so many buckets are empty
            continue
        found[value_at(index)] = number
        index += 1
    return {value: count for value, count in found.items() if count}


def varint(data, at):
    """A number in ZigZag LEB128, whose ninth byte has eight bits, and where the next one begins."""
    number = shift = 0
    for place in range(9):
        byte = data[at]
        at += 1
        number |= (byte if place == 8 else byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return (number >> 1) ^ -(number & 1), at


def value_at(index):
    """The lowest time that the bucket with this index counts."""
    bucket, part = (index >> HALF_BITS) - 1, (index & (HALF - 1)) + HALF
    return part - HALF if bucket < 0 else part << bucket


def around(counts, q):
    """The times next to the quantile q of these counts, one place below it and one above: which of them it is depends on rounding."""
    total = sum(counts.values())
    rank = math.ceil(q * total)
    ends = list(itertools.accumulate(counts[time] for time in sorted(counts)))
    place = lambda wanted: bisect.bisect_left(ends, min(max(wanted, 1), total))
    return [sorted(counts)[place(rank + step)] for step in (-1, 1)]
