"""The few Xlib calls that are needed to see another process's window and to close it as a window manager does."""

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p

import numpy as np


class _Image(ctypes.Structure):
    _fields_ = [("width", c_int), ("height", c_int), ("xoffset", c_int), ("format", c_int), ("data", c_void_p)]
    _fields_ += [(n, c_int) for n in ("byte_order", "bitmap_unit", "bitmap_bit_order", "bitmap_pad", "depth", "pitch")]


class _ClientMessage(ctypes.Structure):
    _fields_ = [("type", c_int), ("serial", c_ulong), ("send_event", c_int), ("display", c_void_p)]
    _fields_ += [("window", c_ulong), ("message_type", c_ulong), ("format", c_int), ("data", c_long * 5)]
    _fields_ += [("rest", c_long * 24)]  # an XEvent is as large as its largest variant


_ALL_PLANES, _Z_PIXMAP, _CLIENT_MESSAGE = 0xFFFFFFFF, 2, 33

# By default Xlib ends the process on an error, and a window that is opening or closing causes errors.
_FORGIVE = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)(lambda _display, _error: 0)


class Screen:
    """A connection to an X server."""

    def __init__(self, name: str) -> None:
        self._x = ctypes.CDLL("libX11.so.6")
        for function, result, arguments in (
            ("XOpenDisplay", c_void_p, [c_char_p]),
            ("XDefaultRootWindow", c_ulong, [c_void_p]),
            ("XQueryTree", c_int, [c_void_p, c_ulong, *[c_void_p] * 4]),
            ("XFetchName", c_int, [c_void_p, c_ulong, POINTER(c_char_p)]),
            ("XGetImage", POINTER(_Image), [c_void_p, c_ulong, c_int, c_int, c_uint, c_uint, c_ulong, c_int]),
            ("XGetGeometry", c_int, [c_void_p, c_ulong, *[c_void_p] * 7]),
            ("XInternAtom", c_ulong, [c_void_p, c_char_p, c_int]),
            ("XSendEvent", c_int, [c_void_p, c_ulong, c_int, c_long, c_void_p]),
            ("XSync", c_int, [c_void_p, c_int]),
            ("XCloseDisplay", c_int, [c_void_p]),
        ):
            made = getattr(self._x, function)
            made.restype, made.argtypes = result, arguments
        self._x.XSetErrorHandler(_FORGIVE)
        self._display = self._x.XOpenDisplay(name.encode())
        assert self._display, f"no X server at {name}"

    def close(self) -> None:
        self._x.XCloseDisplay(self._display)

    def window(self, title: str) -> int | None:
        """The top-level window with this title."""
        root = self._x.XDefaultRootWindow(self._display)
        parent, children, count = c_ulong(), POINTER(c_ulong)(), c_uint()
        self._x.XQueryTree(self._display, root, byref(c_ulong()), byref(parent), byref(children), byref(count))
        for n in range(count.value):
            name = c_char_p()
            if self._x.XFetchName(self._display, children[n], byref(name)) and name.value == title.encode():
                return int(children[n])
        return None

    def pixels(self, window: int) -> np.ndarray:
        """A window's pixels: [y, x] of 24-bit colours; empty while there is no image of it yet."""
        x, y, width, height, border, depth = c_int(), c_int(), c_uint(), c_uint(), c_uint(), c_uint()
        places = [byref(v) for v in (c_ulong(), x, y, width, height, border, depth)]
        self._x.XGetGeometry(self._display, window, *places)
        image = self._x.XGetImage(self._display, window, 0, 0, width, height, _ALL_PLANES, _Z_PIXMAP)
        if not image:
            return np.zeros((0, 0), np.uint32)
        found = image.contents
        raw = ctypes.string_at(found.data, found.pitch * found.height)
        rows = np.frombuffer(raw, np.uint32).reshape(found.height, found.pitch // 4)
        return rows[:, : found.width] & 0xFFFFFF

    def ask_to_close(self, window: int) -> None:
        """Send the message that a window manager sends when the close button is clicked."""
        message = _ClientMessage(type=_CLIENT_MESSAGE, window=window, format=32)
        message.message_type = self._x.XInternAtom(self._display, b"WM_PROTOCOLS", 0)
        message.data[0] = self._x.XInternAtom(self._display, b"WM_DELETE_WINDOW", 0)
        self._x.XSendEvent(self._display, window, 0, 0, byref(message))
        self._x.XSync(self._display, 0)
