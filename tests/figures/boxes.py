"""The places of words on a page, as rotated rectangles: which overlap or leave the page, and which are too faint."""

import math

import numpy as np

from desktop_app.figures import fonts
from desktop_app.figures.marks import Fill, Heat, Words
from desktop_app.figures.theme import contrast

_TOUCH = 0.75  # boxes may overlap by this much: letters do not fill them


def corners(words, measure=fonts.width):
    """The four corners of a line of text: from the top of its capitals to the bottom of its descenders."""
    width = measure(words.text, words.size, mono=words.mono, bold=words.bold)
    left = {"left": 0.0, "center": -width / 2, "right": -width}[words.align]
    top, bottom = -0.4 * words.size, 0.5 * words.size
    cos, sin = math.cos(math.radians(words.angle)), math.sin(math.radians(words.angle))
    points = ((left, top), (left + width, top), (left + width, bottom), (left, bottom))
    return [(words.x + x * cos + y * sin, words.y - x * sin + y * cos) for x, y in points]


def apart(one, other):
    """Whether two rotated rectangles are separate: a line along a side of one of them has both on different sides."""
    for box in (one, other):
        for (x0, y0), (x1, y1) in zip(box, box[1:] + box[:1], strict=True):
            length = math.hypot(x1 - x0, y1 - y0)
            if not length:
                return True
            normal = (y0 - y1) / length, (x1 - x0) / length
            mine, theirs = ([normal[0] * x + normal[1] * y for x, y in points] for points in (one, other))
            if max(mine) <= min(theirs) + _TOUCH or max(theirs) <= min(mine) + _TOUCH:
                return True
    return False


def faults(marks, width, height, measure=fonts.width):
    """Sentences about words that leave the page or overlap other words, if they are as wide as `measure` says."""
    lines = [(mark.text, corners(mark, measure)) for mark in marks if isinstance(mark, Words) and mark.text.strip()]
    found = []
    for text, box in lines:
        if min(x for x, _ in box) < -1 or max(x for x, _ in box) > width + 1:
            found.append(f"{text!r} leaves the page sideways")
        if min(y for _, y in box) < -1 or max(y for _, y in box) > height + 1:
            found.append(f"{text!r} leaves the page up or down")
    return found + meetings(lines)


def meetings(lines):
    """Sentences about texts that overlap, of pairs of a text and the four corners of its box."""
    found, lines = [], sorted(lines, key=lambda line: min(y for _, y in line[1]))
    for n, (text, box) in enumerate(lines):
        bottom = max(y for _, y in box)
        for other, place in lines[n + 1 :]:
            if min(y for _, y in place) >= bottom:
                break
            if not apart(box, place):
                found.append(f"{text!r} meets {other!r}")
    return found


def crossed(marks, lines, measure=fonts.width):
    """Sentences about words on which a line lies: between two of its points, near each other, inside of their box."""
    found = []
    for mark in marks:
        if isinstance(mark, Words) and mark.text.strip() and not mark.angle:
            (left, top), _, (right, bottom), _ = corners(mark, measure)
            for line in lines:
                along = np.linspace(0, len(line.x) - 1, 40 * len(line.x))
                x, y = (np.interp(along, np.arange(len(line.x)), axis) for axis in (line.x, line.y))
                if ((x > left) & (x < right) & (y > top) & (y < bottom)).any():
                    found.append(f"a line crosses {mark.text!r}")
    return found


def faint(marks, background):
    """Sentences about words whose contrast with what was drawn under their middle before them is less than 4.5:1."""
    found = []
    for n, words in enumerate(marks):
        if isinstance(words, Words) and words.text.strip():
            box = corners(words)
            ground = _ground(marks[:n], sum(x for x, _ in box) / 4, sum(y for _, y in box) / 4) or background
            if contrast(words.colour, ground) < 4.5:
                found.append(f"{words.text!r} in {words.colour} on {ground}: {contrast(words.colour, ground):.2f}")
    return found


def _ground(marks, x, y):
    """The colour at a point of the page; None if nothing was drawn there."""
    for mark in reversed(marks):
        if not isinstance(mark, Fill | Heat):
            continue
        r = mark.rect
        if not (r.x <= x < r.x + r.w and r.y <= y < r.y + r.h):
            continue
        if isinstance(mark, Fill):
            if mark.fill:
                return mark.fill
            continue
        rows, columns = mark.fractions.shape
        fraction = mark.fractions[int((y - r.y) / r.h * rows), int((x - r.x) / r.w * columns)]
        if not np.isnan(fraction):
            return "#{:02x}{:02x}{:02x}".format(*mark.table[int(fraction * 255)])
    return None
