//===- ReportStyle.h - The report's style sheet -----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_REPORTSTYLE_H
#define CAMBIUM_TRAIN_REPORTSTYLE_H

namespace cambium::train {

/// The report's style sheet: light, dark and print.
inline const char *const reportStyle = R"css(
:root { color-scheme: light dark;
  --page: #fcfcfa; --card: #ffffff; --text: #1c211d; --soft: #5d665f;
  --line: #dfe3dd; --grid: #ebeee9; --blue: #1f66c1; --orange: #c2570c;
  --green: #1d7a46; --red: #b3261e; }
@media (prefers-color-scheme: dark) { :root {
  --page: #131614; --card: #1a1e1b; --text: #e8ece8; --soft: #9ba59d;
  --line: #343a35; --grid: #272c28; --blue: #74aefc; --orange: #f59b55;
  --green: #5dc98a; --red: #ff8a80; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; }
main { max-width: 1040px; margin: 0 auto; padding: 36px 28px 56px; }
h1 { font-size: 34px; line-height: 1.15; margin: 2px 0 8px;
  letter-spacing: -0.015em; font-weight: 680; }
h2 { font-size: 19px; margin: 40px 0 4px; letter-spacing: -0.005em; }
p { margin: 4px 0 12px; max-width: 76ch; }
.soft, .note { color: var(--soft); }
.kicker { color: var(--green); font-weight: 600; margin: 0; }
code, pre { font-family: ui-monospace, "DejaVu Sans Mono", monospace;
  font-size: 13px; }
pre { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 12px 14px; margin: 10px 0;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.tiles { display: grid; gap: 12px; margin: 22px 0 8px; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(205px, 1fr)); }
.tiles div { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 11px 15px 12px; }
.tiles dt { color: var(--soft); font-size: 13px; }
.tiles dd { margin: 0; font-size: 21px; font-weight: 620;
  line-height: 1.3; white-space: nowrap; }
.tiles small { display: block; font-size: 13px; font-weight: 400;
  color: var(--soft); white-space: normal; }
.card { background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; padding: 16px 18px 8px; margin: 12px 0;
  overflow-x: auto; }
.pair { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); }
.pair .card { margin: 0; }
svg { display: block; width: 100%; height: auto; min-width: 320px; }
.wide svg { min-width: 640px; }
svg text { font-size: 13px; fill: var(--text); }
svg .title { font-weight: 600; }
svg .tick, svg .axis { fill: var(--soft); }
svg .grid { stroke: var(--grid); }
svg .base { stroke: var(--soft); }
svg .mark { stroke: var(--green); stroke-dasharray: 4 3; }
svg .marklabel { fill: var(--green); font-weight: 600; paint-order: stroke;
  stroke: var(--card); stroke-width: 6px; stroke-linejoin: round; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .line.blue { stroke: var(--blue); }
svg .line.orange { stroke: var(--orange); }
svg .line.green { stroke: var(--green); }
svg .line.soft { stroke: var(--soft); stroke-width: 1.3; }
svg .line.dashed { stroke-dasharray: 2 4; }
svg .label.soft { fill: var(--soft); font-weight: 400; }
svg .name { fill: var(--soft); }
svg .band { stroke: none; opacity: 0.18; }
svg .band.blue { fill: var(--blue); }
svg .band.orange { fill: var(--orange); }
svg .dot { stroke: var(--card); stroke-width: 1.4; }
svg .dot.blue, svg .label.blue { fill: var(--blue); }
svg .dot.orange, svg .label.orange { fill: var(--orange); }
svg .dot.green, svg .label.green { fill: var(--green); }
svg .label { font-weight: 600; }
.scroll { overflow-x: auto; margin: 12px 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
td.n, th.n { text-align: right; }
td.n { white-space: nowrap; }
tr.sum td { font-weight: 620; }
tr.part td:first-child { padding-left: 26px; color: var(--soft); }
td.error { color: var(--red); }
.columns { display: grid; gap: 0 32px;
  grid-template-columns: repeat(auto-fit, minmax(min(380px, 100%), 1fr)); }
.facts td:first-child { color: var(--soft); width: 38%; }
.facts td { overflow-wrap: anywhere; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --text: #000;
    --soft: #444; --line: #bbb; --grid: #ddd; --blue: #1f66c1;
    --orange: #c2570c; --green: #1d7a46; --red: #b3261e; }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  .card, .tiles div, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  .tiles { grid-template-columns: repeat(4, 1fr); }
  .tiles dd { font-size: 13pt; }
  .pair { grid-template-columns: 1fr 1fr; }
  svg, .wide svg { min-width: 0; }
  table { font-size: 9pt; }
  th, td { padding: 3px 6px; }
}
)css";

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_REPORTSTYLE_H
