"""MP4 files, read back; captions and tiles."""

import av
import numpy as np
import pytest

from hcsac.errors import UserError
from hcsac.evaluation.video import Video, captioned, tiled


def decoded(path):
    """Images [T, H, W, 3] of an MP4 file, and the properties of its stream."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        properties = {
            "codec": stream.codec_context.name,
            "format": stream.codec_context.pix_fmt,
            "rate": stream.average_rate,
            "title": container.metadata.get("title"),
        }
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]), properties


def grey(level, height=48, width=64):
    return np.full((height, width, 3), level, np.uint8)


def test_a_video_is_read_back(tmp_path):
    path = tmp_path / "deep" / "er" / "clip.mp4"
    with Video(path, 20.0, "walk & run") as video:
        for level in range(0, 250, 10):
            video.add(grey(level))
        assert not path.exists()
    images, properties = decoded(path)
    assert properties == {"codec": "h264", "format": "yuv420p", "rate": 20, "title": "walk & run"}
    assert images.shape == (25, 48, 64, 3)
    np.testing.assert_allclose(images.mean((1, 2, 3)), np.arange(0, 250, 10), atol=4)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # the index first: it plays while it loads
    assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"]


def test_odd_sizes_are_padded(tmp_path):
    with Video(tmp_path / "odd.mp4", 29.97) as video:
        video.add(grey(200, 31, 45))
    images, properties = decoded(tmp_path / "odd.mp4")
    assert images.shape == (1, 32, 46, 3)
    assert images.min() > 190
    assert float(properties["rate"]) == pytest.approx(29.97, abs=1e-3)


def test_existing_files_stay(tmp_path):
    path = tmp_path / "video.mp4"
    path.write_bytes(b"years of work")
    with pytest.raises(UserError, match=r"video.mp4 exists.*--overwrite"):
        Video(path, 20)

    def interrupted():
        with Video(path, 20, overwrite=True) as video:
            video.add(grey(3))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"years of work"
    assert [p for p in tmp_path.iterdir() if p.is_file()] == [path]
    with Video(path, 20, overwrite=True) as video:
        video.add(grey(3))
    assert decoded(path)[0].shape == (1, 48, 64, 3)


def test_paths_where_no_video_can_be_written(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"does not end in \.mp4"):
        Video(tmp_path / "clip.gif", 20)
    with pytest.raises(UserError, match="is a directory"):
        Video(tmp_path / "folder.mp4", 20)
    with pytest.raises(UserError, match="cannot write to"), Video(tmp_path / "file" / "clip.mp4", 20):
        pass


def test_images_of_one_video_have_one_size(tmp_path):
    with Video(tmp_path / "clip.mp4", 20) as video:
        video.add(grey(0))
        with pytest.raises(ValueError, match="66x48 in a video of 64x48"):
            video.add(grey(0, 48, 66))


@pytest.mark.parametrize("size", [(120, 160), (240, 320), (360, 480), (8, 30)])
def test_a_caption_darkens_a_strip_and_leaves_the_rest(size):
    image = grey(150, *size)
    image.setflags(write=False)
    words = "walker-speed:-3.5   step 1000   return 1000.0"
    written = captioned(image, words)
    rows = np.flatnonzero((written != image).any((1, 2)))
    assert written.shape == image.shape
    assert 0 < len(rows) <= max(size[0] / 10, 15)
    assert rows[0] == 0
    assert rows[-1] == len(rows) - 1
    if size[0] > 100:
        assert (written[: len(rows), -3:] == 50).all()  # the whole sentence fits
        assert written[: len(rows)].max() > 180
        assert (captioned(image, words.replace("step", "stop")) != written).any()


def test_tiles():
    three = tiled([grey(1), grey(2, 40, 60), grey(3)])
    assert three.shape == (48, 192, 3)
    assert [three[0, 0, 0], three[0, 64, 0], three[0, 128, 0], three[45, 64, 0]] == [1, 2, 3, 0]
    five = tiled([grey(level) for level in range(1, 6)])
    assert five.shape == (96, 192, 3)
    assert [five[50, 0, 0], five[50, 64, 0], five[50, 128, 0]] == [4, 5, 0]
    np.testing.assert_array_equal(tiled([grey(9)]), grey(9))
