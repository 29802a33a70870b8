"""The difference of two graphs: the width of an edge shows by how much its weights in the two differ."""

from dataclasses import replace

from desktop_app.core.panels import GraphPanel, Hue, Knot, Source, Strand
from desktop_app.gpt2.phrase import Count, Phrase

_ROUNDING = 1e-5  # the weight of the same edge in two passes can differ by this much
_Place = tuple[int, int]
_Index = tuple[int, ...]


def graph_difference(one: GraphPanel, other: GraphPanel) -> GraphPanel:
    """`one` minus `other`, two graphs with the same levels; what is missing in one of them counts as 0 there.

    Nodes and edges have the absolute difference as their weight, and the kind of an edge says in which graph it weighs
    more.
    """
    knots, others = _knots(one), _knots(other)
    places = list(others | knots)
    positions = tuple(sorted({position for position, _ in places}))
    labels = dict(zip(other.positions, other.column_labels, strict=True))
    labels |= dict(zip(one.positions, one.column_labels, strict=True))
    nodes = []
    for place in places:
        knot, _ = (others | knots)[place]
        weights = [graph[place][0].weight if place in graph else 0.0 for graph in (knots, others)]
        nodes.append(replace(knot, column=positions.index(place[0]), weight=abs(weights[0] - weights[1])))
    mine, theirs = _weights(one), _weights(other)
    changes = {edge: mine.get(edge, 0.0) - theirs.get(edge, 0.0) for edge in theirs | mine}
    changes = {edge: change for edge, change in changes.items() if abs(change) > _ROUNDING}
    full = max(map(abs, changes.values()), default=1.0)
    strands = tuple(
        Strand(places.index(upper), places.index(lower), abs(change) / full, int(change < 0))
        for (upper, lower, _), change in changes.items()
    )
    return replace(
        one,
        title=Phrase("1 edge differs") if len(strands) == 1 else Phrase("{1} edges differ", Count(len(strands))),
        note=Phrase("an edge that only one of the graphs has counts as 0 in the other"),
        knots=tuple(nodes),
        strands=strands,
        positions=positions,
        column_labels=tuple(labels[position] for position in positions),
        kinds=((Phrase("more"), Hue.KEY), (Phrase("less"), Hue.QUERY)),
        node_source=_source(one.node_source, [(others | knots)[place][1] for place in places]),
        edge_source=_source(one.edge_source, [index for _, _, index in changes]),
        full=full,
    )


def _knots(panel: GraphPanel) -> dict[_Place, tuple[Knot, _Index]]:
    """(position, level) of each node -> the node, and the index of its cell."""
    cells = _cells(panel.node_source, len(panel.knots))
    return {
        (panel.positions[knot.column], knot.level): (knot, cell) for knot, cell in zip(panel.knots, cells, strict=True)
    }


def _weights(panel: GraphPanel) -> dict[tuple[_Place, _Place, _Index], float]:
    """The places of the nodes of each edge, and the index of its cell -> its weight, in the unit of its numbers."""
    places, cells = list(_knots(panel)), _cells(panel.edge_source, len(panel.strands))
    return {
        (places[strand.upper], places[strand.lower], cell): strand.weight * (panel.full or 1.0)
        for strand, cell in zip(panel.strands, cells, strict=True)
    }


def _cells(source: Source | None, count: int) -> tuple[_Index, ...]:
    """The index of the cell of each node or edge; its number, if these are not cells."""
    return tuple((n,) for n in range(count)) if source is None or source.each is None else source.each


def _source(source: Source | None, cells: list[_Index]) -> Source | None:
    return None if source is None else replace(source, each=tuple(cells))
