"""The dependency graph as text tree, Graphviz dot, Mermaid and SVG. Pure: a Graph in, text out."""

from collections.abc import Callable, Mapping
from html import escape

from orchestr.graph import CONDITIONS, Edge, Graph, Node, start_order

WORDS = {condition: word for word, condition in CONDITIONS.items()}  # service_healthy -> healthy
COLUMN, ROW, WIDTH, HEIGHT, MARGIN = 250, 56, 180, 34, 20  # SVG units


def label(edge: Edge) -> str:
    """`healthy`, `completed, restart`, `exists`; `?` after it when the dependency is optional."""
    word = WORDS.get(edge.condition, edge.condition)
    return word + ("" if edge.required else "?") + (", restart" if edge.restart else "")


def text(graph: Graph) -> str:
    """A tree below each object that nothing waits for: what it needs stands indented under it."""
    waits = _waits(graph)
    needed = {edge.target for edge in graph.edges}
    lines: list[str] = []
    shown: set[Node] = set()

    def draw(node: Node, head: str, indent: str, why: str) -> None:
        again = node in shown and bool(waits.get(node))
        missing = " [missing]" if node.missing else ""
        lines.append(f"{head}{node}{f' ({why})' if why else ''}{missing}{' ...' if again else ''}")
        if again:
            return  # drawn in full above
        shown.add(node)
        children = waits.get(node, [])
        for place, edge in enumerate(children, 1):
            last = place == len(children)
            draw(edge.target, indent + ("└── " if last else "├── "), indent + ("    " if last else "│   "), label(edge))

    for node in graph.nodes:
        if node not in needed:
            draw(node, "", "", "")
    for node in graph.nodes:  # only a cycle leaves something that no root leads to
        if node not in shown:
            draw(node, "", "", "")
    return "".join(f"{line}\n" for line in lines)


def dot(graph: Graph) -> str:
    """Graphviz: `dot -Tpng`."""
    nodes = [f"  {_quoted(node)}{' [style=dashed]' if node.missing else ''};\n" for node in graph.nodes]
    arrows = [
        f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(label(edge))}"
        f"{'' if edge.required else ', style=dashed'}];\n"
        for edge in graph.edges
    ]
    return "digraph {\n  rankdir=LR;\n  node [shape=box];\n" + "".join(nodes) + "".join(arrows) + "}\n"


def mermaid(graph: Graph) -> str:
    """Mermaid flowchart, as GitHub draws it in Markdown."""
    ids = {node: f"n{number}" for number, node in enumerate(graph.nodes)}
    nodes = [f'  {ids[node]}["{escape(str(node))}"]\n' for node in graph.nodes]
    arrows = [
        f'  {ids[edge.source]} {"-->" if edge.required else "-.->"}|"{label(edge)}"| {ids[edge.target]}\n'
        for edge in graph.edges
    ]
    return "flowchart LR\n" + "".join(nodes) + "".join(arrows)


def svg(graph: Graph) -> str:
    """A drawing in columns: what starts first stands left, arrows point at what is waited for.

    Raises DependencyError when the graph has a cycle.
    """
    levels = start_order(graph)
    places = {
        node: (MARGIN + column * COLUMN, MARGIN + row * ROW)
        for column, level in enumerate(levels)
        for row, node in enumerate(level)
    }
    width = 2 * MARGIN + max(len(levels) - 1, 0) * COLUMN + WIDTH
    height = 2 * MARGIN + max((len(level) for level in levels), default=1) * ROW
    body = [_arrow(edge, places) for edge in graph.edges] + [_box(node, *places[node]) for node in graph.nodes]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="sans-serif" font-size="13">\n'
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="8" markerHeight="8"'
        ' orient="auto"><path d="M0 0 10 5 0 10z" fill="#555"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="white"/>\n{"".join(body)}</svg>\n'
    )


def _box(node: Node, x: int, y: int) -> str:
    shown = str(node) if len(str(node)) <= 25 else str(node)[:24] + "…"
    dashes = ' stroke-dasharray="4 3"' if node.missing else ""
    return (
        f'<g><title>{escape(str(node))}</title><rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5"'
        f' fill="#eef3fb" stroke="#456"{dashes}/><text x="{x + WIDTH // 2}" y="{y + 21}"'
        f' text-anchor="middle">{escape(shown)}</text></g>\n'
    )


def _arrow(edge: Edge, places: Mapping[Node, tuple[int, int]]) -> str:
    (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
    start, end = (x1, y1 + HEIGHT // 2), (x2 + WIDTH, y2 + HEIGHT // 2)
    bend = (start[0] - end[0]) // 2
    dashes = "" if edge.required else ' stroke-dasharray="4 3"'
    line = f"M{start[0]} {start[1]}C{start[0] - bend} {start[1]} {end[0] + bend} {end[1]} {end[0]} {end[1]}"
    return (
        f'<path d="{line}" fill="none" stroke="#555"{dashes} marker-end="url(#tip)"/>'
        f'<text x="{end[0] + 6}" y="{end[1] - 4}" font-size="10" fill="#555">{escape(label(edge))}</text>\n'
    )


def _waits(graph: Graph) -> dict[Node, list[Edge]]:
    waits: dict[Node, list[Edge]] = {}
    for edge in graph.edges:
        waits.setdefault(edge.source, []).append(edge)
    return waits


def _quoted(value: object) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


FORMATS: Mapping[str, Callable[[Graph], str]] = {"text": text, "dot": dot, "mermaid": mermaid, "svg": svg}
