"""The paper size of booklets and worksheets: A4, in points."""

WIDTH, HEIGHT = 210 * 72 / 25.4, 297 * 72 / 25.4
