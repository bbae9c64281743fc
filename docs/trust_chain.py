"""Draws docs/trust-chain.svg, the picture in the README; `python docs/trust_chain.py` writes it."""

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

TARGET = Path(__file__).with_name("trust-chain.svg")
WIDTH, HEIGHT, BOX = 960, 430, (250, 74)

STYLE = """
  svg { background: #ffffff; font-family: system-ui, sans-serif; }
  .box { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.5; }
  .root { fill: #fff8e1; stroke: #9a6700; stroke-width: 2.5; }
  .leaf { fill: #eaf6ec; stroke: #1a7f37; }
  .title { fill: #1f2328; font-size: 16px; font-weight: 600; }
  .text { fill: #424a53; font-size: 12.5px; }
  .edge { stroke: #57606a; stroke-width: 1.5; fill: none; }
  .tip { fill: #57606a; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; }
    .box { fill: #161b22; stroke: #8b949e; }
    .root { fill: #2d2200; stroke: #d29922; }
    .leaf { fill: #0f2417; stroke: #3fb950; }
    .title { fill: #f0f6fc; }
    .text { fill: #c9d1d9; }
    .edge { stroke: #8b949e; }
    .tip { fill: #8b949e; }
  }
"""
TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path class="tip" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
)


@dataclass(frozen=True)
class Box:
    """One certificate of the chain: where its box stands, and what it says."""

    x: int
    y: int
    kind: str
    title: str
    lines: tuple[str, ...]


ROOT = Box(
    355, 24, "box root", "meshpki-root-g1", ("trust anchor, 21600h, pinned by SHA-256", "cert-manager, SelfSigned")
)
SPIRE = Box(130, 178, "box", "SPIRE CA", ("spiffe://example.org, 24h", "UpstreamAuthority cert-manager"))
ISTIOD = Box(580, 178, "box", "istiod CA", ("Secret cacerts, 1440h, renewed at 360h", "cert-manager Certificate"))
GATEWAY = Box(10, 332, "box leaf", "ingress gateway", ("/ns/istio-system/sa/", "istio-ingressgateway-service-account"))
WORKLOADS = Box(285, 332, "box leaf", "every workload", ("X.509-SVID, 1h", "/ns/bookinfo/sa/bookinfo-productpage"))
SERVING = Box(580, 332, "box leaf", "istiod", ("15012 XDS and 15017 webhooks", "istiod.istio-system.svc"))
EDGES = ((ROOT, SPIRE), (ROOT, ISTIOD), (SPIRE, GATEWAY), (SPIRE, WORKLOADS), (ISTIOD, SERVING))


def picture() -> str:
    """The whole SVG."""
    boxes = {box: None for edge in EDGES for box in edge}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="t">',
        "<title id=\"t\">Trust chain: one root above SPIRE's CA and istiod's CA, every identity below them</title>",
        f"<style>{STYLE}</style>",
        TIP,
        *(_edge(above, below) for above, below in EDGES),
        *(_box(box) for box in boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _edge(above: Box, below: Box) -> str:
    x1, y1, x2, y2 = above.x + BOX[0] // 2, above.y + BOX[1], below.x + BOX[0] // 2, below.y
    middle = (y1 + y2) // 2
    return f'<path class="edge" marker-end="url(#tip)" d="M{x1} {y1} C{x1} {middle} {x2} {middle} {x2} {y2}"/>'


def _box(box: Box) -> str:
    centre = box.x + BOX[0] // 2
    lines = "".join(
        f'<text class="text" x="{centre}" y="{box.y + 44 + 17 * row}" text-anchor="middle">{escape(line)}</text>'
        for row, line in enumerate(box.lines)
    )
    return (
        f'<rect class="{box.kind}" x="{box.x}" y="{box.y}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
        f'<text class="title" x="{centre}" y="{box.y + 24}" text-anchor="middle">{escape(box.title)}</text>{lines}'
    )


if __name__ == "__main__":
    TARGET.write_text(picture(), encoding="utf-8")
