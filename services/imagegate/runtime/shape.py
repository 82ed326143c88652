"""Whether a serialised message would become much larger by being parsed: it is looked at before. Pure."""

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from imagegate.runtime.serialised import read_varint

# Below so many bytes nothing that a message could become is large.
SMALL_BYTES = 64 * 1024

_VARINT, _EIGHT_BYTES, _LENGTH_FOLLOWS, _FOUR_BYTES = 0, 1, 2, 5
_FIXED = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}
# Of repeated numbers, whose elements may lie in one field.
_NOT_PACKED = (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES)


def has_more_fields(message: bytes, kind: Descriptor, most: int) -> bool:
    """Whether `message`, a serialised `kind`, holds more than `most` values, those of the messages in it included.

    Looks at no more than that many. What is no message at all may pass: parsing it tells.
    """
    found = 0
    left = [(0, len(message), kind)]
    while left:
        at, end, within = left.pop()
        while at < end:
            found += 1
            tag, at = read_varint(message, at)
            size, at = _size(message, at, tag & 7)
            field = within.fields_by_number.get(tag >> 3)
            if field is not None and field.message_type is not None:
                left.append((at, min(at + size, end), field.message_type))
            elif field is not None and tag & 7 == _LENGTH_FOLLOWS and field.type not in _NOT_PACKED:
                found += size
            at += size
            if found > most:
                return True
            if not tag:
                break
    return False


def _size(message: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """How many bytes a value has, and where they begin."""
    if wire_type == _LENGTH_FOLLOWS:
        return read_varint(message, at)
    if wire_type == _VARINT:
        return 0, read_varint(message, at)[1]
    return _FIXED.get(wire_type, 0), at
