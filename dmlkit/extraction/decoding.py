"""A media file → its pictures as they are displayed, and its sound in windows of the same times.

PyAV decodes and scales. Time 0 is where the first of the two streams begins; window k covers the times k / fps to
(k + 1) / fps, its picture is the one shown in the middle, and the last window counts if at least half of it is covered.
The readers hold a few frames, however long a file is. They open local files only, of formats that refer to no other.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dmlkit.errors import DataError, UsageError, duration, shorten

if TYPE_CHECKING:
    import av

MEDIA = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".wav", ".mp3", ".flac", ".ogg", ".m4a")
_FORMATS = "mov,matroska,webm,avi,wav,w64,mp3,flac,ogg,aac,mpegts"  # recognised by content; no playlists
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave transparency out
_GAP = Fraction(1, 20)  # seconds between frames of sound that are more than the rounding of time stamps
_LOSS = Fraction(1, 2)  # seconds that a file may end before its stated end


class Media(NamedTuple):
    """What a file holds."""

    seconds: float  # from time 0 to the end of the last packet
    has_pictures: bool  # whether one can be decoded; the cover of an album is none
    has_sound: bool


def probe(path: str | os.PathLike) -> Media:
    """Describe a media file: read it to its end, decode the first frame of its pictures and of its sound.

    Raises:
        DataError: The file is missing, empty, cut off, no media file or of another format, or cannot be decoded.
        UsageError: PyAV is not installed, or `path` is an address.
    """
    with _open(path) as file:
        wanted, found = set(file.streams.values()), set()
        for stream, _ in file.frames(wanted):
            found.add(stream.type)
            wanted.discard(stream)
        return Media(float(file.reached - file.zero), "video" in found, "audio" in found)


def read_pictures(path: str | os.PathLike, *, fps: float = 1.0, most: int = 360) -> Iterator[np.ndarray]:
    """The pictures shown at the times (k + 0.5) / fps, k = 0, 1, …

    A frame is shown from its time stamp to the next one's, the first one also before. Rotation, mirroring and pixels
    that are not square are applied; transparent pictures lie over black; HDR (PQ, HLG) becomes sRGB with white at 203
    cd/m² (ITU-R BT.2408) and what is brighter clipped. Without a stated matrix, heights from 720 are BT.709 and others
    BT.601, as in players. Interlaced fields stay as they are.

    Args:
        fps: Pictures a second.
        most: Longest side in pixels; larger pictures are scaled down by area, smaller ones stay.

    Yields:
        uint8 RGB (height, width, 3), all of the size and turned as the first.

    Raises:
        DataError: As `probe`, and for a file without pictures. Where a file is damaged or cut off, what lies before
            comes first. Ogg, ADTS, MPEG-TS and MP3 without a header do not state their length: a cut goes unnoticed.
    """
    step, most = 1 / _positive("fps", fps), _positive("most", most)
    with _open(path) as file:
        stream = file.stream("video")
        step /= stream.time_base
        due, view = file.zero / stream.time_base + step / 2, None
        for (_, shown), (_, following) in pairwise(chain(file.frames({stream}), [(stream, None)])):
            length = shown.duration or 1 / (stream.average_rate or 25) / stream.time_base
            until = following.pts if following else shown.pts + length
            while due < until or (due == until and not following):
                view = view or file.view(shown, most)
                yield _displayed(shown, *view)
                due += step


def read_sound(path: str | os.PathLike, *, fps: float = 1.0, rate: int = 16000) -> Iterator[np.ndarray]:
    """The sound of each window: the mean of the channels, with silence before it and in its gaps.

    Args:
        fps: Windows a second.
        rate: Samples a second, to which the sound is resampled.

    Yields:
        float32 (round(rate / fps),) in [-1, 1]. The last window ends in zeros, in at most half of it.

    Raises:
        DataError: As `read_pictures`, and for a file without sound.
    """
    step = rate / _positive("fps", fps)
    size = int(_positive("rate / fps", round(step)))
    with _open(path) as file:
        frames = (frame for _, frame in file.frames({file.stream("audio")}))
        held, begin, count = np.zeros(0, np.float32), 0, 0  # samples from `begin` on; windows so far
        for samples in _resampled(frames, rate, file.zero):
            held = np.concatenate([held, samples])
            while (start := round(count * step) - begin) + size <= len(held):
                yield held[start : start + size].copy()
                count += 1
            held, begin = held[start:], begin + min(start, len(held))
        held = held[round(count * step) - begin :]
        if 2 * len(held) >= size:
            yield np.pad(held, (0, size - len(held)))


def _positive(name: str, value: float) -> Fraction:
    if not 0 < value < float("inf"):
        raise UsageError(f"`{name}` must be a number above 0. Received: {name}={value}.")
    return Fraction(value)


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[_File]:
    """A local file; errors of FFmpeg while it is open as `DataError`."""
    try:
        import av
    except ImportError:
        raise UsageError("Video and sound are read by PyAV. Install it: pip install dmlkit[video].") from None
    if "://" in str(path):
        raise UsageError(f"{path} is an address. Only local files are read: download it first.")
    if not Path(path).is_file() or not Path(path).stat().st_size:
        found = "empty" if Path(path).is_file() else "no file"
        raise DataError(f"{path} is {found}. Name a video or sound file.")
    options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
    try:
        local = f"file:{os.path.abspath(path)}"
        with av.open(local, options=options, metadata_errors="replace") as container:
            yield _File(path, container)
    except (av.FFmpegError, ValueError) as error:
        reason = shorten(getattr(error, "strerror", None) or error, 200)
        what = f"{path} cannot be read as video or sound ({reason}): it is damaged, cut off, or of another format"
        raise DataError(f"{what}. Convert it to one of {', '.join(MEDIA)}, or leave it out.") from None


class _File:
    """An open file: its streams, time 0 (`zero`) and how far it was read in the container's seconds."""

    def __init__(self, path: str | os.PathLike, container: av.container.InputContainer):
        from av.stream import Disposition

        self.path, self.container, self.format = path, container, container.format.name
        self.reached = Fraction(0)
        covers = Disposition.attached_pic | Disposition.timed_thumbnails
        self.streams: dict[str, av.stream.Stream] = {}  # the default one of a kind, or the first
        for stream in sorted(container.streams, key=lambda each: not each.disposition & Disposition.default):
            if stream.type in ("video", "audio") and stream.codec_context and not stream.disposition & covers:
                self.streams.setdefault(stream.type, stream)
        timed = [each for each in self.streams.values() if each.start_time is not None]
        self.zero = min((each.start_time * each.time_base for each in timed), default=Fraction(0))

    def stream(self, kind: str) -> av.stream.Stream:
        if kind not in self.streams:
            missing = {"video": "pictures", "audio": "sound"}[kind]
            raise DataError(f"{self.path} has no {missing}. Leave it out, or extract without them (`none`).")
        return self.streams[kind]

    def frames(self, wanted: set[av.stream.Stream]) -> Iterator[tuple[av.stream.Stream, av.frame.Frame]]:
        """The frames of streams, while they are in the set; `DataError` from where the file is broken.

        It is not where only a stream's first packets cannot be decoded: what was cut from longer streams begins so.
        """
        import av

        begun, packets, decoders, broken = set(), self.container.demux(), {}, False
        times = deque()  # of AVI, whose frames have none: FFmpeg makes some up, not always in order
        for stream in wanted:
            decoders[stream] = stream.codec_context
            if stream.metadata.get("alpha_mode") == "1" and stream.name in _WITH_ALPHA:
                decoders[stream] = av.CodecContext.create(_WITH_ALPHA[stream.name], "r")
            decoders[stream].thread_type = "AUTO"
        while not broken:
            stream, frames = None, []
            try:
                packet = next(packets)
                if packet.pts is not None:
                    self.reached = max(self.reached, (packet.pts + (packet.duration or 0)) * packet.time_base)
                stream = packet.stream
                if stream in wanted:
                    if self.format == "avi" and stream.type == "video" and packet.size:
                        times.append(packet.dts)
                    frames = decoders[stream].decode(packet)
                broken = bool(begun) and packet.is_corrupt
            except StopIteration:
                break
            except av.FFmpegError:
                broken = stream is None or stream in begun
            for frame in frames:
                frame.pts = times.popleft() if times and stream.type == "video" else frame.pts
                if frame.pts is None:
                    raise ValueError("a frame has no time stamp")
                begun.add(stream)
                yield stream, frame
        # Some formats state the length from 0 on, some from the first frame.
        lost = self._stated_length() - max(self.reached, self.reached - self.zero)
        if not begun:
            raise DataError(f"{self.path} has nothing that can be decoded. Leave it out.")
        if broken or lost > _LOSS:
            what = f"it can be read for {duration(float(self.reached - self.zero))} only"
            raise DataError(f"{self.path} is damaged or cut off: {what}. Copy it again, or leave it out.")

    def _stated_length(self) -> Fraction:
        """Seconds; 0 where FFmpeg would estimate them from the size."""
        if self.format == "avi":
            return max(each.frames * each.time_base for each in self.container.streams)
        if self.format == "mp3":
            with open(self.path, "rb") as file:
                begin = file.read(1 << 20)
            if b"Xing\0\0\0" not in begin and b"Info\0\0\0" not in begin:
                return Fraction(0)
        return Fraction(0 if self.format == "aac" else self.container.duration or 0, 1_000_000)

    def view(self, frame: av.VideoFrame, most: int) -> tuple[tuple, tuple]:
        """How pictures are displayed, by the first: (width, height), at most `most`; signs (a, b, c, d) of the display
        matrix: x' = a x + c y, y' = b x + d y, y downwards.
        """
        data = frame.side_data.get("DISPLAYMATRIX")
        a, b, _, c, d = np.sign(np.frombuffer(data, np.int32)[:5]).tolist() if data else (1, 0, 0, 0, 1)
        if abs(a) == abs(b):
            what = "is to be displayed turned, and not by quarters, which are all that is applied"
            raise DataError(f"{self.path} {what}. Convert it, or leave it out.")
        aspect = self.streams["video"].sample_aspect_ratio or Fraction(1)
        sides = frame.width * max(aspect, 1), frame.height * max(1 / aspect, 1)
        size = tuple(max(1, round(side * min(1, most / max(sides)))) for side in sides)
        return size if a else size[::-1], (a, b, c, d)


def _displayed(frame: av.VideoFrame, size: tuple, signs: tuple) -> np.ndarray:
    """A frame as uint8 RGB (height, width, 3) of a size."""
    import av
    from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation

    a, b, c, d = signs
    width, height = size if a else size[::-1]
    area = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
    exact = {"interpolation": area, "threads": 1}
    unstated = frame.colorspace == 2  # AVCOL_SPC_UNSPECIFIED
    how = {"src_colorspace": "ITU709" if frame.height >= 720 else "ITU601"} if unstated else {}
    if any(part.is_alpha for part in frame.format.components):
        rgba = frame.reformat(format="rgba", **exact, **how).to_ndarray().astype(np.uint32)
        blended = (rgba[..., :3] * rgba[..., 3:] + 127) // 255
        frame, how = av.VideoFrame.from_ndarray(blended.astype(np.uint8)), {}
    if frame.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67):
        frame = frame.reformat(width, height, "gbrp16", **exact, **how)
        how = {"dst_color_trc": ColorTrc.IEC61966_2_1, "dst_color_primaries": ColorPrimaries.BT709}
    picture = frame.reformat(width, height, "rgb24", **exact, **how).to_ndarray()
    picture = picture if a else picture.swapaxes(0, 1)
    return np.ascontiguousarray(picture[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1])


def _resampled(frames: Iterator[av.AudioFrame], rate: int, zero: Fraction) -> Iterator[np.ndarray]:
    """Mono float32 at `rate` from time 0 on: silence where there is no frame, what overlaps dropped."""
    import av

    written, resampler, source = 0, None, None  # samples yielded; what the resampler takes
    for frame in chain(frames, [None]):
        found = frame and (frame.sample_rate, frame.format.name, frame.layout.name)
        pieces = resampler.resample(None) if resampler and found != source else []
        if frame:
            resampler = resampler if found == source else av.AudioResampler("flt", rate=rate)
            pieces += resampler.resample(frame)
        source = found
        for piece in filter(None, pieces):
            # Packed samples: PyAV reads beyond the end of planar frames with 8 channels.
            samples = piece.to_ndarray().reshape(piece.samples, -1).mean(1).clip(-1, 1)
            start = round((piece.pts * piece.time_base - zero) * rate)
            if not written or abs(start - written) > _GAP * rate:
                while (silence := min(start - written, rate)) > 0:
                    yield np.zeros(silence, np.float32)
                    written += silence
                samples = samples[written - start :]
            written += len(samples)
            yield samples
