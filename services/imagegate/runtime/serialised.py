"""What can be read off a serialised message without parsing it: a router passes answers on as they are. Pure."""

# The ways in which a field's value is written, as the lowest three bits of its tag say.
_VARINT, _EIGHT_BYTES, LENGTH_FOLLOWS, _FOUR_BYTES = 0, 1, 2, 5
# Fields that are looked at. An answer of ours has its pictures first, and dozens in all; looking takes time for each.
MAX_FIELDS = 1024
_VARINT_BYTES = 10


def holds(message: bytes, number: int) -> bool:
    """Whether the field `number`, a message or bytes, is among the first of `message`, and not empty.

    False too where what comes before it is no message at all. Copies nothing.
    """
    at = 0
    for _ in range(MAX_FIELDS):
        tag, at = read_varint(message, at)
        kind = tag & 7
        if kind == LENGTH_FOLLOWS:
            length, at = read_varint(message, at)
            if tag >> 3 == number and length and at + length <= len(message):
                return True
            at += length
        elif kind == _VARINT:
            _, at = read_varint(message, at)
        elif kind in (_FOUR_BYTES, _EIGHT_BYTES):
            at += 4 if kind == _FOUR_BYTES else 8
        else:
            return False
        if not tag or at >= len(message):
            return False
    return False


def varint(number: int) -> bytes:
    """A number from 0 as the wire has it: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that is written at `at`, and where what follows it begins; (0, at) where there is none."""
    number = 0
    for index, byte in enumerate(data[at : at + _VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * index
        if byte <= 0x7F:
            return number, at + index + 1
    return 0, at
