"""Protocol messages as plain Python values: what `--json` prints.

Names are the proto's own (snake_case), enum values are bare (`RATE_LIMITED`), integers are integers
(proto JSON makes 64-bit ones strings), times are RFC 3339 texts and durations seconds. What is
unset, such as a cost that nobody knows, is absent; zeros, false and empty lists are there.
"""

import base64
from typing import Any

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp


def plain(message: Message) -> dict[str, Any]:
    """`message` as a dict that `json.dumps` takes."""
    shown = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.is_repeated:
            shown[field.name] = [_value(field, item) for item in value]
        elif _is_set(message, field):
            shown[field.name] = _value(field, value)
    return shown


def bare_name(enum: EnumDescriptor, number: int) -> str:
    """The name of an enum value without its prefix; empty for UNSPECIFIED, the number where it is unknown."""
    value = enum.values_by_number.get(number)
    if value is None:
        return str(number)
    return "" if number == 0 else value.name.removeprefix(prefix_of(enum))


def prefix_of(enum: EnumDescriptor) -> str:
    """What every value's name begins with: `ERROR_REASON_` for ErrorReason."""
    return enum.values_by_number[0].name.removesuffix("UNSPECIFIED")


def _is_set(message: Message, field: Any) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return field.enum_type is None or getattr(message, field.name) != 0


def _value(field: Any, value: Any) -> Any:
    match value:
        case Timestamp():
            return value.ToJsonString()
        case Duration():
            return value.ToNanoseconds() / 1e9
        case Message():
            return plain(value)
        case bytes():
            return base64.b64encode(value).decode("ascii")
        case _:
            return _scalar(field, value)


def _scalar(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return bare_name(field.enum_type, value)
    if field.type == FieldDescriptor.TYPE_FLOAT:
        return float(f"{value:.7g}")  # 1.2 as it was meant, not as 32 bits hold it
    return value
