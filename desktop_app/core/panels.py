"""Views as data: panels in boxes, with arrays, colour levels and labels. Window and figures draw from these alone."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from desktop_app.core.asking.intents import Choosing, Intent, Select
from desktop_app.core.levels import Levels, percent
from desktop_app.core.opening.cells import Cell, written
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

    `index` has one entry for each axis of the tensor: a fixed number, or the name of what varies along that axis. "row"
    and "col" are the picture's row and column. For heads side by side, each `group` columns wide, "group" is the head
    and "within" is the column within the head.

    If the columns are not the indices 0, 1, 2 ... of their axis (sorted neurons, for example), `cols` lists the index
    of each column; `rows` does the same for rows. A picture of a part of the tensor starts at index `first_row` and
    `first_col` (one head's W_Q within W_QKV). A picture that is not a table lists the full index of each of its columns
    in `each`, and `index` is empty.

    `run` names the pass to which the tensor belongs, as in a `Cell`.
    """

    name: str
    index: tuple[int | str, ...]
    cols: tuple[int, ...] | None = None
    group: int = 1
    first_row: int = 0
    first_col: int = 0
    rows: tuple[int, ...] | None = None
    each: tuple[tuple[int, ...], ...] | None = None
    run: str = ""

    @property
    def written(self) -> str:
        """The name of the tensor with its pass."""
        return written(self.run, self.name)

    def cell(self, row: int, col: int) -> Cell:
        """The cell of the tensor that this row and column of the picture show."""
        return Cell(self.name, self.at(row, col), self.run)

    def at(self, row: int, col: int) -> tuple[int, ...]:
        """The index in the tensor of the cell at this row and column of the picture."""
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
    """What every panel has: a title, a dimmer note next to it, and whether it is the main panel.

    `hint` says what a click does. Only the window shows it, after the note. A panel with `carpet` set shows every
    number as a colour, next to panels that summarise the same numbers; the window hides it unless the user asks for it.
    """

    title: str = ""
    note: str = ""
    current: bool = False
    hint: str = field(default="", kw_only=True)
    carpet: bool = field(default=False, kw_only=True)

    @property
    def aside(self) -> str:
        """The text shown beside the title: the note and the hint."""
        return joined("; ", filter(None, (self.note, self.hint)))


@dataclass(frozen=True)
class Chip:
    """One token as displayed: its position, id, display form, and bytes as text."""

    position: int
    id: int
    label: str
    detail: str = ""


@dataclass(frozen=True)
class TokensPanel(Panel):
    """The text split into tokens."""

    chips: tuple[Chip, ...] = ()
    selected: int | None = None
    added: int = 0  # number of chips at the end that were appended by sampling or by a click, not typed


@dataclass(frozen=True)
class ProsePanel(Panel):
    """The text as typed, not split into tokens: display forms of its pieces, between which a line may break."""

    pieces: tuple[str, ...] = ()
    added: int = 0  # number of pieces at the end that were appended by sampling or by a click, not typed


@dataclass(frozen=True)
class Line:
    """One line of a text panel: a label, a text in a monospaced font, a remark, and the intent of a click on the line.

    In a `formula`, the characters that follow a letter and an underscore are drawn as a subscript, as in S_ij.
    """

    label: str
    text: str
    remark: str = ""
    hue: Hue = Hue.INK
    pick: Intent | None = None
    formula: bool = False


def formula_line(text: str, remark: str = "") -> Line:
    """A line with the formula by which a number is computed."""
    return Line(Phrase("formula"), text, remark, formula=True)


@dataclass(frozen=True)
class TextPanel(Panel):
    """Lines of label, text and remark."""

    lines: tuple[Line, ...] = ()


@dataclass(frozen=True)
class Strip:
    """One vector as a strip of cells, wrapped over several rows.

    `operator` is the sign drawn in front of the strip when strips form a calculation, such as "+" or "=".
    """

    label: str
    values: Array
    source: Source | None
    hue: Hue = Hue.RESIDUAL
    operator: str = ""
    remark: str = ""


@dataclass(frozen=True)
class StripsPanel(Panel):
    """Vectors drawn one below the other with their cells aligned.

    Each is wrapped into rows of `wrap` cells. A gap after every `group` cells separates heads, of which
    `selected_group` is highlighted. `peers` are strips of
    other panels, or of other moments of an animation, that have to align with these: all of them reserve the same width
    for labels.
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
    # number of rows at the end that the last pass with cached keys and values computed; 0 means all rows
    fresh: int = 0
    x_label: str = ""
    picks: Choosing | None = Select  # the intent of a click on a row; None if rows cannot be chosen
    texts: tuple[tuple[str, ...], ...] = ()  # text drawn over the cells, [row][column], where it fits
    words: bool = False  # whether `texts` are words, which may be shortened; a number that does not fit is left out
    column_labels: tuple[str, ...] = ()
    selected_column: int | None = None
    column_picks: Choosing | None = None  # the intent of a click on a column label
    first_column: int = 0  # the index of the first column, if earlier columns are left out
    first: int = 0  # the index of the first row, likewise
    sums: bool = False  # the last row and the last column are sums of the others, and are drawn apart from them
    positions: tuple[int, ...] = ()  # text positions of the rows' tokens, if tokens between them are left out
    centres: tuple[float, ...] = ()  # what is subtracted from each row before it is coloured, if anything is

    @property
    def shades(self) -> Array:
        """The numbers by which the cells are coloured, [row, column]."""
        return self.values - np.array(self.centres, np.float32)[:, None] if self.centres else self.values


@dataclass(frozen=True)
class GridPanel(Panel):
    """One head's [query, key] grid. NaN cells are masked and drawn as empty."""

    values: Array = field(default_factory=lambda: np.zeros((0, 0)))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    labels: tuple[str, ...] = ()
    source: Source | None = None
    selected: int | None = None  # the row of the selected query
    fresh: int = 0
    small: bool = False
    beside: bool = False  # this grid is one of several large ones side by side, so it may be narrow
    head: int = 0
    op: str = ""  # the step that a click on a small grid opens
    keys_down: bool = False  # rows are keys and columns are queries; `values` are already transposed
    every: int = 1  # only every n-th query is shown, in small grids of a long text
    first: int = 0  # the position of the first label, if earlier ones are left out

    @property
    def shown_labels(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The labels of the rows and of the columns of `values`: `labels`, without those of queries left out."""
        listed = (None, None) if self.source is None else (self.source.rows, self.source.cols)
        rows, columns = (
            self.labels if places is None else tuple(self.labels[n - self.first] for n in places) for places in listed
        )
        return rows, columns


@dataclass(frozen=True)
class MultiplesPanel(Panel):
    """Many small grids of one block, [head, query, key]; for a long text only every n-th query is shown."""

    values: Array = field(default_factory=lambda: np.zeros((0, 0, 0)))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    names: tuple[str, ...] = ()
    selected: int = 0
    source: Source | None = None  # its index[0] is replaced by the head
    every: int = 1


@dataclass(frozen=True)
class AtlasPanel(Panel):
    """Every head's grid in one picture, [block, head, query, key]: one row per block, one column per head.

    NaN cells are masked. `numbers` [block, head] holds one number per head, which is shown for the head under the
    pointer; `source` names its cells. `pooled` says how several numbers were combined into one cell of a grid; it is ""
    if each cell is one number.
    """

    values: Array = field(default_factory=lambda: np.zeros((0, 0, 0, 0)))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    numbers: Array = field(default_factory=lambda: np.zeros((0, 0)))
    source: Source | None = None
    selected: tuple[int, int] | None = None
    pooled: str = ""


@dataclass(frozen=True)
class ShadedPanel(Panel):
    """Running text in which each token is shaded by its number, [pos]; a token with NaN is not shaded.

    In `source`, "row" is the query and "col" the position. If `others` [token, pos] is given, the shading follows the
    pointer: `values` is then the row of `others` for the token under the pointer, and the title is that token's entry
    in `titles`.
    """

    pieces: tuple[str, ...] = ()
    values: Array = field(default_factory=lambda: np.zeros(0))
    levels: Levels = field(default_factory=lambda: Levels(-1, 1))
    source: Source | None = None
    selected: int | None = None
    others: Array | None = None
    titles: tuple[str, ...] = ()

    def of_token(self, token: int) -> "ShadedPanel":
        """The panel with the shading and title of another token."""
        if self.others is None:
            return self
        return replace(self, values=self.others[token], selected=token, title=self.titles[token])


@dataclass(frozen=True)
class ArcsPanel(Panel):
    """A text with an arc from each token to those that it attends to; `values` [query, key] are the arcs' widths.

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
        """The panel with the arcs of another token highlighted."""
        return replace(self, selected=token, title=self.titles[token] if self.titles else self.title)


@dataclass(frozen=True)
class Bar:
    """One bar: its label, the value that its length shows, and the texts at its end.

    `source` is the name and index of the cell with that value, and `run` its pass, as in a `Cell`.
    """

    label: str
    value: float
    text: str
    remark: str = ""
    outline: float | None = None  # a second value, drawn as an outline
    kept: bool = True
    marked: bool = False  # the draw selected this token
    pick: Intent | None = None
    source: tuple[str, tuple[int, ...]] | None = None
    pinned: bool = False
    run: str = ""


class Cut(NamedTuple):
    """A dividing line above the bar with index `place`: its text, and a shorter text for narrow panels."""

    place: int
    words: str
    brief: str = ""


@dataclass(frozen=True)
class BarsPanel(Panel):
    """Horizontal bars that start at `base`; `cuts` are dividing lines between them.

    A bar of full length stands for `reach`, if that is more than the largest value. `peers` are the bars of
    neighbouring panels with the same scale: all of them reserve the same width for labels.
    """

    bars: tuple[Bar, ...] = ()
    hue: Hue = Hue.ACCENT
    cuts: tuple[Cut, ...] = ()
    base: float = 0.0
    reach: float = 0.0
    peers: tuple[Bar, ...] = ()
    outlined: str = ""  # what the outlines show, in a word or two
    filled: str = ""  # what the bars show, if the title does not say it
    beside_map: bool = False  # each bar is aligned with its row in the maps next to the panel
    # False if the numbers have no common scale (a maximum and a sum, for example): then no bars are drawn
    drawn: bool = True


@dataclass(frozen=True)
class Rise:
    """One bar of a waterfall, from `start` to `start` + `value`.

    `unfolded` is None for a bar that has no parts. Otherwise it says whether the parts are shown below it, as bars with
    `deeper` set; if they are, this bar is drawn as an outline, because they add up to it. A `total` starts at 0,
    independent of the bars above it.
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
    """A sum as bars, each of which starts where the previous one ends. The rows of `source` are the bars."""

    rises: tuple[Rise, ...] = ()
    source: Source | None = None
    x_label: str = ""


@dataclass(frozen=True)
class Knot:
    """A node of a graph, at a column and a level (0 is the lowest). `weight` is from 0 to 1."""

    column: int
    level: int
    weight: float
    label: str
    marked: bool = False


@dataclass(frozen=True)
class Strand:
    """An edge of a graph: the indices of its upper and lower node, a weight from 0 to 1, and its index in `kinds`."""

    upper: int
    lower: int
    weight: float
    kind: int


@dataclass(frozen=True)
class GraphPanel(Panel):
    """A graph: nodes in columns and on levels, with edges between them.

    Only columns that have nodes take up space. `positions` gives the text position of each column; where positions are
    skipped, a gap is left. Levels with a non-empty entry in `level_labels` are labelled. `kinds` names the kinds of
    edges. Column n of a source is the cell of node or edge n. The weight of an edge is a share, or relative to `full`
    if that is given. `things` names what nodes and columns stand for. With `bowed`, an edge that passes a level curves
    around that level's nodes.
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
        """The weight of an edge as shown in a sentence."""
        return percent(weight) if self.full is None else f"{weight * self.full:.2g}"


@dataclass(frozen=True)
class CurvePanel(Panel):
    """The curve of a function or the profile of a vector: lines of (x, y), points, horizontal lines and a band.

    Stems far longer than all others end at the edge of the axes, and points outside `x_range` are not drawn; how many
    there are of either is written above.
    `source` lists in `each` the cell of each of the `points` or, if there are no points, the cell of each point of the
    lines, line after line. `y_holds` are values that the y axis must include although they are not drawn: the values at
    the other moments of an animation. An axis with a `plus` is logarithmic, for counts: it is divided by the logarithm
    of the count plus this number, 1 if the count may be 0.
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
    x_plus: float | None = None
    y_plus: float | None = None
    y_holds: Array | None = None
    line_names: tuple[str, ...] = ()  # drawn at the end of each line
    named_above: bool = False  # draw the names in a legend instead, for lines that end at the same place
    # (x, intent, words): a click triggers the intent of the nearest x; the words describe it
    stops: tuple[tuple[float, Intent, str], ...] = ()
    stems: bool = False  # draw each value as a thin bar that starts at the first of `levels_at`
    source: Source | None = None


@dataclass(frozen=True)
class CloudPanel(Panel):
    """Points in a plane, [point, (x, y)], each of one of the `kinds` (names and hues; empty if there is only one kind).

    Labels are placed beside points where they fit; labels of `marked` points are placed first and highlighted. `arrows`
    go from one point to another. Both axes have the same scale unless `free` is set. `window` restricts the panel to a
    part of the plane (start x and y, end x and y, as fractions of the whole). A panel with `moves` set can be dragged
    and zoomed on the screen.
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
    """The interval from 0 to 1, split by the final probabilities, and `u`, which is in the part of the token drawn."""

    edges: tuple[float, ...] = ()  # n + 1 ascending numbers from 0 to 1, for n tokens
    labels: tuple[str, ...] = ()
    u: float = 0.0
    landed: int = 0


@dataclass(frozen=True)
class SheetPanel(Panel):
    """The whole pass on one sheet. The window can zoom into it; a figure shows all of it.

    A plate is a picture of one tensor, or of one head's part of it. `here` are the indices of the plates that show the
    current step, which `place` names in words; `token` is the selected token. `values` holds the numbers and their
    colour scales; without it no numbers are shown. `run` names the pass of the cells, as in a `Cell`. A window says
    `waiting` until it has drawn the first numbers.
    """

    sheet: "Sheet | None" = None
    values: "SheetValues | None" = None
    here: tuple[int, ...] = ()
    place: str = ""
    token: int = 0
    labels: tuple[str, ...] = ()
    run: str = ""
    waiting: str = ""

    @property
    def levels(self) -> Levels:
        """The colour scale of `tensor`; every tensor has a different one. The first call reads the whole tensor."""
        return Levels(-1, 1) if self.values is None else self.values.levels(self.tensor)

    @property
    def tensor(self) -> str:
        """The tensor of the current step. Where that is token ids, which are no quantities, the input of block 0."""
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
    """Panels or boxes side by side or stacked. `weights` are their shares of the space.

    `wide` is another arrangement of the same panels, for a page that is much wider than it is high.
    """

    children: "tuple[AnyPanel | Box, ...]"
    across: bool = False
    weights: tuple[float, ...] = ()
    wide: "Box | None" = None


@dataclass(frozen=True)
class View:
    """What the centre of the window shows for one step: a headline, one or two sentences, and panels.

    `badge` says which passes a view shows, if not only the model's unedited pass over the text; else it is "".
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
    """A title with its place, if it has one, replaced by another place."""
    return Phrase(_HEADED, where, title.values[1]) if isinstance(title, Phrase) and title.key == _HEADED else title


def alone(panel: AnyPanel) -> AnyPanel:
    """The panel as shown when it is the only one: a small grid becomes a large grid with token labels."""
    if isinstance(panel, GridPanel) and panel.small and panel.every == 1:
        return replace(panel, small=False, current=False)
    return panel


def follows(panel: AnyPanel) -> bool:
    """Whether a panel changes with the token under the pointer."""
    return isinstance(panel, ArcsPanel) or (isinstance(panel, ShadedPanel) and panel.others is not None)


def of_token(view: View, token: int) -> View:
    """The view in which every panel that changes with the pointer shows this token."""

    def walk(box: Box) -> Box:
        children = tuple(walk(c) if isinstance(c, Box) else one(c) for c in box.children)
        return replace(box, children=children, wide=None if box.wide is None else walk(box.wide))

    def one(panel: AnyPanel) -> AnyPanel:
        return panel.of_token(token) if isinstance(panel, ArcsPanel | ShadedPanel) and follows(panel) else panel

    return replace(view, content=walk(view.content))


def has_carpets(view: View) -> bool:
    """Whether a view has a panel with `carpet` set, which the window can hide."""
    return any(panel.carpet for panel in panels_of(view.content))


def folded(view: View) -> View:
    """The view without its panels that have `carpet` set; unchanged if it has no others."""

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
    """The panels in a box and in the boxes inside it, in order."""
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
