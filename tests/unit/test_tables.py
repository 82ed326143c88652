"""What benchmarks and the simulator print."""

from tables import markdown, plain


def test_a_table_is_columns_or_markdown() -> None:
    """The same rows for a terminal and for a README."""
    rows = [("a", "bb"), ("ccc", "d")]
    assert plain(rows) == "a    bb\nccc  d"
    assert markdown(rows) == "| a | bb |\n| --- | --- |\n| ccc | d |"
