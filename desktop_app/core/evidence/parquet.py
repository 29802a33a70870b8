"""Writes the findings of a scan as Parquet tables, which pandas, DuckDB and others read without this program.

docs/evidence.md lists every column.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.evidence.batch import lens_points
from desktop_app.core.evidence.findings import FROM_EACH, Findings, Passages
from desktop_app.core.evidence.heads import SCORES
from desktop_app.core.evidence.neurons import SIDES
from desktop_app.core.evidence.windows import Windows
from desktop_app.gpt2.config import Config

Array = NDArray[Any]

BEFORE, AFTER = 16, 8
"""The maximum number of tokens in a passage's excerpt before its position, and from its position on."""

TABLES = ("neurons", "passages", "heads", "positions", "tokens", "windows", "lens")


def write_tables(
    folder: Path, found: Findings, windows: Windows, files: list[str], config: Config, about: Mapping[str, str]
) -> None:
    """Write every table into `folder`, with `about` in the metadata of each. Raises OSError, as on a full disk."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    note = {key.encode(): value.encode() for key, value in about.items()}

    def write(name: str, batches: Iterator[dict[str, Any]]) -> None:
        writer = None
        try:
            for columns in batches:
                table = pa.table(columns)
                if writer is None:
                    schema = table.schema.with_metadata(note)
                    writer = pq.ParquetWriter(folder / f"{name}.parquet", schema, compression="zstd")
                writer.write_table(table.cast(writer.schema))
        finally:
            if writer is not None:
                writer.close()

    write("neurons", _neurons(pa, found, config))
    write("passages", _passages(pa, found, windows))
    write("heads", _heads(pa, found, config))
    used = len(found.loss) if not len(windows) else int(windows.index["length"].max()) - 1
    write("positions", iter([_positions(pa, found, used)]))
    write("tokens", iter([{"id": pa.array(np.arange(len(found.tokens)), pa.int32()), "count": pa.array(found.tokens)}]))
    write("windows", _windows(pa, windows, files))
    if found.lens is not None:
        accuracy, loss, count = found.lens
        columns = {"point": lens_points(config), "accuracy": accuracy, "loss": loss, "count": count}
        write("lens", iter([{name: pa.array(values) for name, values in columns.items()}]))


def _lists(pa: Any, rows: Array) -> Any:
    """A column of lists from [row, entry]."""
    offsets = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, np.ascontiguousarray(rows).reshape(-1))


def _neurons(pa: Any, found: Findings, config: Config) -> Iterator[dict[str, Any]]:
    names = ("mean", "variance", "positive", "first_mean", "first_variance")
    for layer in range(config.n_layer):
        for side in SIDES:
            of = found.neurons[side]
            columns = {
                "layer": pa.array(np.full(config.d_mlp, layer), pa.int32()),
                "neuron": pa.array(np.arange(config.d_mlp), pa.int32()),
                "side": pa.array([side] * config.d_mlp),
            }
            columns |= {name: pa.array(getattr(of, name)[layer]) for name in names}
            yield columns | {"histogram": _lists(pa, of.histogram[layer])}


def _passages(pa: Any, found: Findings, windows: Windows) -> Iterator[dict[str, Any]]:
    for side in SIDES:
        for kind, passages in (("top", found.top[side]), ("decile", found.deciles[side])):
            for layer in range(len(passages.value)):
                yield _passage_rows(pa, windows, passages, layer, "neuron", f"{side}.{kind}")
    for layer in range(len(found.head_top.value)):
        yield _passage_rows(pa, windows, found.head_top, layer, "head", "result.top")
    pairs = found.pairs
    asked = Passages(*(pairs[name].transpose(0, 2, 1) for name in ("weight", "window", "query")))
    for layer in range(len(asked.value)):
        yield _passage_rows(pa, windows, asked, layer, "head", "pair.top", pairs["key"].transpose(0, 2, 1)[layer])


def _passage_rows(
    pa: Any, windows: Windows, found: Passages, layer: int, unit: str, kind: str, key: Array | None = None
) -> dict[str, Any]:
    value, window, position = found.value[layer].T, found.window[layer].T, found.position[layer].T  # [unit, rank]
    there = (window >= 0) & ((value >= 0) if key is not None else True)
    units, ranks = np.nonzero(there)
    value, window, position = value[there], window[there], position[there]
    deciled = kind.endswith("decile")
    ids, start = excerpts(windows, window, position)
    blank = pa.nulls(len(units), pa.int32())
    of = pa.array(units, pa.int32())
    return {
        "layer": pa.array(np.full(len(units), layer), pa.int32()),
        "neuron": of if unit == "neuron" else blank,
        "head": of if unit == "head" else blank,
        "kind": pa.array([kind] * len(units)),
        "decile": pa.array(ranks // FROM_EACH, pa.int32()) if deciled else blank,
        "rank": pa.array(ranks % FROM_EACH if deciled else ranks, pa.int32()),
        "value": pa.array(value, pa.float32()),
        "window": pa.array(window, pa.int64()),
        "position": pa.array(position, pa.int32()),
        "key": pa.array(key.T[there], pa.int32()) if key is not None else blank,
        "start": pa.array(start, pa.int32()),
        "ids": pa.ListArray.from_arrays(*ids),
    }


def excerpts(windows: Windows, window: Array, position: Array) -> tuple[tuple[Array, Array], Array]:
    """The ids around each position, as offsets and concatenated ids, and the position at which each excerpt begins."""
    rows = windows.index[window]
    start = np.maximum(0, position - BEFORE)
    size = np.minimum(rows["length"], position + AFTER) - start
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.int32)
    places = np.repeat(rows["start"] + start - offsets[:-1], size) + np.arange(offsets[-1])
    return (offsets, np.asarray(windows.ids[places])), start


def _heads(pa: Any, found: Findings, config: Config) -> Iterator[dict[str, Any]]:
    heads = found.heads
    layer, head = (grid.reshape(-1) for grid in np.mgrid[: config.n_layer, : config.n_head])
    columns: dict[str, Any] = {"layer": pa.array(layer, pa.int32()), "head": pa.array(head, pa.int32())}
    for n, name in enumerate(SCORES):
        columns[name] = pa.array(heads.scores[n].reshape(-1), from_pandas=True)  # NaN becomes null
        columns[f"{name}_spread"] = pa.array(heads.spread[n].reshape(-1), from_pandas=True)
    columns["norm"] = pa.array(heads.norm.reshape(-1))
    columns["norm_spread"] = pa.array(heads.norm_spread.reshape(-1))
    columns["first_norm"] = pa.array(heads.first_norm.reshape(-1))
    columns["distances"] = _lists(pa, heads.distances.reshape(-1, heads.distances.shape[-1]))
    yield columns


def _positions(pa: Any, found: Findings, used: int) -> dict[str, Any]:
    return {
        "position": pa.array(np.arange(used), pa.int32()),
        "loss": pa.array(found.loss[:used], from_pandas=True),
        "spread": pa.array(found.loss_spread[:used], from_pandas=True),
        "count": pa.array(found.loss_count[:used]),
    }


_ROWS = 4096


def _windows(pa: Any, windows: Windows, files: list[str]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(windows), _ROWS):
        rows = windows.index[start : start + _ROWS]
        first = int(rows["start"][0])
        offsets = np.concatenate([rows["start"] - first, [rows["start"][-1] + rows["length"][-1] - first]])
        ids = np.array(windows.ids[first : first + offsets[-1]])
        yield {
            "window": pa.array(np.arange(start, start + len(rows))),
            "file": pa.array([files[n] for n in rows["file"]]),
            "record": pa.array(rows["record"]),
            "offset": pa.array(rows["offset"]),
            "ids": pa.ListArray.from_arrays(offsets.astype(np.int32), ids),
        }
