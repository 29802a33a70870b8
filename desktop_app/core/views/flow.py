"""The flow workspace: a graph of the tokens and layers that make up the last vector of the selected token.

Its nodes are vectors of the residual stream, and each edge leads from a vector down to one of those it is made of. Its
cells are `flow.node[level, position]`, with levels counted from the embeddings up, and
`flow.edge[level, position, source, kind]`: level and position of the upper node, position of the lower node, and the
kind of edge as an index into `_KINDS`. An index stands for the same node or edge in every graph that contains it.
"""

from dataclasses import replace

from desktop_app.core.analysis import flow as analysis
from desktop_app.core.analysis.flow import Edge, Flow
from desktop_app.core.edits.editing import Target
from desktop_app.core.edits.targets import of_tensor
from desktop_app.core.levels import percent
from desktop_app.core.opening.cells import Cell
from desktop_app.core.opening.describe import Readout
from desktop_app.core.panels import GraphPanel, Hue, Knot, Line, Source, Strand, TextPanel, View, column
from desktop_app.core.products import Work
from desktop_app.core.scene import Scene
from desktop_app.core.session.state import State
from desktop_app.core.views import flow_opened
from desktop_app.core.views.common import token_name
from desktop_app.core.want import Product, Want
from desktop_app.gpt2.errors import ModelError
from desktop_app.gpt2.phrase import Count, Phrase, joined

NODES, EDGES = "flow.node", "flow.edge"
_EDGE_AXES = "level, position, source, kind"
_KINDS = {Edge.STREAM: Hue.RESIDUAL, Edge.ATTENTION: Hue.ATTENTION, Edge.MLP: Hue.MLP}


def _compute(work: Work, position: int, threshold: float) -> Flow:
    return analysis.compute(
        work.model.checkpoint,
        work.trace,
        position=position,
        threshold=threshold,
        stop=work.stop,
        progress=work.progress,
    )


_FLOW = Product("flow", Phrase("Tracing back from the token"), _compute, quick=False)


def want(scene: Scene) -> Want:
    """The request for the graph below the selected token, with the edges that reach the chosen threshold."""
    return Want(_FLOW, (scene.token, float(scene.state.view.flow)))


def wants(scene: Scene) -> tuple[Want, ...]:
    """The products that the view needs."""
    return (want(scene),)


def content(scene: Scene) -> View:
    """The view: the graph, tokens from left to right, layers from the embeddings at the bottom to the last block."""
    found: Flow | None = scene.made(want(scene))
    title = Phrase("What made the last vector of {1}", token_name(scene, scene.token))
    if found is None:
        return View(title, "", column(TextPanel(lines=(Line("", _FLOW.waiting),))))
    return View(title, "", column(_graph(scene, found)))


def _graph(scene: Scene, found: Flow) -> GraphPanel:
    positions = sorted({node.position for node in found.nodes})
    columns = {position: n for n, position in enumerate(positions)}
    kinds = list(_KINDS)
    knots = tuple(
        Knot(
            columns[node.position],
            level_of(node.tensor),
            node.reached,
            Phrase("{1} {2}", node.tensor, token_name(scene, node.position)),
            marked=n == 0,
        )
        for n, node in enumerate(found.nodes)
    )
    strands = tuple(
        Strand(int(upper), int(lower), float(share), kinds.index(kind))
        for upper, lower, share, kind in zip(found.upper, found.lower, found.importance, found.kinds, strict=True)
    )
    layers = [f"{n} {part}" for n in range(scene.config.n_layer) for part in ("mid", "post")]
    return GraphPanel(
        title=Phrase("{1} edges of {2} % or more", Count(len(strands)), f"{100 * found.threshold:g}"),
        note=joined(
            " · ",
            (
                Phrase("{1} of {2} tokens reached", Count(len(positions)), Count(len(scene.trace))),
                Phrase("the shares of each vector add up to 1"),
            ),
        ),
        knots=knots,
        strands=strands,
        positions=tuple(positions),
        column_labels=tuple(scene.labels[p] for p in positions),
        level_labels=("0 pre", *layers),
        kinds=tuple((Phrase(kind.value), hue) for kind, hue in _KINDS.items()),
        node_source=Source(NODES, (), each=nodes_of(found)),
        edge_source=Source(EDGES, (), each=edges_of(found)),
    )


def nodes_of(found: Flow) -> tuple[tuple[int, ...], ...]:
    """The cell index of each node: level and position."""
    return tuple((level_of(node.tensor), node.position) for node in found.nodes)


def edges_of(found: Flow) -> tuple[tuple[int, ...], ...]:
    """The cell index of each edge: level and position of its upper node, position of its lower node, and its kind."""
    nodes, kinds = nodes_of(found), list(_KINDS)
    return tuple(
        (*nodes[int(upper)], found.nodes[int(lower)].position, kinds.index(kind))
        for upper, lower, kind in zip(found.upper, found.lower, found.kinds, strict=True)
    )


def level_of(tensor: str) -> int:
    """The level of a node's tensor, counted from the embeddings up."""
    _, layer, name = tensor.split(".")
    return 2 * int(layer) + {"resid_pre": 0, "resid_mid": 1, "resid_post": 2}[name]


# Cells


def _shown(scene: Scene) -> Flow:
    found: Flow | None = scene.made(want(scene))
    if found is None:
        raise ModelError("The flow is not computed yet for this token and threshold; try again when it is shown.")
    return found


def _flow(scene: Scene, cell: Cell) -> tuple[Flow, int]:
    """The graph, and the index in it of the node or edge that a cell stands for. Raises ModelError if there is none."""
    if cell.name not in (NODES, EDGES):
        raise ModelError(f"There is no {cell.name}; the flow has {NODES}[level, position] and {EDGES}[{_EDGE_AXES}].")
    found = _shown(scene)
    indices = nodes_of(found) if cell.name == NODES else edges_of(found)
    if cell.index not in indices:
        graph = f"the graph below {token_name(scene, found.position)} with edges of {100 * found.threshold:g} % or more"
        raise ModelError(f"There is no {cell.name}{list(cell.index)} in {graph}.")
    return found, indices.index(cell.index)


def describe(scene: Scene, cell: Cell) -> Readout:
    """The readout of a cell: a node with its largest product of shares, or an edge with its share and its two ends."""
    found, n = _flow(scene, cell)
    if cell.name == NODES:
        node = found.nodes[n]
        edges = float(found.importance[found.upper == n].sum())
        others = sum(node.made_of.values())
        place = Phrase(
            "the largest product of shares along a path from the top; {1}; this node's edges: {2}, other parts: {3}",
            token_name(scene, node.position),
            percent(edges),
            percent(others),
        )
        return Readout(percent(node.reached), node.tensor, place, inputs=(node.tensor,))
    upper, lower = (found.nodes[int(ends[n])] for ends in (found.upper, found.lower))
    kind, share = found.kinds[n], float(found.importance[n])
    place = Phrase("{1} of {2} {3}", Phrase(kind.value), upper.tensor, token_name(scene, upper.position))
    if kind is Edge.ATTENTION:
        head = int(found.by_head[n].argmax())
        by_head = percent(float(found.by_head[n, head]))
        place = Phrase("{1}, from {2}; most by head {3}, {4}", place, token_name(scene, lower.position), head, by_head)
    name = f"{upper.tensor} ← {lower.tensor}"
    return Readout(percent(share), name, place, Phrase("share of the vector above"), inputs=(upper.tensor,))


def choose(scene: Scene, cell: Cell) -> State:
    """The state after a click on a node or an edge: its cell is opened, and the walk is at the step that shows it.

    For an attention edge that is the pattern of the head with the largest share of the edge.
    """
    found, n = _flow(scene, cell)
    tensor = found.nodes[n if cell.name == NODES else int(found.upper[n])].tensor
    layer, head = int(tensor.split(".")[1]), scene.state.head
    step = "sum" if tensor == "blocks.0.resid_pre" else tensor
    if cell.name == EDGES and found.kinds[n] is Edge.ATTENTION:
        step, head = f"blocks.{layer}.attn.pattern", int(found.by_head[n].argmax())
    elif cell.name == EDGES and found.kinds[n] is Edge.MLP:
        step = f"blocks.{layer}.mlp.post"
    return replace(scene.state, opened=(cell,), step=step, layer=layer, head=head)


def targets(scene: Scene, cell: Cell) -> tuple[Target, ...]:
    """What can be edited: a node's vector; for an edge, by its kind, the lower node's vector, a weight or the MLP.

    The weight is the attention weight of the head with the largest share of the edge.
    """
    found, n = _flow(scene, cell)
    if cell.name == NODES:
        node = found.nodes[n]
        return of_tensor(scene, Cell(node.tensor, (node.position, 0)))[:2]
    upper, lower = (found.nodes[int(ends[n])] for ends in (found.upper, found.lower))
    layer = int(upper.tensor.split(".")[1])
    if found.kinds[n] is Edge.ATTENTION:
        head = int(found.by_head[n].argmax())
        return of_tensor(scene, Cell(f"blocks.{layer}.attn.pattern", (head, upper.position, lower.position)))
    if found.kinds[n] is Edge.MLP:
        return of_tensor(scene, Cell(f"blocks.{layer}.mlp.post", (upper.position, 0)))[2:]
    return of_tensor(scene, Cell(lower.tensor, (lower.position, 0)))[:2]


def as_numpy(scene: Scene, cell: Cell | None) -> str:
    """numpy lines that recompute all shares of a node, by default the top one, or the share of an edge.

    Raises ModelError for int8 weights.
    """
    found, n = _flow(scene, cell) if cell is not None else (_shown(scene), 0)
    if cell is not None and cell.name == EDGES:
        return flow_opened.as_numpy(scene, found.nodes[int(found.upper[n])], found, n)
    return flow_opened.as_numpy(scene, found.nodes[n], found, None)


def open_cell(scene: Scene, cell: Cell) -> View:
    """The view of an opened node or edge.

    It has the shares of all parts of a node, or the share of an edge, recomputed from the vectors.
    """
    found, n = _flow(scene, cell)
    readout = describe(scene, cell)
    if cell.name == NODES:
        node = found.nodes[n]
        return View(
            Phrase("{1} of {2}: {3}", node.tensor, token_name(scene, node.position), readout.value),
            readout.place,
            flow_opened.node(scene, found, n, EDGES, edges_of(found)),
        )
    return View(f"{readout.name} = {readout.value}", readout.place, flow_opened.edge(scene, found, n))
