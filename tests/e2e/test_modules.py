"""The page's pure modules, by themselves."""

from .visitor import Visitor

STREAM = 'event: a\r\ndata: {"n": 1}\r\n\r\n: a comment\ndata: [1,\ndata: 2]\n\nevent: b\rdata: "é"\r\revent: none\n\n'

PARSED_BY = """async ([stream, size]) => {
    const { Parser } = await import("/static/js/sse.js");
    const parser = new Parser();
    const found = [];
    for (let at = 0; at < stream.length; at += size) found.push(...parser.push(stream.slice(at, at + size)));
    return found;
}"""


async def test_events_are_the_same_however_they_are_cut(visitor: Visitor) -> None:
    """A stream is parsed alike in pieces of any length, with every kind of line end."""
    await visitor.page.goto(visitor.url)
    expected = [{"name": "a", "data": {"n": 1}}, {"name": "message", "data": [1, 2]}, {"name": "b", "data": "é"}]
    for size in (1, 2, 3, 7, 1000):
        assert await visitor.page.evaluate(PARSED_BY, [STREAM, size]) == expected


async def test_a_chart_has_gaps_where_nobody_looked(visitor: Visitor) -> None:
    """Samples that are far apart are not joined by a line, and those without a rate are left out."""
    await visitor.page.goto(visitor.url)
    lengths = await visitor.page.evaluate(
        """async () => {
            const { pieces } = await import("/static/js/chart.js");
            const now = Date.parse("2026-01-01T01:00:00Z");
            const at = (minute, rate) => ({ at: new Date(now - minute * 60e3).toISOString(), failure_rate: rate });
            const samples = [at(90, 1), at(30, 0), at(29.75, 0.5), at(10, null), at(5, 1)];
            return pieces(samples, now).map((piece) => piece.length);
        }"""
    )
    assert lengths == [2, 1]
