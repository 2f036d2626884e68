"""What fakesnow does otherwise than Snowflake, or slowly, and has no setting for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pyarrow
import pyarrow.compute
from fakesnow import arrow, transforms
from sqlglot import exp
from statements import parsed_once


def correct_fakesnow() -> None:
    """What fakesnow does otherwise than Snowflake, or slowly, and has no setting for."""
    arrow.timestamp_to_sf_struct = with_nulls(arrow.timestamp_to_sf_struct)
    # it sums numbers as doubles in case they are text; on Snowflake a sum of exact numbers is exact
    transforms.numeric_agg_implicit_cast = lambda expression: expression
    # it parses a statement twice, and so would this file
    for module in ("fakesnow.cursor", "fakesnow.server"):
        sys.modules[module].parse_one = lambda sql: parsed_once(sql).copy()
    # its seventy rewrites of a statement copy the whole of it each time, two thirds of the time that it takes
    in_place = exp.Expression.transform
    exp.Expression.transform = lambda self, *args, copy=False, **kwargs: in_place(self, *args, copy=copy, **kwargs)


def with_nulls(encode: Callable[[Any], pyarrow.StructArray]) -> Callable[[Any], pyarrow.StructArray]:
    """fakesnow's encoding of timestamps, in which a null would be the first second of 1970."""

    def encode_with_nulls(timestamps: Any) -> pyarrow.StructArray:
        if isinstance(timestamps, pyarrow.ChunkedArray):
            timestamps = timestamps.combine_chunks()
        struct = encode(timestamps)
        return pyarrow.StructArray.from_arrays(
            [pyarrow.compute.fill_null(child, 0) for child in struct.flatten()],
            fields=list(struct.type),
            mask=pyarrow.compute.is_null(timestamps),
        )

    return encode_with_nulls
