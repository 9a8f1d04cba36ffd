"""The protobuf messages of records as ``tf.train`` has them, without TensorFlow.

Importing ``tf.train`` takes seconds and hundreds of megabytes in every process; these take milliseconds. They are
described in a pool of their own, so that both can live in one process.
"""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "dmlkit"
_KINDS = {
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "string": FieldDescriptorProto.TYPE_STRING,
    "float": FieldDescriptorProto.TYPE_FLOAT,
    "int64": FieldDescriptorProto.TYPE_INT64,
}
# Message → its fields, numbered from 1: name, kind; "[]" before a kind means many, "{}" a map from names to it, "?"
# that only one of the message's fields is set. Messages above those that hold them.
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


def _described() -> FileDescriptorProto:
    file = FileDescriptorProto(name="dmlkit/messages.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if any(kind.startswith("?") for kind in fields.values()):
            message.oneof_decl.add(name="kind")
        for number, (field, kind) in enumerate(fields.items(), start=1):
            _add(message, field, number, kind)
    return file


def _add(message: DescriptorProto, name: str, number: int, kind: str) -> None:
    field = message.field.add(name=name, number=number, label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kind.startswith("?"):
        field.oneof_index = 0
    if kind.startswith("{}"):
        # A map is a list of pairs, each a message of its own.
        pair = message.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
        pair.options.map_entry = True
        _add(pair, "key", 1, "string")
        _add(pair, "value", 2, kind[2:])
        kind = f"[]{message.name}.{pair.name}"
    if kind.startswith("[]"):
        field.label = FieldDescriptorProto.LABEL_REPEATED
    kind = kind.lstrip("[]?")
    if kind in _KINDS:
        field.type = _KINDS[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


_pool = DescriptorPool()
_pool.Add(_described())


def _message(name: str) -> type:
    return GetMessageClass(_pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


Feature, Features, Example, SequenceExample = map(
    _message, ("Feature", "Features", "Example", "SequenceExample")
)
