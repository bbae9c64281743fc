"""The style of the page: phone to desk, light and dark, screen and paper."""

from meshpki.drawing.palette import DARK, LIGHT, Palette, drawing_css


def page_css() -> str:
    """The page's whole style sheet, the drawings' included; nothing in it comes from the cluster."""
    dark = f"@media screen and (prefers-color-scheme: dark) {{\n{_colours(DARK)}}}\n"
    return f"{_colours(LIGHT)}{dark}{_LAYOUT}{drawing_css()}{_WIDE}{_PRINT}"


def _colours(palette: Palette) -> str:
    tints = "".join(f" --{mark}-fill: {tint.fill}; --{mark}-ink: {tint.ink};\n" for mark, tint in palette.tints.items())
    return (
        f":root {{ --ground: {palette.ground}; --surface: {palette.surface}; --text: {palette.text};"
        f" --quiet: {palette.quiet}; --line: {palette.line}; --link: {palette.link};\n{tints}}}\n"
    )


_LAYOUT = """\
:root { color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 16px/1.55 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
header, nav, main, footer { max-width: 1120px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 28px; }
h1 { font-size: 28px; line-height: 1.25; margin: 0 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 21px; margin: 44px 0 12px; padding-top: 12px; border-top: 1px solid var(--line); }
h3 { font-size: 17px; margin: 0 0 8px; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 75ch; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
code, .id { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: 0.87em; overflow-wrap: anywhere; }
bdi { overflow-wrap: anywhere; }
.skip { position: absolute; left: -9999px; }
.skip:focus { position: static; }
.verdict { display: flex; gap: 14px; align-items: center; padding: 14px 18px;
  border-radius: 10px; border: 2px solid; }
.verdict strong { font-size: 20px; display: block; }
.verdict svg { flex: none; }
.verdict p { margin: 0; color: var(--text); }
.facts { display: grid; grid-template-columns: 1fr; gap: 0 20px; margin: 18px 0 0; }
.facts dt { color: var(--quiet); font-size: 14px; }
.facts dd { margin: 0 0 8px; overflow-wrap: anywhere; }
nav ul { list-style: none; padding: 0; margin: 22px 0 0; display: flex; flex-wrap: wrap; gap: 6px 20px; }
figure { margin: 0; }
figcaption, .quiet { color: var(--quiet); font-size: 14px; }
.tree-drawing { display: none; }
.tree-drawing svg { width: 100%; height: auto; }
.tree, .tree ul { list-style: none; margin: 0; padding: 0; }
.tree ul { margin-left: 8px; padding-left: 12px; border-left: 2px solid var(--line); }
.tree li { margin: 10px 0; }
.tree .words { display: block; color: var(--quiet); font-size: 14px; overflow-wrap: anywhere; }
.mark { font-weight: 600; white-space: nowrap; }
.short { white-space: nowrap; }
.finding { border: 1px solid var(--line); border-left-width: 6px; border-radius: 8px;
  padding: 14px 16px; margin: 0 0 16px;
  break-inside: avoid; }
table { border-collapse: collapse; width: 100%; font-size: 15px; margin: 0 0 20px; }
caption { text-align: left; color: var(--quiet); font-size: 14px; padding-bottom: 6px; }
table, thead, tbody, tr, th, td, caption { display: block; }
thead { position: absolute; left: -9999px; }
tbody tr { border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; margin: 0 0 10px; }
tbody th, td { text-align: left; font-weight: 400; overflow-wrap: anywhere; padding: 2px 0; }
tbody th { font-weight: 600; }
td::before { content: attr(data-label) ": "; color: var(--quiet); font-size: 13px; }
.finding table { margin: 0; }
.finding tbody tr { background: var(--surface); }
footer { margin-top: 48px; padding-bottom: 40px; color: var(--quiet); font-size: 14px; }
""" + "".join(
    f".{mark} {{ color: var(--{mark}-ink); }}\n"
    f".verdict.{mark} {{ background: var(--{mark}-fill); border-color: var(--{mark}-ink); }}\n"
    f".finding.{mark} {{ color: inherit; border-left-color: var(--{mark}-ink); }}\n"
    for mark in LIGHT.tints
)

_WIDE = """\
@media (min-width: 800px), print {
  .facts { grid-template-columns: max-content 1fr; }
  .facts dt { padding-top: 2px; }
  table { display: table; }
  caption { display: table-caption; }
  thead { display: table-header-group; position: static; }
  tbody { display: table-row-group; }
  tr { display: table-row; }
  tbody tr { border: 0; }
  th, td { display: table-cell; vertical-align: top; text-align: left; padding: 7px 14px 7px 0;
    border-bottom: 1px solid var(--line); }
  tbody th, td { padding: 7px 14px 7px 0; }
  tbody th { min-width: 11em; }
  thead th { color: var(--quiet); font-size: 13px; font-weight: 600; white-space: nowrap; }
  td::before { content: none; }
}
@media (min-width: 800px) {
  .tree-drawing { display: block; }
  .tree-text { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
}
"""

_PRINT = """\
@media print {
  nav, .skip { display: none; }
  body { font-size: 11pt; }
  .tree-drawing { display: block; }
  .tree-text { display: none; }
  h2 { break-after: avoid; }
  tr, figure svg { break-inside: avoid; }
}
"""
