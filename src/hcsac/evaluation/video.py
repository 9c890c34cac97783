"""Images into a video: captions, tiles and an MP4 file."""

import math
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np

from hcsac.errors import UserError, needs


class Video:
    """An MP4 file written frame by frame: H.264, yuv420p, index first, as browsers and phones need it.

    Use it in a `with`. The file is at `path` after the block; if the block raises, `path` stays as it was. All images
    have the size of the first; an odd width or height is padded by one, as H.264 requires.

    Raises:
        UserError: `path` does not end in .mp4, cannot be written, or exists and `overwrite` is not set.
    """

    def __init__(self, path: str | Path, fps: float, title: str = "", overwrite: bool = False):
        self.path = Path(path)
        check_output(self.path, overwrite)
        self._title = title
        self._rate = Fraction(fps).limit_denominator(1001)
        self._temporary = self.path.with_name(f".{self.path.name}.tmp")

    def __enter__(self) -> "Video":
        with needs("video"):
            import av

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "faststart"})
        except OSError as error:
            raise UserError(f"cannot write to {self.path} ({error.strerror}); choose another file.") from error
        self._container.metadata["title"] = self._title
        self._stream = self._container.add_stream("h264", self._rate, options={"crf": "23", "preset": "veryfast"})
        self._stream.pix_fmt = "yuv420p"
        self._size: tuple[int, int] | None = None
        return self

    def add(self, image: np.ndarray) -> None:
        """Add an image, uint8 [H, W, 3]."""
        import av

        height, width = image.shape[:2]
        if self._size is None:
            self._size = height, width
            self._stream.height, self._stream.width = height + height % 2, width + width % 2
        if self._size != (height, width):
            raise ValueError(f"an image of {width}x{height} in a video of {self._size[1]}x{self._size[0]}")
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._container.mux(self._stream.encode())
            self._container.close()
            if kind is None:
                os.replace(self._temporary, self.path)
        finally:
            self._temporary.unlink(missing_ok=True)


def check_output(path: Path, overwrite: bool) -> None:
    """Raise `UserError` unless a video may be written to `path`; see `Video`."""
    if path.suffix.lower() != ".mp4":
        raise UserError(f"{path} does not end in .mp4, and videos are MP4 files; choose a name that does.")
    if path.is_dir():
        raise UserError(f"{path} is a directory; choose another file.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists; choose another file, or --overwrite to replace it.")


def captioned(image: np.ndarray, text: str) -> np.ndarray:
    """The image uint8 [H, W, 3] with a line of text on a darkened strip along its upper edge."""
    with needs("video"):
        from PIL import Image, ImageDraw, ImageFont

    height, width = image.shape[:2]
    size = max(height / 24, 10.0)
    font = ImageFont.load_default(size)
    available, needed = width - size, font.getlength(text)
    if needed > available:  # a smaller font, so that the text fits
        font = ImageFont.load_default(size * available / needed)
    bar = min(round(1.5 * size), height)
    strip = Image.fromarray(image[:bar] // 3)
    ImageDraw.Draw(strip).text((size / 2, bar / 2), text, fill=(255, 255, 255), font=font, anchor="lm")
    return np.concatenate([np.asarray(strip), image[bar:]])


def tiled(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images uint8 [H, W, 3] side by side, up to three in a row, more in a square; gaps are black."""
    columns = len(images) if len(images) <= 3 else math.ceil(math.sqrt(len(images)))
    height, width = (max(image.shape[axis] for image in images) for axis in (0, 1))
    rows = math.ceil(len(images) / columns)
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * height, place % columns * width
        canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
