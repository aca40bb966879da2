"""How the report looks. One accent for each thing that is told apart, the same in both schemes' own shades."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --line: #e3e6eb; --ink: #1b2330; --soft: #5c6675;
  --tcp: #3568c9; --udp: #d97a1f; --other: #8b93a1; --sent: #3568c9; --received: #d97a1f; --plain: #3f8f7b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161d; --card: #1a2029; --line: #2c3440; --ink: #e6eaf0; --soft: #9aa5b4;
    --tcp: #6f9df0; --udp: #eda255; --other: #7d8795; --sent: #6f9df0; --received: #eda255; --plain: #5fbfa6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 28px 24px 56px; }
header h1 { font-size: 26px; line-height: 1.25; margin: 0 0 2px; letter-spacing: -.01em; overflow-wrap: anywhere; }
header p, .note { color: var(--soft); margin: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(140px, 1fr)); gap: 12px; margin: 20px 0; }
.tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 12px 16px; }
.tile b { display: block; font-size: 22px; font-weight: 600; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
section { padding: 18px 20px 16px; margin: 0 0 16px; min-width: 0; }
h2 { font-size: 16px; margin: 0 0 2px; }
h3 { font-size: 13px; font-weight: 600; margin: 14px 0 4px; color: var(--soft); }
.note { font-size: 13px; margin-bottom: 10px; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 16px; }
svg { display: block; width: 100%; height: auto; }
.grid { stroke: var(--line); stroke-width: 1; }
.axis, .mark { stroke: var(--soft); stroke-width: 1; opacity: .6; }
.tick { fill: var(--soft); font-size: 11.5px; font-variant-numeric: tabular-nums; }
.end { text-anchor: end; }
.middle { text-anchor: middle; }
rect.tcp { fill: var(--tcp); } rect.udp { fill: var(--udp); } rect.other { fill: var(--other); }
rect.sent { fill: var(--sent); } rect.received { fill: var(--received); } rect.plain { fill: var(--plain); }
g:hover > rect { opacity: .75; }
.stem .sent { stroke: var(--sent); fill: var(--sent); } .stem .received { stroke: var(--received); fill: var(--received); }
.stem line { stroke-width: 1.6; }
.key { display: flex; flex-wrap: wrap; gap: 4px 16px; font-size: 13px; color: var(--soft); margin: 4px 0 6px; }
.key i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 6px; }
.key .tcp { background: var(--tcp); } .key .udp { background: var(--udp); } .key .other { background: var(--other); }
.key .sent { background: var(--sent); } .key .received { background: var(--received); }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
.bars th { text-align: left; font-weight: 400; width: 44%; max-width: 0; padding: 3px 12px 3px 0; overflow: hidden;
  text-overflow: ellipsis; white-space: nowrap; }
.bars .bar { padding: 3px 0; } .bars svg { height: 12px; border-radius: 2px; }
.bars .said { text-align: right; white-space: nowrap; padding-left: 12px; color: var(--soft); font-variant-numeric: tabular-nums;
  width: 1%; }
.stems { display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 14px 20px; }
.stem h3 { margin: 0; color: var(--ink); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.stem p { margin: 0 0 2px; font-size: 12px; color: var(--soft); overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.wide { overflow-x: auto; }
.rows th, .rows td { padding: 5px 12px 5px 0; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
.rows th { color: var(--soft); font-weight: 600; font-size: 12.5px; }
.rows .n { text-align: right; font-variant-numeric: tabular-nums; }
.rows tr:last-child td { border-bottom: 0; }
footer { color: var(--soft); font-size: 12.5px; }
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } }
"""
