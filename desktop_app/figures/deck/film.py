"""A walk through the steps of a pass as a film: a frame for each step, as animated GIF or WebP, or as MP4 by ffmpeg."""

import io
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from desktop_app.figures.export import Job, Options, render
from desktop_app.figures.theme import THEMES, rgb
from desktop_app.gpt2.errors import ExportError

SIZE = (1280, 720)
_DPI = 96  # the resolution at which a slide of 960 by 540 points has SIZE
_COLOURS = 255
_RATE = 10  # frames per second of an MP4, all of them still; some players have problems with fewer


def draw_frame(job: Job, theme: str, kind: str, folder: Path, prefix: str) -> str:
    """Draw one step as a picture of SIZE, and return its file name. Runs in a worker process."""
    data = render(job, Options("png", "slide", theme, _DPI, caption=bool(job.caption)))
    with Image.open(io.BytesIO(data)) as drawn:
        frame = _fitted(drawn.convert("RGB"), THEMES[theme].background)
    if kind == "gif":
        frame = frame.quantize(_COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    name = f"{prefix}.png"
    frame.save(folder / name, compress_level=1)
    return name


def _fitted(drawn: Image.Image, ground: str) -> Image.Image:
    """The picture at the top of a frame, scaled down if the step needed a higher page."""
    if drawn.size == SIZE:
        return drawn
    share = min(SIZE[0] / drawn.width, SIZE[1] / drawn.height, 1.0)
    small = drawn.resize((round(drawn.width * share), round(drawn.height * share)), Image.Resampling.LANCZOS)
    frame = Image.new("RGB", SIZE, rgb(ground))
    frame.paste(small, ((SIZE[0] - small.width) // 2, 0))
    return frame


def write(kind: str, frames: Sequence[Path], seconds: float, out: Path, ffmpeg: str = "") -> None:
    """Write a film of frames shown for `seconds` each."""
    if kind == "mp4":
        _encode(frames, seconds, out, ffmpeg)
        return
    first, *rest = _opened(frames)
    looks = {"lossless": True, "method": 4} if kind == "webp" else {"disposal": 1, "optimize": False}
    first.save(
        out, kind.upper(), save_all=True, append_images=rest, duration=round(100 * seconds) * 10, loop=0, **looks
    )


def _opened(frames: Sequence[Path]) -> Iterator[Image.Image]:
    for path in frames:
        with Image.open(path) as frame:
            frame.load()
            yield frame


def find_ffmpeg() -> str:
    """The path of ffmpeg, which makes MP4 files: the system's, or the optional dependency's. Raises ExportError."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as reason:
        raise ExportError(
            "An MP4 needs ffmpeg, which is not here; install it (on Debian: apt install ffmpeg), or the extra: "
            "pip install 'logitscope[video]'."
        ) from reason


def _encode(frames: Sequence[Path], seconds: float, out: Path, ffmpeg: str) -> None:
    """Send frames to ffmpeg through a pipe, so that ffmpeg ends when this process ends."""
    source = [
        "-f",
        "rawvideo",
        "-pix_fmt",
        "rgb24",
        "-s",
        f"{SIZE[0]}x{SIZE[1]}",
        "-framerate",
        f"1000/{seconds * 1000:.0f}",
    ]
    picture = ["-vf", f"fps={_RATE}", "-c:v", "libx264", "-tune", "stillimage", "-crf", "18", "-pix_fmt", "yuv420p"]
    # No dates, no versions and one thread, so that the same frames give the same bytes.
    same = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-threads", "1"]
    command = [
        ffmpeg,
        "-nostdin",
        "-loglevel",
        "error",
        "-y",
        *source,
        "-i",
        "-",
        *picture,
        *same,
        "-movflags",
        "+faststart",
        str(out),
    ]
    try:
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            assert process.stdin is not None and process.stderr is not None
            broken = False
            try:
                for frame in _opened(frames):
                    process.stdin.write(frame.convert("RGB").tobytes())
                process.stdin.close()
            except BrokenPipeError:
                broken = True  # ffmpeg's error message is read below
            words = process.stderr.read().decode(errors="replace").strip()
            status = process.wait()
    except OSError as reason:
        raise ExportError(f"{ffmpeg} cannot be run: {reason.strerror or reason}.") from reason
    if status or broken:
        last = words.splitlines()[-1] if words else f"it ended with {status}"
        raise ExportError(f"ffmpeg made no film: {last[:200]}.")
