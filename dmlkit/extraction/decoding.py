"""A media file → its pictures as they are displayed, and its sound in windows of the same times.

PyAV decodes and scales. Time 0 is where the first of the two streams begins; window k covers the times k / fps to
(k + 1) / fps, its picture is the one shown in the middle, and the last window counts if at least half of it is covered.
Both readers hold a few frames, however long the file is. Only local files are opened, and only containers that refer to
no other file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dmlkit.errors import DataError, UsageError, duration, shorten

if TYPE_CHECKING:
    import av

MEDIA = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".wav", ".mp3", ".flac", ".ogg", ".m4a")
# Formats are recognised by content. None of these opens a second file, as playlists and descriptions of sessions do.
_FORMATS = "mov,matroska,webm,avi,wav,w64,mp3,flac,ogg,aac,mpegts"
_GAP = Fraction(1, 20)  # seconds between frames of sound that are more than a time stamp's rounding
_LOSS = 1.0  # seconds a file may end before its stated end: containers round, and streams end apart


@dataclass(frozen=True)
class Media:
    """What a file holds.

    Attributes:
        seconds: Length, as the container states it; of a container that does not, to the last packet's end.
        has_pictures, has_sound: Whether there is a stream of which a frame can be decoded; an album's cover is none.
        width, height: Of the first picture as displayed, in square pixels; 0 without pictures.
        rotation: Degrees by which it was turned clockwise for that: 0, 90, 180 or 270.
    """

    path: Path
    seconds: float
    has_pictures: bool
    has_sound: bool
    width: int
    height: int
    rotation: int


def probe(path: str | os.PathLike) -> Media:
    """Describe a media file, by decoding the first picture and the first samples.

    Raises:
        DataError: The file is missing, empty, no media file or of another format, or nothing in it can be decoded.
        UsageError: PyAV is not installed, or `path` is an address.
    """
    with _open(path) as container:
        wanted = {stream.index: stream for kind in ("video", "audio") if (stream := _stream(container, kind))}
        first, reached = {}, Fraction(0)
        for packet in _packets(container, []):
            index = packet.stream.index
            if index in wanted and index not in first and (frames := _decoded(packet, [])):
                first[index] = frames[0]
            reached = max(reached, _end(packet))
            if len(first) == len(wanted) and container.duration is not None:
                break
        found = {wanted[index].type: frame for index, frame in first.items()}
        if not found:
            raise DataError(
                f"In {path} nothing can be decoded: it has neither pictures nor sound. Remove the file."
            )
        width = height = turned = 0
        if picture := found.get("video"):
            screen = _Screen(_stream(container, "video").sample_aspect_ratio, most=None)
            width, height = screen.size(picture)
            turned = screen.rotation(picture)
        declared = container.duration
        seconds = float(reached - _zero(container)) if declared is None else declared / 1e6
    return Media(Path(path), seconds, "video" in found, "audio" in found, width, height, turned)


def read_pictures(path: str | os.PathLike, *, fps: float = 1.0, most: int = 360) -> Iterator[np.ndarray]:
    """The pictures shown at the times (k + 0.5) / fps, k = 0, 1, …

    A frame is shown from its time stamp to the next one's; before the first one the first is shown. Rotation, mirroring
    and pixels that are not square are applied. Transparent pictures lie over black. HDR (PQ, HLG) becomes sRGB with
    white at 203 cd/m² (ITU-R BT.2408), what is brighter is clipped. Without a stated matrix, heights from 720 are
    BT.709 and others BT.601, as players assume. Fields of interlaced video stay as they are.

    Args:
        fps: Pictures a second.
        most: Longest side, in pixels; larger pictures are scaled down (by area), smaller ones stay.

    Yields:
        uint8 RGB (height, width, 3), all of the size of the first.

    Raises:
        DataError: As `probe`, and for a file without pictures. Of a file that is damaged or cut off, the pictures
            before the damage come first. Ogg, ADTS and MPEG-TS do not state their length: a cut goes unnoticed there.
    """
    step = 1 / _rate(fps)
    if most < 1:
        raise UsageError(
            f"`most` is the longest side of a picture in pixels, at least 1. Received: most={most}."
        )
    with _open(path) as container:
        stream = _stream(container, "video")
        if stream is None:
            raise DataError(f"{path} has no pictures. Extract its sound alone, or remove the file.")
        zero, problems = _zero(container), []
        screen = _Screen(stream.sample_aspect_ratio, most)
        shown, due = None, (zero + step / 2) / stream.time_base
        end = None
        for frame in _frames(container, stream, problems):
            if frame.pts is None:
                frame.pts = end or 0
            while shown is not None and frame.pts > due:
                yield screen.show(shown)
                due += step / stream.time_base
            shown = frame
            end = frame.pts + (frame.duration or 1 / (stream.average_rate or 25) / stream.time_base)
        while shown is not None and due <= end:
            yield screen.show(shown)
            due += step / stream.time_base
    _check(path, problems)


def read_sound(path: str | os.PathLike, *, fps: float = 1.0, rate: int = 16000) -> Iterator[np.ndarray]:
    """The sound of each window, as the mean of the channels.

    Silence stands before sound that begins later than the pictures, and in its gaps.

    Args:
        fps: Windows a second.
        rate: Samples a second, to which the sound is resampled.

    Yields:
        float32 (round(rate / fps),) in [-1, 1]; the last window ends in zeros if it is covered at least by half, else
        there is none.

    Raises:
        DataError: As `read_pictures`, and for a file without sound.
    """
    step = rate / _rate(fps)
    if rate < 1 or (size := round(step)) < 1:
        raise UsageError(
            f"A window has {rate} / {fps} samples, and needs one at least. Lower fps or raise `rate`."
        )
    with _open(path) as container:
        stream = _stream(container, "audio")
        if stream is None:
            raise DataError(f"{path} has no sound. Extract its pictures alone, or remove the file.")
        problems: list[str] = []
        held, begin, windows = [], 0, 0  # samples from `begin` on
        available = 0
        for samples in _samples(_frames(container, stream, problems), stream, rate, _zero(container)):
            held.append(samples)
            available += len(samples)
            while available >= round(windows * step) + size:
                held = [np.concatenate(held)]
                start = round(windows * step) - begin
                yield held[0][start : start + size].copy()
                windows += 1
                keep = round(windows * step) - begin
                held, begin = [held[0][keep:]], min(begin + keep, available)
        rest = np.concatenate([*held, np.zeros(0, np.float32)])[round(windows * step) - begin :]
        if 2 * len(rest) >= size:
            yield np.pad(rest, (0, size - len(rest)))
    _check(path, problems)


def _rate(fps: float) -> Fraction:
    if not 0 < fps < float("inf"):
        raise UsageError(f"`fps` is the number of pictures a second, above 0. Received: fps={fps}.")
    return Fraction(fps)


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[av.container.InputContainer]:
    """The container of a local file; FFmpeg's errors as `DataError`."""
    try:
        import av
    except ImportError:
        raise UsageError(
            "Reading video and sound needs PyAV. Install it: pip install dmlkit[video]."
        ) from None
    if "://" in str(path):
        raise UsageError(f"{path} is an address. Only local files are read: download it first.")
    if not Path(path).is_file():
        raise DataError(f"{path} is no file. Name a video or sound file: {', '.join(MEDIA)}.")
    if not Path(path).stat().st_size:
        raise DataError(f"{path} is empty. Copy or download it again, or remove it.")
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        container = av.open(f"file:{os.path.abspath(path)}", options=options, metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as video or sound ({_reason(error)}): it is damaged, cut off, or of a format "
            f"that is not read. Convert it to one of {', '.join(MEDIA)}, or remove it."
        ) from None
    with container:
        yield container


def _reason(error: Exception) -> str:
    return shorten(getattr(error, "strerror", None) or error, 200)


def _stream(container: av.container.InputContainer, kind: str) -> av.stream.Stream | None:
    """The default stream of a kind that has a decoder, or the first one; no cover pictures."""
    from av.stream import Disposition

    still = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = (each for each in container.streams if each.type == kind and each.codec_context is not None)
    streams = [each for each in streams if not each.disposition & still]
    return max(streams, key=lambda each: bool(each.disposition & Disposition.default), default=None)


def _zero(container: av.container.InputContainer) -> Fraction:
    """Time 0, in the container's seconds: where the first of the two streams begins."""
    streams = [_stream(container, kind) for kind in ("video", "audio")]
    return min(
        (s.start_time * s.time_base for s in streams if s and s.start_time is not None), default=Fraction(0)
    )


def _end(packet: av.Packet) -> Fraction:
    return Fraction(0) if packet.pts is None else (packet.pts + (packet.duration or 0)) * packet.time_base


def _packets(container: av.container.InputContainer, problems: list[str]) -> Iterator[av.Packet]:
    """The packets of all streams; a problem where the file breaks off."""
    import av

    packets = container.demux()
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            problems.append(f"it breaks off ({_reason(error)})")
            return
        if packet is None:
            return
        yield packet


def _decoded(packet: av.Packet, problems: list[str]) -> list[av.frame.Frame]:
    import av

    try:
        return packet.decode()
    except av.FFmpegError as error:
        when = "" if packet.pts is None else f" at {duration(float(packet.pts * packet.time_base))}"
        problems.append(f"it cannot be decoded{when} ({_reason(error)})")
        return []


def _frames(
    container: av.container.InputContainer, stream: av.stream.Stream, problems: list[str]
) -> Iterator[av.frame.Frame]:
    """The frames of a stream up to the first problem, which is added to the list.

    What cannot be decoded before the first frame is no problem: streams that were cut from longer ones begin so.
    """
    import av

    stream.thread_type = "AUTO"
    reached, any_yet = Fraction(0), False
    for packet in _packets(container, problems):
        reached = max(reached, _end(packet))
        if packet.stream is not stream:
            continue
        frames = _decoded(packet, problems)
        if frames and not any_yet:
            any_yet = True
            problems.clear()
        yield from frames
        if any_yet and (problems or packet.is_corrupt):
            problems.append(f"it breaks off at {duration(float(reached))}")
            break
    if problems and any_yet:  # the decoder still holds some
        try:
            yield from stream.codec_context.decode(None)
        except av.FFmpegError:
            return
    declared = Fraction(container.duration or 0, 1_000_000)
    if any_yet and not problems and _states_its_length(container, stream):
        lost = declared - (reached - _zero(container))
        if lost > max(_LOSS, declared / 50):
            problems.append(f"it states {duration(float(declared))} and ends {duration(float(lost))} before")
    if not any_yet:
        problems[:] = problems[:1] or ["the stream is empty"]


def _states_its_length(container: av.container.InputContainer, stream: av.stream.Stream) -> bool:
    """Not of a file whose length FFmpeg estimates from its size: of MP3, those without a LAME header."""
    name = container.format.name
    return name != "aac" and (name != "mp3" or "encoder" in stream.metadata)


def _check(path: str | os.PathLike, problems: list[str]) -> None:
    if problems:
        raise DataError(
            f"{path} is damaged or cut off: {problems[0]}. Copy or download it again, or leave the file out."
        )


class _Screen:
    """Shows frames as a player does, in one size: that of the first."""

    def __init__(self, aspect: Fraction | None, most: int | None):
        from av.video.reformatter import VideoReformatter

        self.aspect = aspect or Fraction(1)  # a pixel's width by its height
        self.most = most
        self.shape: tuple[int, int] | None = None  # (width, height)
        self.scaler, self.second = VideoReformatter(), VideoReformatter()

    def matrix(self, frame: av.VideoFrame) -> tuple[int, int, int, int]:
        """Signs (a, b, c, d) of the display matrix: x' = a x + c y and y' = b x + d y, with y downwards."""
        try:
            data = frame.side_data.get("DISPLAYMATRIX")
        except ValueError:  # side data of a kind that PyAV does not know
            data = None
        if data is None:
            return {0: (1, 0, 0, 1), 90: (0, -1, 1, 0), -90: (0, 1, -1, 0)}.get(
                frame.rotation, (-1, 0, 0, -1)
            )
        a, b, _, c, d = np.frombuffer(data, np.int32)[:5]
        signs = tuple(int(np.sign(each)) for each in (a, b, c, d))
        if abs(signs[0]) == abs(signs[1]):
            raise DataError(
                f"A picture is to be turned by {frame.rotation} degrees; only quarter turns are applied. Convert "
                "the file."
            )
        return signs

    def rotation(self, frame: av.VideoFrame) -> int:
        """Degrees clockwise; a mirrored picture's horizontal axis counts."""
        a, b, _, _ = self.matrix(frame)
        return round(np.degrees(np.arctan2(b, a))) % 360

    def size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(width, height) as displayed."""
        width = frame.width * max(self.aspect, 1)
        height = frame.height * max(1 / self.aspect, 1)
        if not self.matrix(frame)[0]:
            width, height = height, width
        scale = min(1, Fraction(self.most or 1 << 30) / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def show(self, frame: av.VideoFrame) -> np.ndarray:
        """Uint8 RGB (height, width, 3)."""
        from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation

        a, b, c, d = self.matrix(frame)
        self.shape = self.shape or self.size(frame)
        width, height = self.shape if a else self.shape[::-1]
        unstated = (
            {"src_colorspace": "ITU709" if frame.height >= 720 else "ITU601"} if frame.colorspace == 2 else {}
        )
        scaled = {"width": width, "height": height, "interpolation": Interpolation.AREA, **unstated}
        wide = frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)
        if any(part.is_alpha for part in frame.format.components):
            picture = self._over_black(frame, unstated)
            picture = self.second.reformat(picture, **scaled, format="rgb24")
        elif wide:
            picture = self.scaler.reformat(frame, **scaled, format="gbrp16")
            picture = self.second.reformat(
                picture,
                format="rgb24",
                dst_color_trc=ColorTrc.IEC61966_2_1,
                dst_color_primaries=ColorPrimaries.BT709,
            )
        else:
            picture = self.scaler.reformat(frame, **scaled, format="rgb24")
        picture = picture.to_ndarray()
        if not a:
            picture = picture.swapaxes(0, 1)
        return np.ascontiguousarray(picture[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1])

    def _over_black(self, frame: av.VideoFrame, unstated: dict) -> av.VideoFrame:
        import av

        rgba = self.scaler.reformat(frame, format="rgba", **unstated).to_ndarray().astype(np.uint32)
        blended = (rgba[..., :3] * rgba[..., 3:] + 127) // 255
        return av.VideoFrame.from_ndarray(blended.astype(np.uint8), "rgb24")


def _samples(frames: Iterator, stream: av.stream.Stream, rate: int, zero: Fraction) -> Iterator[np.ndarray]:
    """Mono float32 at `rate` from time 0 on, without gaps: silence where no frame is, overlaps dropped."""
    import av

    written, skip = 0, 0  # samples yielded; samples to drop of what comes
    resampler, source = None, 0
    expected = None  # where the next frame begins, in seconds

    def ready(frame):
        nonlocal written, skip
        for each in resampler.resample(frame):
            samples = np.clip(each.to_ndarray()[0], -1, 1)[skip:]
            skip -= min(skip, each.samples)
            written += len(samples)
            yield samples

    for frame in frames:
        start = expected or Fraction(0) if frame.pts is None else frame.pts * frame.time_base - zero
        if expected is None or abs(start - expected) > _GAP or source != frame.sample_rate:
            if resampler:
                yield from ready(None)
            skip = max(0, written - round(start * rate))
            while (silence := min(round(start * rate) - written, rate)) > 0:
                yield np.zeros(silence, np.float32)
                written += silence
            resampler, source = av.AudioResampler("flt", "mono", rate), frame.sample_rate
        expected = start + Fraction(frame.samples, frame.sample_rate)
        mono = av.AudioFrame.from_ndarray(_mono(frame)[None], "flt", "mono")
        mono.sample_rate = frame.sample_rate
        yield from ready(mono)
    if resampler:
        yield from ready(None)


def _mono(frame: av.AudioFrame) -> np.ndarray:
    """The mean of a frame's channels, float32 in [-1, 1]."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).mean(0)
    scale = -np.iinfo(samples.dtype).min if samples.dtype.kind == "i" else 1
    return (samples.mean(0, dtype=np.float64) / scale).astype(np.float32)
