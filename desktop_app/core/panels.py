"""Views as data: panels in boxes, with arrays, colour levels and labels. Window and figures draw from these alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.intents import Choosing, Intent, Select
from desktop_app.core.levels import Levels, percent
from desktop_app.gpt2.phrase import Phrase, joined

if TYPE_CHECKING:
    from desktop_app.core.sheet.layout import Sheet
    from desktop_app.core.sheet.values import SheetValues

Array = NDArray[Any]


class Hue(Enum):
    """The meaning of a colour; themes define the colour itself."""

    INK = "ink"
    ACCENT = "accent"
    QUERY = "query"
    KEY = "key"
    VALUE = "value"
    ATTENTION = "attention"
    RESIDUAL = "residual"
    MLP = "mlp"


@dataclass(frozen=True)
class Source:
    """Which tensor's cells a picture shows.

    `index` has one entry for each axis of the tensor: a fixed number, or "row" or "col" for the axis that runs down
    or across. For heads side by side, with `group` columns per head, "group" is the head and "within" the column within
    it. `cols` gives the index on the axis for each column if these are not 0, 1, 2 ... (sorted neurons), and `rows` for
    each row. A picture of a part begins at `first_row` and `first_col` of the whole (one head's W_Q in W_QKV). A
    picture that is not a table gives the full index of each of its columns in `each`, and `index` is empty.
    """

    name: str
    index: tuple[int | str, ...]
    cols: tuple[int, ...] | None = None
    group: int = 1
    first_row: int = 0
    first_col: int = 0
    rows: tuple[int, ...] | None = None
    each: tuple[tuple[int, ...], ...] | None = None

    def at(self, row: int, col: int) -> tuple[int, ...]:
        """The index in the tensor of the cell in this row and column."""
        if self.each is not None:
            return self.each[col]
        column = self.first_col + col if self.cols is None else self.cols[col]
        place = {
            "row": self.first_row + row if self.rows is None else self.rows[row],
            "col": column,
            "group": column // self.group,
            "within": column % self.group,
        }
        return tuple(place[i] if isinstance(i, str) else i for i in self.index)


@dataclass(frozen=True)
class Panel:
    """What every panel has: a heading, a dimmer note next to it, and whether it is the main panel.

    `hint` says what a click does, and is shown only in the window, after the note. A `carpet` is a panel that shows
    every number as a colour, next to panels that summarise them; the window hides it unless the user asks for it.
    """

    title: str = ""
    note: str = ""
    current: bool = False
    hint: str = field(default="", kw_only=True)
    carpet: bool = field(default=False, kw_only=True)

    @property
    def aside(self) -> str:
        """The text beside the title."""
        return joined("; ", filter(None, (self.note, self.hint)))


@dataclass(frozen=True)
class Chip:
    """One token as displayed: position, id, display form, and its bytes as text."""

    position: int
    id: int
    label: str
    detail: str = ""


@dataclass(frozen=True)
class TokensPanel(Panel):
    """The text split into tokens."""

    chips: tuple[Chip, ...] = ()
    selected: int | None = None
    added: int = 0  # how many chips at the end were appended rather than typed


@dataclass(frozen=True)
class ProsePanel(Panel):
    """The text as typed, not split into tokens, in display form: pieces between which a line may break."""

    pieces: tuple[str, ...] = ()
    added: int = 0  # how many pieces at the end were appended rather than typed


@dataclass(frozen=True)
class Line:
    """One line of a text panel: a label, the text in a monospaced font, a remark, and the intent of a click on it.

    In a `formula`, what follows a letter and an underscore is drawn as a subscript, as in S_ij.
    """

    label: str
    text: str
    remark: str = ""
    hue: Hue = Hue.INK
    pick: Intent | None = None
    formula: bool = False


def formula_line(text: str, remark: str = "") -> Line:
    """The line with the formula that computes a number."""
    return Line(Phrase("formula"), text, remark, formula=True)


@dataclass(frozen=True)
class TextPanel(Panel):
    """Lines of label, text and remark."""

    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Strip:
    """One vector as a strip of cells, wrapped so that its structure shows.

    `operator` precedes it in a sum ("+", "="), `mark` is a group (head) to highlight.
    """

    label: str
    values: Array
    source: Source | None
    hue: Hue = Hue.RESIDUAL
    operator: str = ""
    remark: str = ""


@dataclass(frozen=True)
class StripsPanel(Panel):
    """Aligned vectors. Each is wrapped into rows of `wrap` cells; a gap every `groups` cells shows a head's width.

    `peers` are the strips of other panels, or of other moments, with whose cells these are aligned: all reserve the
    same space for labels.
    """

    strips: tuple[Strip, ...] = ()
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    wrap: int = 64
    group: int = 0
    selected_group: int | None = None
    peers: tuple[Strip, ...] = ()


@dataclass(frozen=True)
class MapPanel(Panel):
    """A table of numbers as colours: [row, column], with row labels (mostly tokens)."""

    values: Array = field(default_factory=lambda: np.zeros((0, 0)))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    row_labels: tuple[str, ...] = ()
    source: Source | None = None
    hue: Hue = Hue.RESIDUAL
    selected: int | None = None
    fresh: int = 0  # how many rows at the end were computed in the last, cached pass; 0 means all
    x_label: str = ""
    picks: Choosing | None = Select  # the intent of a click on a row; None if rows cannot be chosen
    texts: tuple[tuple[str, ...], ...] = ()  # text over the colours, [row][column], if it fits into the cells
    column_labels: tuple[str, ...] = ()
    selected_column: int | None = None
    column_picks: Choosing | None = None  # the intent of a click on a column's label
    first_column: int = 0  # the number of the first column, if columns before it are left out
    first: int = 0  # the same for rows
    sums: bool = False  # the last row and column are sums of the others, and are drawn apart from them
    positions: tuple[int, ...] = ()  # of the rows' tokens in the text, if tokens between them are left out


@dataclass(frozen=True)
class GridPanel(Panel):
    """One head's [query, key] grid. NaN cells are masked, and drawn as empty."""

    values: Array = field(default_factory=lambda: np.zeros((0, 0)))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    labels: tuple[str, ...] = ()
    source: Source | None = None
    selected: int | None = None  # the query
    fresh: int = 0
    small: bool = False
    beside: bool = False  # one of several large grids side by side, which may be narrow
    head: int = 0
    op: str = ""  # the step that a click on a small grid leads to
    keys_down: bool = False  # rows are keys and columns queries; `values` are transposed already
    every: int = 1  # in a long text small grids show every n-th query
    first: int = 0  # the position of the first label, if those before it are left out


@dataclass(frozen=True)
class MultiplesPanel(Panel):
    """Many small grids, [head, query, key], of one block; in a long text, with every n-th query."""

    values: Array = field(default_factory=lambda: np.zeros((0, 0, 0)))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    names: tuple[str, ...] = ()
    selected: int = 0
    source: Source | None = None  # index[0] is the head, and is replaced
    every: int = 1


@dataclass(frozen=True)
class AtlasPanel(Panel):
    """Every head's grid in one picture, [block, head, query, key]: blocks as rows, heads as columns.

    NaN cells are masked. For the head under the pointer its number is shown: `numbers` [block, head], the cells of
    `source`. `pooled` says how several numbers became one cell of a grid, "" if each is one number.
    """

    values: Array = field(default_factory=lambda: np.zeros((0, 0, 0, 0)))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    numbers: Array = field(default_factory=lambda: np.zeros((0, 0)))
    source: Source | None = None
    selected: tuple[int, int] | None = None
    pooled: str = ""


@dataclass(frozen=True)
class ShadedPanel(Panel):
    """Running text with each token shaded by its number, [pos]; NaN is not shaded.

    `source` names the cell of each: "row" is the query, "col" the position. If `others` [token, pos] are given, the
    shading follows the pointer: `values` are then the row of the token under the pointer, and the title is its entry in
    `titles`.
    """

    pieces: tuple[str, ...] = ()
    values: Array = field(default_factory=lambda: np.zeros(0))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    source: Source | None = None
    selected: int | None = None
    others: Array | None = None
    titles: tuple[str, ...] = ()

    def of_token(self, token: int) -> "ShadedPanel":
        """The same panel for another token."""
        if self.others is None:
            return self
        return replace(self, values=self.others[token], selected=token, title=self.titles[token])


@dataclass(frozen=True)
class ArcsPanel(Panel):
    """A text with an arc from each token to those that it attends to, as thick as the weight in `values` [query, key].

    Weights below `least`, and NaN, have no arc. The arcs of the token `selected` are highlighted, and the title is its
    entry in `titles`; the selection follows the pointer. `source` names the cell of each weight.
    """

    pieces: tuple[str, ...] = ()
    values: Array = field(default_factory=lambda: np.zeros((0, 0)))
    least: float = 0.05
    source: Source | None = None
    selected: int | None = None
    hue: Hue = Hue.ATTENTION
    titles: tuple[str, ...] = ()

    def of_token(self, token: int) -> "ArcsPanel":
        """The same panel with another token's arcs highlighted."""
        return replace(self, selected=token, title=self.titles[token] if self.titles else self.title)


@dataclass(frozen=True)
class Bar:
    """One bar: label, length as a fraction of the longest, texts at its end, and the outcome for its token."""

    label: str
    value: float
    text: str
    remark: str = ""
    outline: float | None = None  # the value before a cut
    kept: bool = True
    marked: bool = False  # the draw lands here
    pick: Intent | None = None
    source: tuple[str, tuple[int, ...]] | None = None
    pinned: bool = False


class Cut(NamedTuple):
    """A line between bars, above the bar at `place`: its text, and a shorter one for narrow panels."""

    place: int
    words: str
    brief: str = ""


@dataclass(frozen=True)
class BarsPanel(Panel):
    """Horizontal bars from `base`; `cuts` are lines between them.

    `reach` is the value of a full-length bar, if that is more than the largest. `peers` are the bars of neighbouring
    panels on the same scale: all reserve the same space for labels.
    """

    bars: tuple[Bar, ...] = ()
    hue: Hue = Hue.ACCENT
    cuts: tuple[Cut, ...] = ()
    base: float = 0.0
    reach: float = 0.0
    peers: tuple[Bar, ...] = ()
    outlined: str = ""  # the meaning of the outlines, in a word or two
    filled: str = ""  # and that of the bars, if the title does not say it
    beside_map: bool = False  # each bar is level with its row in the maps next to it
    drawn: bool = True  # False if the numbers have no common scale, like a maximum and a sum


@dataclass(frozen=True)
class Rise:
    """One bar of a waterfall, from `start` to `start` + `value`.

    `unfolded` is None for a bar without parts, else whether its parts are shown below it as `deeper` bars; if they are,
    the bar is drawn hollow, since they add up to it. A `total` starts at 0, independent of the bars above.
    """

    label: str
    value: float
    start: float
    text: str
    remark: str = ""
    unfolded: bool | None = None
    deeper: bool = False
    total: bool = False
    marked: bool = False


@dataclass(frozen=True)
class WaterfallPanel(Panel):
    """A sum as bars, each starting where the previous one ends. The rows of `source` are the bars."""

    rises: tuple[Rise, ...] = ()
    source: Source | None = None
    x_label: str = ""


@dataclass(frozen=True)
class Knot:
    """A node of a graph, in a column and on a level (0 is the lowest); `weight` is from 0 to 1."""

    column: int
    level: int
    weight: float
    label: str
    marked: bool = False


@dataclass(frozen=True)
class Strand:
    """An edge of a graph: indices of its upper and its lower node, a weight from 0 to 1, and which of `kinds` it is."""

    upper: int
    lower: int
    weight: float
    kind: int


@dataclass(frozen=True)
class GraphPanel(Panel):
    """Nodes in columns and on levels, and edges between them.

    Only used columns take up space; `positions` gives the text position of each, and skipped positions leave a gap.
    Levels are labelled where `level_labels` are not empty. `kinds` names the kinds of edges. Column n of a source is
    the cell of node or edge n. An edge's weight is a share, or relative to `full` if given; `things` names what nodes
    and columns stand for. If `bowed`, edges that pass a level curve around its nodes.
    """

    knots: tuple[Knot, ...] = ()
    strands: tuple[Strand, ...] = ()
    positions: tuple[int, ...] = ()
    column_labels: tuple[str, ...] = ()
    level_labels: tuple[str, ...] = ()
    kinds: tuple[tuple[str, Hue], ...] = ()
    node_source: Source | None = None
    edge_source: Source | None = None
    full: float | None = None
    bowed: bool = False
    things: tuple[str, str] = ("vectors", "tokens")

    def says(self, weight: float) -> str:
        """An edge's weight in words."""
        return percent(weight) if self.full is None else f"{weight * self.full:.2g}"


@dataclass(frozen=True)
class CurvePanel(Panel):
    """A function's curve or a vector's profile: lines of (x, y), points on them, and named level lines and bands.

    Stems far above all others, and points outside `x_range`, are not drawn; the axes state how many there are.
    `source` gives in `each` the cell of each of the `points`, or, without points, of each point of the lines in turn.
    `y_holds` are values for which the axes have room though they are not drawn: those of an animation's other moments.
    """

    lines: tuple[tuple[Array, Array], ...] = ()
    points: tuple[Array, Array] | None = None
    focus: tuple[float, float, str] | None = None
    levels_at: tuple[tuple[float, str], ...] = ()  # horizontal lines
    band: tuple[float, float] | None = None
    x_label: str = ""
    y_label: str = ""
    hue: Hue = Hue.MLP
    x_range: tuple[float, float] | None = None
    y_holds: Array | None = None
    line_names: tuple[str, ...] = ()  # written at the end of each line
    stops: tuple[tuple[float, Intent, str], ...] = ()  # by x: the intent of a click nearest to x, and its words
    stems: bool = False  # draw the points' values as thin bars from the first level line
    source: Source | None = None


@dataclass(frozen=True)
class CloudPanel(Panel):
    """Points in a plane, [point, (x, y)], each of one of the `kinds` (names and hues; empty if all are alike).

    Labels are placed beside points where they fit, those of `marked` points first and highlighted. `arrows` go from one
    point to another. Both axes have the same scale unless `free`. With a `window` (start x and y, end x and y, as
    shares of the whole) only that part is shown; a panel that `moves` can be dragged and zoomed on the screen.
    """

    points: Array = field(default_factory=lambda: np.zeros((0, 2)))
    labels: tuple[str, ...] = ()
    kind: Array | None = None
    kinds: tuple[tuple[str, Hue], ...] = ()
    marked: tuple[int, ...] = ()
    arrows: tuple[tuple[int, int], ...] = ()
    x_label: str = ""
    y_label: str = ""
    source: Source | None = None
    free: bool = False
    window: tuple[float, ...] = ()
    moves: bool = False


@dataclass(frozen=True)
class RulerPanel(Panel):
    """The unit interval divided by the final probabilities, with u marked: where a draw lands."""

    edges: tuple[float, ...] = ()  # n + 1 ascending numbers from 0 to 1
    labels: tuple[str, ...] = ()
    u: float = 0.0
    landed: int = 0


@dataclass(frozen=True)
class SheetPanel(Panel):
    """The whole pass on one sheet, which the window can zoom and a figure shows in full.

    `here` are the indices of the sheet's plates (pictures of a tensor or head) that show the current step, and `token`
    is the selected token; `place` says that in words. Without `values`, which hold the colour scales too, the numbers
    are hidden. `of` names the pass that the cells belong to.
    """

    sheet: "Sheet | None" = None
    values: "SheetValues | None" = None
    here: tuple[int, ...] = ()
    place: str = ""
    token: int = 0
    labels: tuple[str, ...] = ()
    of: str = ""

    @property
    def levels(self) -> Levels:
        """The colour scale of `tensor`; every tensor has its own. Reads the whole tensor at the first call."""
        return Levels(-1, 1) if self.values is None else self.values.levels(self.tensor)

    @property
    def tensor(self) -> str:
        """The tensor of the current step; if that holds no quantities (token ids), the input of the first block."""
        own = [self.sheet.plates[n] for n in self.here] if self.sheet is not None else []
        return next((plate.name for plate in own if plate.axes > 1), "blocks.0.resid_pre")


AnyPanel = (
    TokensPanel
    | ProsePanel
    | TextPanel
    | StripsPanel
    | MapPanel
    | GridPanel
    | MultiplesPanel
    | AtlasPanel
    | ShadedPanel
    | ArcsPanel
    | BarsPanel
    | WaterfallPanel
    | GraphPanel
    | CurvePanel
    | CloudPanel
    | RulerPanel
    | SheetPanel
)


@dataclass(frozen=True)
class Box:
    """Panels or boxes side by side or stacked; `weights` divide the space.

    `wide` is another arrangement of the same panels, for a page that is much wider than it is high.
    """

    children: "tuple[AnyPanel | Box, ...]"
    across: bool = False
    weights: tuple[float, ...] = ()
    wide: "Box | None" = None


@dataclass(frozen=True)
class View:
    """What the centre of the window shows for one step: a headline, a sentence or two, and panels.

    `badge` marks a view of anything but the model's unedited pass over the text, wherever it is shown.
    """

    title: str
    lead: str
    content: Box
    badge: str = ""


_HEADED = "{1} — {2}"


def headed(where: str, title: str) -> str:
    """A title prefixed with its place: "Block 1 · Head 2 — ..."."""
    return Phrase(_HEADED, where, title)


def moved(title: str, where: str) -> str:
    """A title with its place prefix, if any, replaced by another."""
    return Phrase(_HEADED, where, title.values[1]) if isinstance(title, Phrase) and title.key == _HEADED else title


def alone(panel: AnyPanel) -> AnyPanel:
    """A panel as shown by itself: a small grid becomes a large one with token labels."""
    if isinstance(panel, GridPanel) and panel.small and panel.every == 1:
        return replace(panel, small=False, current=False)
    return panel


def follows(panel: AnyPanel) -> bool:
    """Whether a panel follows the token under the pointer."""
    return isinstance(panel, ArcsPanel) or (isinstance(panel, ShadedPanel) and panel.others is not None)


def of_token(view: View, token: int) -> View:
    """The view with every panel that follows the pointer set to this token."""

    def walk(box: Box) -> Box:
        children = tuple(walk(c) if isinstance(c, Box) else one(c) for c in box.children)
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    def one(panel: AnyPanel) -> AnyPanel:
        return panel.of_token(token) if isinstance(panel, ArcsPanel | ShadedPanel) and follows(panel) else panel

    return replace(view, content=walk(view.content))


def has_carpets(view: View) -> bool:
    """Whether a view has any carpet, which the window can hide."""
    return any(panel.carpet for panel in panels_of(view.content))


def folded(view: View) -> View:
    """The view without its carpets; unchanged if it has no other panels."""

    def walk(box: Box) -> Box:
        weights = box.weights or (1.0,) * len(box.children)
        walked = [
            (walk(c) if isinstance(c, Box) else c, weight) for c, weight in zip(box.children, weights, strict=True)
        ]
        kept = [(c, w) for c, w in walked if (c.children if isinstance(c, Box) else not c.carpet)]
        return replace(
            box,
            children=tuple(c for c, _ in kept),
            weights=tuple(w for _, w in kept) if box.weights else (),
            wide=None if box.wide is None else walk(box.wide),
        )

    content = walk(view.content)
    return replace(view, content=content) if content.children else view


def panels_of(box: Box) -> Iterator[AnyPanel]:
    """The panels of a box, in order."""
    for child in box.children:
        if isinstance(child, Box):
            yield from panels_of(child)
        else:
            yield child


def row(*children: AnyPanel | Box, weights: tuple[float, ...] = ()) -> Box:
    """Children side by side."""
    return Box(children, True, weights)


def column(*children: AnyPanel | Box, weights: tuple[float, ...] = ()) -> Box:
    """Children stacked vertically, with the cells of vectors aligned."""
    labels = [peer for child in children if isinstance(child, StripsPanel) for peer in (*child.strips, *child.peers)]
    peers = tuple({(strip.label, strip.remark): replace(strip, values=np.zeros(0)) for strip in labels}.values())
    aligned = [replace(child, peers=peers) if isinstance(child, StripsPanel) else child for child in children]
    return Box(tuple(aligned), False, weights)
