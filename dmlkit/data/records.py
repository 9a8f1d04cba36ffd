"""Shards and their records: TFRecord files, read on after damage, and the protobuf messages in them.

A record lies between a header (its length in 8 bytes, little endian, and their checksum in 4) and a footer (the
record's checksum in 4). Checksums are CRC-32C, rotated and shifted as TFRecord does. Local files are read by plain
`open`; what holds ``://`` (``gs://``, ``hdfs://``, ``ram://``) goes through ``tf.io.gfile``. The messages,
``tf.train.Example`` and ``tf.train.SequenceExample``, are defined here once more, because importing TensorFlow takes
seconds and hundreds of megabytes in every process. A shard may be compressed as a whole, by GZIP or ZLIB, whatever its
name; offsets are then those of the decompressed bytes.

Differs from ``tf.data.TFRecordDataset``: that names neither record nor byte, and ends at the first damaged record.
"""

from __future__ import annotations

import glob
import os
import posixpath
import re
import shutil
import stat
import struct
import unicodedata
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessages
from google_crc32c import value as crc32c

from dmlkit.errors import DataError, UsageError, shorten
from dmlkit.files import atomic_write
from dmlkit.paths import is_remote

# The end of a shard's path: x.tfrecord, x.tfrecords.gz, x.tfrecord-00000-of-00003, x-00000-of-00003, part-r-00000.
SHARD_SUFFIX = re.compile(
    r"(\.(tfrecords?|tfrec|tfr|records?)([-_.]?\d+)?(-of-\d+)?|-\d+-of-\d+|(?<![^/])part(-[rm])?-\d+(-[\w-]+)?(\.c\d+)?)"
    r"(\.(gz|gzip|zlib|z))?$",
    re.IGNORECASE,
)
# Of the system, of notebooks, of other programs at work.
_ASIDE = re.compile(r"\..*|__MACOSX|_temporary|lost\+found")
_SUMS = (".crc", ".md5", ".sha256", ".index")
MAX_DEPTH = 3  # folders below the data set's own in which shards are looked for
HEADER_BYTES, FOOTER_BYTES = 12, 4
READ_BYTES = 1 << 20  # one read of a file
EMPTY_BYTES = 64  # more than a compressed file without content takes
MOST_INFLATION = 1032  # by which deflate's bytes grow
INFLATED_BYTES = 1 << 16  # decompressed at a time: so much may be lost before the place of damage
_LENGTH_AND_CRC, _CRC = struct.Struct("<QI"), struct.Struct("<I")
_CRC_SHIFT = 0xA282EAD8

_FETCH_AGAIN = "Fetch the file again, or move it out of the data set."
# What can be wrong with a shard around its records, and what to do.
SHARD_ERRORS = {
    "length checksum": f"the shard is damaged, the checksum of the record's length is wrong. {_FETCH_AGAIN}",
    "record checksum": f"the shard is damaged, its checksum is wrong. {_FETCH_AGAIN}",
    "cut off": f"the shard is damaged, the file ends within the record. {_FETCH_AGAIN}",
    "compression": "the shard is damaged, it cannot be decompressed from here on (damaged, or the file ends too "
    f"early). {_FETCH_AGAIN}",
    "changed": "the file grew or shrank while it was read. Read it again once nothing writes to it any more.",
    "count": "the shard ends here, but dataset.toml counts another number of records in it. Fetch the file again, or "
    "correct dataset.toml.",
}
# What can be wrong with an intact record's content.
CONTENT_ERRORS = (
    "not a record",
    "level",
    "label",
    "not finite",
    "size",
    "coding",
    "frames",
    "no features",
    "release",
)
ID_KEYS = ("id", "video_id")

# How files begin that lie among shards and are none; what they are, and what to do.
_OTHER_KINDS = {
    rb"version https://git-lfs": "a Git LFS pointer, not the shard. Run `git lfs pull` in its repository.",
    rb"(\xef\xbb\xbf)?\s*<(!doctype|html|head|body|\?xml|!--|error)": "a web page, not a shard: the download failed "
    "(a login, a wrong address). Fetch the file itself.",
    rb"PK\x03\x04.{26,80}?\.npy|\x93NUMPY|PAR1": "of NumPy or parquet. Let its name end in .npz, .npy or .parquet, and "
    "make shards of it by `dmlkit data import`.",
    rb"\x89HDF|ARROW1|Obj\x01": "of HDF5, Arrow or Avro. Save it as .npz or parquet, then `dmlkit data import` that.",
    rb"PK\x03\x04|\xfd7zXZ|BZh\d|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!|\x04\x22\x4d\x18|\xff\x06\0\0sNa|.{257}ustar": "an "
    "archive. Unpack it (of compressed shards, those by GZIP and ZLIB are read as they are).",
}
GZIP = b"\x1f\x8b\x08"
MAX_MESSAGE_BYTES = 1 << 28  # of a file that may be one message


class InvalidRecord(ValueError):
    """A record is not what the data set's description requires; `kind` is one of the errors above."""

    def __init__(self, message: str, *, kind: str):
        super().__init__(message)
        self.kind = kind


class Record(NamedTuple):
    """One record (or damaged stretch) of a shard: number from 0, first byte, data if found, key of `SHARD_ERRORS`."""

    shard: str
    number: int
    offset: int
    data: bytes | None
    error: str | None

    def check(self) -> bytes:
        """The record's data; raises `InvalidRecord` where the shard is damaged."""
        if self.error:
            raise InvalidRecord(SHARD_ERRORS[self.error], kind=self.error)
        return self.data


def locate(shard: str, number: int, offset: int | None = None) -> str:
    """The location of a record, for messages: file, record and byte."""
    return f"{shard}, record {number} (counted from 0)" + ("" if offset is None else f", byte {offset}")


def is_writable_id(video: str) -> bool:
    """Whether a file of predictions can hold the id of a video: not an empty one, nor one with a control character, a
    line break or half a surrogate pair. One with a comma or a quotation mark is quoted there.
    """
    return bool(video) and all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in video)


def record_error(shard: str, number: int, offset: int, problem: object) -> DataError:
    """The error of a record, which names file, record and byte; `problem` is a key of `SHARD_ERRORS` or a sentence."""
    return DataError(f"{locate(shard, number, offset)}: {SHARD_ERRORS.get(problem, problem)}")


# Reading.


def scan_records(path: str | os.PathLike, *, expected_count: int | None = None) -> Iterator[Record]:
    """Every record of a shard, the damaged ones too, and last what is wrong with the file as a whole.

    After a length that is wrong or reaches beyond the file's end comes the next header that is right by its own
    checksum. `expected_count` is the number of records, where it is known: a file cut exactly between two records looks
    intact by itself. Raises `DataError` where the file is missing or cannot be read.
    """
    path = os.fspath(path)
    with _open_shard(path) as (file, size, file_bytes):
        number, offset = 0, 0
        header = file.read(HEADER_BYTES)
        while header and offset < size:
            length, error = _parse_header(header, size - offset)
            if not error:
                data = file.read(length)
                rest = file.read(FOOTER_BYTES + HEADER_BYTES)  # the footer, and the next header with it
                if len(data) == length and len(rest) >= FOOTER_BYTES:
                    damaged = masked_crc(data) != _CRC.unpack_from(rest)[0]
                    yield Record(path, number, offset, data, "record checksum" if damaged else None)
                    header = rest[FOOTER_BYTES:]
                    offset += HEADER_BYTES + length + FOOTER_BYTES
                    number += 1
                    continue
                if file_bytes == size:
                    break  # shorter by now than it was
                error = "cut off"
            if error == "cut off" and getattr(file, "damaged", False):
                break
            yield Record(path, number, offset, None, error)
            expected_count = None  # the stretch may have been any number of records
            offset = _find_header(file, offset + 1, size)
            file.seek(offset)
            header = file.read(HEADER_BYTES)
            number += 1
        if file_size(path) != file_bytes or offset < size == file_bytes:
            yield Record(path, number, offset, None, "changed")
        elif getattr(file, "damaged", False):
            yield Record(path, number, offset, None, "compression")
        elif expected_count not in (None, number):
            yield Record(path, number, offset, None, "count")


def scan_headers(path: str | os.PathLike) -> Iterator[tuple[int, int, str | None]]:
    """Offset and length of each record of `scan_records`, and None or what is wrong with its header."""
    path = os.fspath(path)
    with _open_shard(path, buffering=0) as (
        file,
        size,
        file_bytes,
    ):  # read-ahead would be thrown away with each seek
        offset = 0
        while offset < size == file_bytes:
            file.seek(offset)
            length, error = _parse_header(file.read(HEADER_BYTES), size - offset)
            yield offset, length, error
            end = offset + HEADER_BYTES + length + FOOTER_BYTES
            offset = _find_header(file, offset + 1, size) if error else end
    if size != file_bytes:  # nothing of a compressed shard can be skipped
        for _, _, offset, data, error in scan_records(path):
            yield offset, len(data or b""), None if data is not None else error


def read_records(path: str | os.PathLike) -> Iterator[bytes]:
    """The records of a shard; raises `DataError` at the first damage, naming file, record and byte."""
    for record in scan_records(path):
        if record.error:
            raise record_error(*record[:3], record.error)
        yield record.data


def read_record_at(path: str, number: int, offset: int, length: int) -> bytes:
    """One record, located by `scan_headers`; raises `DataError` where it is damaged or no longer there."""
    with _open_shard(path, buffering=0) as (file, *_):
        file.seek(offset + HEADER_BYTES)
        data, footer = file.read(length), file.read(FOOTER_BYTES)
    if len(footer) < FOOTER_BYTES:
        raise record_error(path, number, offset, "changed")
    if masked_crc(data) != _CRC.unpack(footer)[0]:
        raise record_error(path, number, offset, "record checksum")
    return data


def first_records(shard: str, count: int) -> list[bytes]:
    """The intact ones among the first records of a shard; raises `DataError` if there are none."""
    found = list(islice(scan_records(shard), count))
    if intact := [record.data for record in found if not record.error]:
        return intact
    raise record_error(*found[0][:3], found[0].error) if found else DataError(f"{shard} holds no records.")


def count_records(path: str, *, skip_damaged: bool = False) -> int:
    """The number of records of one shard, from their headers; at a damaged one `DataError`, or it counts as one."""
    number = 0
    for number, (offset, _, error) in enumerate(scan_headers(path), start=1):
        if error and not skip_damaged:
            raise record_error(path, number - 1, offset, error)
    return number


def _parse_header(header: bytes, remaining: int) -> tuple[int, str | None]:
    """The length in a header, and None or what is wrong with it; `remaining` bytes of the file begin with it."""
    if len(header) < HEADER_BYTES or remaining < HEADER_BYTES + FOOTER_BYTES:
        return 0, "cut off"
    if not is_header(header):
        return 0, "length checksum"
    length, _ = _LENGTH_AND_CRC.unpack(header)
    return (length, None) if length <= remaining - HEADER_BYTES - FOOTER_BYTES else (0, "cut off")


def _find_header(file, start: int, size: int) -> int:
    """The next byte from `start` on where the header of a record within the file begins; its end if there is none."""
    file.seek(start)
    block = file.read(READ_BYTES)
    while (places := len(block) - HEADER_BYTES + 1) > 0:
        # Every eight bytes as a length, and the four after them. Nearly all are far too long, and zeros are no header;
        # only of the others is the checksum computed.
        lengths = np.ndarray((places,), "<u8", block, strides=(1,))
        checksums = np.ndarray((places,), "<u4", block, offset=8, strides=(1,))
        limit = size - HEADER_BYTES - FOOTER_BYTES - start
        for place in np.flatnonzero((lengths <= limit) & ((lengths | checksums) != 0)).tolist():
            if int(lengths[place]) <= limit - place and is_header(block[place : place + HEADER_BYTES]):
                return start + place
        start += places
        block = block[places:] + file.read(READ_BYTES)
    return min(size, start + len(block))


def is_header(header: bytes) -> bool:
    """Whether these bytes are a header: a length, and its own checksum."""
    return len(header) == HEADER_BYTES and masked_crc(header[:8]) == _CRC.unpack_from(header, 8)[0]


def masked_crc(data: bytes) -> int:
    """The CRC-32C of some bytes as TFRecord writes it."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + _CRC_SHIFT) & 0xFFFFFFFF


@contextmanager
def opened(path: str, *, buffering: int = READ_BYTES) -> Iterator[tuple]:
    """The file, opened, and its bytes; what goes wrong with it as a whole becomes a `DataError`."""
    try:
        about = None if is_remote(path) else os.stat(path)
        if about and not (stat.S_ISREG(about.st_mode) or stat.S_ISDIR(about.st_mode)):
            # Opening a pipe would wait for ever.
            raise DataError(f"{path} is a pipe or device, not a file. Move it out of the data set.")
        with open_file(path, buffering=buffering) as file:
            yield file, about.st_size if about else file_size(path)
    except Exception as error:
        code = getattr(error, "error_code", None)  # TensorFlow's; 5 is NOT_FOUND
        if isinstance(error, FileNotFoundError) or code == 5:
            link = " is a link to a file that" if os.path.islink(path) else ""
            raise DataError(f"{path}{link} is not there (any more). Put it back, or move it out.") from error
        if isinstance(error, OSError) or code:
            why = getattr(error, "strerror", None) or error
            denied = isinstance(error, PermissionError)
            advice = "Get the right to read it (`chmod u+r`), or move it out." if denied else _FETCH_AGAIN
            raise DataError(f"{path} cannot be read ({why}). {advice}") from error
        raise


@contextmanager
def _open_shard(path: str, *, buffering: int = READ_BYTES) -> Iterator[tuple]:
    """A shard, opened: its bytes, decompressed; how many they are, of a compressed one at most; and those of the file.

    Raises `DataError` where it cannot be read, or is a file of another kind.
    """
    with opened(path, buffering=buffering) as (stored, file_bytes):
        file, size, head = stored, file_bytes, stored.read(HEADER_BYTES)
        if not is_header(head):
            inflated = _Inflated(stored)
            begin = inflated.read(HEADER_BYTES)
            # A damaged length, too, may look like compressed bytes.
            if is_header(begin) or (head.startswith(GZIP) if begin else not inflated.damaged):
                file, size = inflated, MOST_INFLATION * file_bytes
                if begin.startswith(GZIP):
                    raise DataError(f"{path} was compressed twice. Decompress it once (`gunzip`).")
            _refuse_other_kinds(path, file)
        file.seek(0)
        yield file, size, file_bytes


class _Inflated:
    """A GZIP or ZLIB file as its decompressed bytes, which end where it is damaged."""

    def __init__(self, stored):
        self._stored = stored
        self._restart()

    def _restart(self) -> None:
        self._stored.seek(0)
        self._inflate = zlib.decompressobj(wbits=47)  # either of the two
        self._ahead, self._position = bytearray(), 0  # decompressed bytes, and where they begin
        self.damaged = False

    def read(self, count: int) -> bytes:
        """The next bytes: fewer only at the end."""
        while len(self._ahead) < count and self._grow():
            pass
        data = bytes(memoryview(self._ahead)[:count])
        del self._ahead[:count]
        self._position += len(data)
        return data

    def seek(self, position: int) -> None:
        """Go to a byte, at most to the end; back means to decompress anew."""
        if position < self._position:
            self._restart()
        while self._position < position and self.read(min(READ_BYTES, position - self._position)):
            pass

    def _grow(self) -> bool:
        inflate = self._inflate
        packed = inflate.unconsumed_tail or inflate.unused_data or self._stored.read(INFLATED_BYTES)
        try:
            if inflate.eof:  # another member may follow, after zeros
                while not (packed := packed.lstrip(b"\0")):
                    if not (packed := self._stored.read(INFLATED_BYTES)):
                        return False
                self._inflate = inflate = zlib.decompressobj(wbits=47)
            inflated = inflate.decompress(packed, INFLATED_BYTES)
        except zlib.error:
            packed = inflated = b""
        self._ahead += inflated
        self.damaged = not packed and not inflated
        return not self.damaged


def _refuse_other_kinds(path: str, file) -> None:
    """Raise `DataError` where a file that does not begin as a shard is known to be of another kind."""
    file.seek(0)
    head = file.read(512)
    for begin, what in _OTHER_KINDS.items():
        if re.match(begin, head, re.DOTALL | re.IGNORECASE):
            raise DataError(f"{path} is {what}")
    text = head.decode("utf-8", "replace")
    text = text[:-1] if len(head) == 512 else text  # within a character
    if len(head) >= 4 and "\ufffd" not in text and all(c.isprintable() or c in "\t\n\r" for c in text):
        raise DataError(f"{path} is text ({shorten(text)!r}), not a shard. {_FETCH_AGAIN}")
    file.seek(0)
    try:
        # A context or feature lists come first.
        message = parse_record(file.read(MAX_MESSAGE_BYTES) if head[:1] in (b"\x0a", b"\x12") else b"")
    except Exception:  # protobuf's own, of another class in each of its implementations
        return
    if keys := [*message.feature_lists.feature_list, *message.context.feature]:
        advice = (
            f'`dmlkit.data.write_shard("NAME.tfrecord", [open("{path}", "rb").read()])` makes a shard of it.'
        )
        if any(key.endswith("feature/floats") for key in keys):  # MediaPipe's
            advice = f"`dmlkit data import {path} --out DIR` makes shards of it."
        raise DataError(
            f"{path} is a tf.train.Example or SequenceExample by itself, not in a TFRecord. {advice}"
        )


def frame_record(data: bytes) -> bytes:
    """A record with its header and footer, as a shard holds it."""
    length = struct.pack("<Q", len(data))
    return length + _CRC.pack(masked_crc(length)) + data + _CRC.pack(masked_crc(data))


def write_shard(path: str | os.PathLike, records: Iterable[bytes]) -> int:
    """Write serialized records as a shard, which appears whole or not at all, and return their number."""
    path, count = os.fspath(path), 0
    if folder := posixpath.dirname(path):
        _gfile().makedirs(folder) if is_remote(path) else os.makedirs(folder, exist_ok=True)
    with open_to_write(path) as file:
        for data in records:
            file.write(frame_record(data))
            count += 1
    return count


@contextmanager
def open_to_write(path: str) -> Iterator:
    """A new file, opened to write bytes; it appears whole or not at all."""
    if not is_remote(path):
        with atomic_write(Path(path)) as temporary, temporary.open("wb") as file:
            yield file
        return
    folder, name = posixpath.split(path)
    # The name does not end in .tfrecord, so that nobody who lists the folder meanwhile takes it for a shard.
    partial = posixpath.join(folder, f".{name}.{os.getpid()}.partial")
    try:
        with _gfile().GFile(partial, "wb") as file:
            yield file
        _gfile().rename(partial, path, overwrite=True)
    finally:
        if exists(partial):
            _gfile().remove(partial)


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A hidden local folder, which takes the place of `out` once it is finished and is removed after an error."""
    out = out.absolute()
    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an earlier process of this number
    try:
        partial.mkdir(parents=True)
        yield partial
        partial.rename(out)
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror or error}. It was removed.") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


# Message → its fields, numbered from 1: name, type; "[]" before a type means repeated, "{}" a map from strings to it,
# "?" that only one of the message's fields is set. A pool of their own keeps them apart from TensorFlow's.
_PACKAGE = "dmlkit"
_MESSAGES = {
    "BytesList": {"value": "[]bytes"},
    "FloatList": {"value": "[]float"},
    "Int64List": {"value": "[]int64"},
    "Feature": {"bytes_list": "?BytesList", "float_list": "?FloatList", "int64_list": "?Int64List"},
    "Features": {"feature": "{}Feature"},
    "FeatureList": {"feature": "[]Feature"},
    "FeatureLists": {"feature_list": "{}FeatureList"},
    "Example": {"features": "Features"},
    "SequenceExample": {"context": "Features", "feature_lists": "FeatureLists"},
}


def _add_field(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("?"):
        field.oneof_index = 0
    if kind.startswith("{}"):
        # A map is a list of pairs, each a message of its own.
        pair = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        pair.options.map_entry = True
        _add_field(pair, "key", 1, "string")
        _add_field(pair, "value", 2, kind[2:])
        kind = f"[]{message.name}.{pair.name}"
    if kind.startswith("[]"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    kind = kind.lstrip("[]?")
    if kind in ("bytes", "string", "float", "int64"):
        field.type = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}")
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


def _message_classes() -> dict[str, type]:
    file = FileDescriptorProto(name="dmlkit/messages.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(kind.startswith("?") for kind in fields.values()):
            message.oneof_decl.add(name="kind")
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add_field(message, field, number, kind)
    return GetMessages([file], DescriptorPool())


_classes = _message_classes()
Feature, Features = _classes[f"{_PACKAGE}.Feature"], _classes[f"{_PACKAGE}.Features"]
Example, SequenceExample = _classes[f"{_PACKAGE}.Example"], _classes[f"{_PACKAGE}.SequenceExample"]


def parse_record(data: bytes) -> SequenceExample:
    """A record of either level: an example reads as a sequence example whose context holds everything."""
    return SequenceExample.FromString(data)


def serialize_video(
    *,
    video_id: str,
    labels: Sequence[int] | None,
    features: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[str]] | None = None,
    id_key: str = "id",
) -> bytes:
    """One video-level record, a ``tf.train.Example``; the same video gives the same bytes.

    Args:
        video_id: The video's name.
        labels: Its classes; None leaves the key out, as in test shards.
        features: Key in the record (``mean_rgb``) → values, shape (size,); `ValueError` for any other shape.
        texts: Key in the record (``text``) → texts: a title, keywords.
        id_key: ``"id"`` or ``"video_id"``, which differs between releases.
    """
    record = Example()
    _set_context(record.features, video_id, labels, texts, id_key)
    for key, values in features.items():
        if np.ndim(values) != 1:
            raise ValueError(f"`features[{key!r}]` must have shape (size,). Received: {np.shape(values)}.")
        _set_values(record.features.feature[key], np.asarray(values, np.float32))
    return record.SerializeToString(deterministic=True)


def serialize_frames(
    *, frames: Mapping[str, np.ndarray], video_id: str, labels: Sequence[int] | None, texts=None, id_key="id"
) -> bytes:
    """One frame-level record, a ``tf.train.SequenceExample``; the other arguments are those of `serialize_video`.

    Args:
        frames: Key in the record (``rgb``) → array (time, size), `ValueError` for any other shape; uint8 is written as
            one string of bytes a frame (YouTube-8M's way), anything else as floats.
    """
    record = SequenceExample()
    _set_context(record.context, video_id, labels, texts, id_key)
    for key, matrix in frames.items():
        if np.ndim(matrix) != 2:
            raise ValueError(f"`frames[{key!r}]` must have shape (time, size). Received: {np.shape(matrix)}.")
        rows = record.feature_lists.feature_list[key].feature
        for row in np.asarray(matrix):
            _set_values(rows.add(), row)
    return record.SerializeToString(deterministic=True)


def _set_context(context: Features, video_id, labels, texts, id_key) -> None:
    entries = context.feature
    entries[id_key].bytes_list.value.append(video_id.encode())
    if labels is not None:
        # Also an empty list is set: a video of no class is not the same as one whose classes are not known.
        entries["labels"].int64_list.SetInParent()
        entries["labels"].int64_list.value.extend(int(label) for label in labels)
    for key, values in (texts or {}).items():
        entries[key].bytes_list.value.extend(text.encode("utf-8", "replace") for text in values)


def _set_values(feature: Feature, row: np.ndarray) -> None:
    """One frame's values, or a video's: bytes as one string, anything else as floats."""
    if row.dtype == np.uint8:
        feature.bytes_list.value.append(row.tobytes())
        return
    feature.float_list.SetInParent()
    if len(row):
        # Packed floats are written as one string of bytes is, so nothing need become a Python number.
        packed = Feature()
        packed.bytes_list.value.append(np.asarray(row, dtype="<f4").tobytes())
        feature.float_list.MergeFromString(packed.bytes_list.SerializeToString())


# Files and folders, local or remote: local ones without TensorFlow, whose import takes seconds.


def readable_path(path: str | os.PathLike) -> str:
    """A path of data as it is used: without a last slash, ``~`` as the home folder; `UsageError` where it is empty."""
    text = os.path.expanduser(os.fspath(path))
    if not text.strip():
        raise UsageError("The path of the data is empty. Name a folder, or a dot for the one you are in.")
    return text.rstrip("/") or "/"


def exists(path: str) -> bool:
    """Whether there is such a file or folder; `DataError` where that cannot be known: no network, no permission."""
    try:
        if is_remote(path):
            return _gfile().exists(path)
        os.stat(path)
        return True
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    except Exception as error:  # TensorFlow's own, of another class for each service and each reason
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise DataError(
            f"{path} cannot be reached: {reason}. Check the address, the network and your rights, or copy the data to "
            "this machine."
        ) from error


def is_folder(path: str) -> bool:
    """Whether there is such a folder."""
    return _gfile().isdir(path) if is_remote(path) else os.path.isdir(path)


def file_size(path: str) -> int:
    """The bytes of a file."""
    return _gfile().stat(path).length if is_remote(path) else os.stat(path).st_size


def is_empty(path: str) -> bool:
    """Whether a local shard holds nothing at all; a remote one is not asked, which takes a connection."""
    with suppress(OSError, DataError):  # reported when it is read
        return not is_remote(path) and file_size(path) <= EMPTY_BYTES and not [*scan_records(path)]
    return False


def open_file(path: str, *, buffering: int = READ_BYTES):
    """The file, opened to read bytes."""
    return _gfile().GFile(path, "rb") if is_remote(path) else open(path, "rb", buffering=buffering)


def read_bytes(path: str) -> bytes:
    """A small file's bytes."""
    with opened(path) as (file, _):
        return file.read()


def find_shards(root: str) -> tuple[list[str], list[str]]:
    """The shards in a folder and at most three folders deep, by their names, sorted; a note on each kind of what was
    left aside.
    """
    shards, aside = [], defaultdict(list)
    if is_remote(root):
        found = match_paths(root, *("*/" * depth + "*" for depth in range(MAX_DEPTH + 1)))
        files = {path.rstrip("/") for path in found} - {posixpath.dirname(path.rstrip("/")) for path in found}
    else:
        files = _local_files(root, aside)
    for path in files:
        hidden = _is_hidden(path, root)
        if SHARD_SUFFIX.search(path):
            (aside["shards that are hidden or in hidden folders"] if hidden else shards).append(path)
        elif "tfrec" in posixpath.basename(path).lower() and not hidden and not path.endswith(_SUMS):
            aside["files whose names are not those of shards"].append(path)
        elif path.endswith((".npz", ".npy", ".parquet")) and not hidden:
            aside["files for `dmlkit data import`"].append(path)
    found = [(kind, len(paths), relative_name(min(paths), root)) for kind, paths in aside.items()]
    return sorted(shards), [f"Left aside, {kind}: {count:,} ({first})." for kind, count, first in found]


def _is_hidden(path: str, root: str) -> bool:
    return any(map(_ASIDE.fullmatch, relative_name(path, root).split("/")))


def _local_files(root: str, aside: dict[str, list]) -> Iterator[str]:
    """Every file to `MAX_DEPTH`; folders that are not searched are added to `aside`."""
    seen, unreadable = set(), []
    for folder, below, names in os.walk(root, onerror=unreadable.append, followlinks=True):
        below.sort()  # of two links to a folder the first is followed
        if (place := os.path.realpath(folder)) in seen:
            aside["links to folders that are there already"].append(folder)
            names = below[:] = []
        elif below and folder.removeprefix(root).count("/") == MAX_DEPTH:
            if not _is_hidden(folder, root):
                aside[f"folders deeper than {MAX_DEPTH} levels"] += [f"{folder}/{name}" for name in below]
            below.clear()
        elif SHARD_SUFFIX.search(folder) and not (below or names):
            aside["folders named like shards that hold nothing"].append(folder)
        seen.add(place)
        yield from (posixpath.join(folder, name) for name in names)
    for error in unreadable:
        if error.filename == root:
            raise DataError(f"{root} cannot be read ({error.strerror}). Get the right to list it.") from error
        aside["folders that cannot be read"].append(error.filename)


def match_paths(root: str, *patterns: str) -> list[str]:
    """What matches any of the patterns in a folder, sorted."""
    remote = is_remote(root or patterns[0])
    base, find = (root, _gfile().glob) if remote else (glob.escape(root), glob.glob)
    return sorted({path for each in patterns for path in find(posixpath.join(base, each))})


def match_shards(root: str, pattern: str) -> list[str]:
    """The files that match a pattern in a folder, and the shards in folders that do, as Spark leaves them."""
    found = match_paths(root, pattern)
    return [shard for path in found for shard in (find_shards(path)[0] if is_folder(path) else [path])]


def relative_name(path: str, root: str) -> str:
    """The name of a shard within the data set's folder."""
    return path.removeprefix(root).lstrip("/") if is_remote(path) else posixpath.relpath(path, root)


def _gfile():
    from dmlkit.runtime import quiet_startup

    with quiet_startup():
        import tensorflow as tf

        return tf.io.gfile
