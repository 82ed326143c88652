"""How a change to what was asked is told: by both values, what was done, and why. Pure."""

from imagegate.v1 import generation_pb2

Value = int | float | str
Adjustment = generation_pb2.Adjustment

# Of a longer text adjustments show the beginning, and its length.
SHOWN_CHARACTERS = 256


def text_of(value: Value) -> str:
    """A parameter's value as adjustments and logs show it."""
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    if isinstance(value, bool):
        text = text.lower()
    if len(text) <= SHOWN_CHARACTERS:
        return text
    length = f"… ({len(text):,} characters)"
    return text[: SHOWN_CHARACTERS - len(length)] + length


def adjusted(
    name: str, requested: Value, applied: Value, action: "generation_pb2.Action.ValueType", why: str
) -> Adjustment:
    """The adjustment of the request field `name`; `applied` is empty where nothing is sent."""
    return Adjustment(parameter=name, requested=text_of(requested), applied=text_of(applied), action=action, why=why)
