"""The page's style: the fonts of the reader's system, light or dark as the reader's system is.

Every colour of text has a contrast of at least 4.5 to 1 with its ground, every colour that is
drawn with one of 3 to 1 (WCAG 2.2, 1.4.3 and 1.4.11); tests/browser measures it.
"""

from __future__ import annotations

from typing import Final

STYLE: Final = """\
:root {
  --page: #f6f7f8; --card: #ffffff; --ink: #1b1f24; --soft: #56606b; --line: #d6dbe1;
  --link: #0b57a4; --mark: #eef2f6;
  --succeeded: #1a7540; --failed: #b3261e; --partial: #8a5300; --running: #0b57a4;
  --pending: #5c6670; --cancelled: #6b4fa0;
  --validating: #7d8793; --in-progress: #2f6fb7; --finalizing: #1d8a76; --cancelling: #8a6bbf;
  --tokens-in: #2f6fb7; --tokens-out: #b06a00; --track: #e3e7eb;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #121518; --card: #1a1e23; --ink: #e7eaed; --soft: #a4aeb9; --line: #353d46;
    --link: #85bcf6; --mark: #22272e;
    --succeeded: #62c584; --failed: #ff9086; --partial: #e7b658; --running: #85bcf6;
    --pending: #a4aeb9; --cancelled: #bda8ee;
    --validating: #8d98a4; --in-progress: #5b9be0; --finalizing: #3fb39c; --cancelling: #a78bdb;
    --tokens-in: #5b9be0; --tokens-out: #d9973a; --track: #2c333b;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 76rem; padding: 0 1.5rem 3rem; background: var(--page);
  color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  font-variant-numeric: tabular-nums;
}
h1, h2, h3, h4, h5, p, ul, ol, dl, dd, figure { margin: 0; }
h1 { font-size: 1.9rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; scroll-margin-top: 4rem; }
h3 { font-size: 1rem; }
h4 { font-size: .95rem; margin: 1.5rem 0 .5rem; }
h5 { font-size: .8rem; color: var(--soft); font-weight: 600; margin-bottom: .35rem; }
a { color: var(--link); text-underline-offset: .15em; }
a:hover { text-decoration-thickness: 2px; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 3px; }
code { font: .875em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
small { color: var(--soft); }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: .5rem; z-index: 3; background: var(--card); padding: .5rem 1rem; }
.sprite { position: absolute; }
header { padding: 2.25rem 0 1rem; }
.kicker { color: var(--soft); font-size: .875rem; }
.made { color: var(--soft); font-size: .875rem; display: flex; flex-wrap: wrap; gap: 0 1.25rem;
  margin-top: .4rem; }
nav {
  position: sticky; top: 0; z-index: 2; background: var(--page);
  border-block: 1px solid var(--line);
}
nav ul { display: flex; flex-wrap: wrap; gap: 0 1.5rem; list-style: none; padding: .5rem 0; }
nav a { text-decoration: none; font-size: .925rem; display: inline-block; padding: .15rem 0; }
nav a:hover { text-decoration: underline; }

.card, .tile, .attention, .job, .scroll, .empty {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px;
}
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; }
.tile { padding: 1rem 1.15rem; }
.tile h3 { color: var(--soft); font-size: .875rem; font-weight: 600; }
.big { font-size: 1.85rem; line-height: 1.25; font-weight: 600; }
.tile ul { list-style: none; padding: 0; margin-top: .6rem; font-size: .875rem; }
.tile li > span { display: flex; align-items: center; flex-wrap: wrap; }
.tile b { margin-left: auto; padding-left: .25rem; font-weight: 600; }
.attention { margin-top: 1rem; padding: 1rem 1.15rem; border-left: 4px solid var(--failed);
  font-size: .925rem; }
.attention ul { list-style: none; padding: 0; margin-top: .35rem; }
.attention li { padding: .15rem 0; overflow-wrap: anywhere; }
.empty { padding: 2rem; text-align: center; color: var(--soft); margin-top: 1.5rem; }
.hint { color: var(--soft); font-size: .875rem; margin-bottom: .5rem; }
td .hint, .turn .hint { margin: 0; }

.sign { width: 1em; height: 1em; margin-right: .4em; vertical-align: -.12em; flex: none; fill: none;
  stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; }
.state { white-space: nowrap; display: inline-flex; align-items: center; font-weight: 600; }
.succeeded { color: var(--succeeded); } .failed { color: var(--failed); }
.partial { color: var(--partial); } .running { color: var(--running); }
.pending { color: var(--pending); } .cancelled { color: var(--cancelled); }
td.bad { color: var(--failed); font-weight: 600; }
.bar { display: block; border-radius: 4px; background: var(--track); margin-top: .3rem; }
rect.succeeded { fill: var(--succeeded); } rect.failed { fill: var(--failed); }
rect.partial { fill: var(--partial); } rect.running { fill: var(--running); }
rect.pending { fill: var(--track); } rect.cancelled { fill: var(--cancelled); }
rect.tokens-in { fill: var(--tokens-in); stroke: none; }
rect.tokens-out { fill: var(--tokens-out); stroke: none; }
rect.validating { fill: var(--validating); }
rect.in_progress, rect.column { fill: var(--in-progress); }
rect.finalizing { fill: var(--finalizing); } rect.cancelling { fill: var(--cancelling); }

.figures { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 1rem; }
.card { padding: 1rem 1.15rem; min-width: 0; }
.wide { grid-column: 1 / -1; }
figcaption p { color: var(--soft); font-size: .875rem; margin-bottom: .6rem; }
.chart { display: block; overflow: visible; }
.chart text { fill: var(--soft); font-size: 11.5px; }
.chart text.name { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--line); stroke-dasharray: 2 3; } .base { stroke: var(--soft); }
.mark { overflow: visible; }
.going { fill: var(--in-progress); }
.broken { fill: none; stroke: var(--failed); stroke-width: 2.5; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; list-style: none; padding: 0;
  font-size: .8rem; color: var(--soft); margin-bottom: .5rem; }
.legend svg { margin-right: .4rem; vertical-align: -.1em; }
.data { margin-top: .75rem; font-size: .875rem; }
.data summary { color: var(--soft); cursor: pointer; width: max-content; }

.scroll { overflow: auto; position: relative; margin-bottom: .5rem; }
.data .scroll { border: 0; margin-top: .35rem; max-height: 20rem; }
.tall { max-height: 36rem; }
td code, tbody th code { white-space: nowrap; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; }
caption { text-align: left; color: var(--soft); padding: .55rem .75rem; }
th, td { text-align: left; padding: .4rem .55rem; vertical-align: top; font-weight: 400; }
tbody tr { border-top: 1px solid var(--line); }
tbody tr:hover { background: var(--mark); }
thead th { font-weight: 600; color: var(--soft); white-space: nowrap; position: sticky; top: 0;
  background: var(--card); box-shadow: 0 1px var(--line); z-index: 1; }
tbody th { min-width: 8rem; overflow-wrap: anywhere; }
td:has(q) { min-width: 14rem; }
.n { text-align: right; white-space: nowrap; }
.p { min-width: 6.5rem; } .p small { display: block; line-height: 1.2; margin-top: .15rem; }
.jobs tbody th { min-width: 12.25rem; }
.jobs td:last-child { white-space: nowrap; }
thead button { font: inherit; color: inherit; background: none; border: 0; padding: 0;
  cursor: pointer; }
thead button:hover { text-decoration: underline; }
thead button::after { content: "\\2195"; font-size: .8em; opacity: .45; }
[aria-sort=ascending] button::after { content: "\\2191"; opacity: 1; }
[aria-sort=descending] button::after { content: "\\2193"; opacity: 1; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem .75rem;
  margin-bottom: .75rem; font-size: .875rem; }
.tools[hidden] { display: none; }
.tools input, .tools select { font: inherit; color: inherit; background: var(--card);
  padding: .3rem .55rem;
  border: 1px solid var(--soft); border-radius: 6px; }
.tools p { color: var(--soft); }

.job { margin-bottom: .6rem; }
.job > summary { display: flex; flex-wrap: wrap; align-items: center; gap: .25rem 1rem;
  padding: .65rem 1rem; cursor: pointer;
  font-size: .925rem; list-style: none; }
.job > summary::-webkit-details-marker { display: none; }
.job > summary::before { content: "\\25B8"; color: var(--soft); width: .8em; }
.job[open] > summary::before { content: "\\25BE"; }
.job[open] > summary { border-bottom: 1px solid var(--line); }
summary h3 { overflow-wrap: anywhere; }
.how-far { display: inline-block; width: 7rem; } .how-far .bar { margin: 0; }
td .how-far { width: 6rem; margin-top: .45rem; }
.counts { color: var(--soft); margin-left: auto; }
.account { padding: 1rem 1.15rem 1.15rem; scroll-margin-top: 7rem; font-size: .925rem; }
.account:focus, tr:focus { outline: none; }
tr:target { background: var(--mark); scroll-margin-top: 7rem; }
.note { margin-bottom: .75rem; padding-left: .75rem; border-left: 3px solid var(--partial);
  overflow-wrap: anywhere; }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr));
  gap: .5rem 1.5rem; margin-bottom: .9rem; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { overflow-wrap: anywhere; }
ul.wrong { padding-left: 1.2rem; overflow-wrap: anywhere; }
q { overflow-wrap: anywhere; }
.samples { padding: 0; list-style: none; display: grid; gap: .75rem; }
.sample { border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem .9rem;
  display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .5rem 1.5rem; }
.custom-id + .side:last-child { grid-column: 1 / -1; }
.custom-id { grid-column: 1 / -1; color: var(--soft); }
.turn + .turn { margin-top: .6rem; }
.who { font-size: .8rem; color: var(--soft); }
.said { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 16rem; overflow: auto;
  background: var(--mark);
  border-radius: 4px; padding: .35rem .55rem; font-size: .875rem; }
.side.wrong { color: var(--failed); overflow-wrap: anywhere; font-size: .875rem; }
.side.wrong h5 { color: inherit; }
.back { margin-top: 1.25rem; font-size: .875rem; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .8rem;
  border-top: 1px solid var(--line); padding-top: .75rem; }

@media (max-width: 46rem) {
  body { padding: 0 1rem 2rem; }
  header { padding-top: 1.25rem; }
  h1 { font-size: 1.5rem; }
  .figures, .sample { grid-template-columns: minmax(0, 1fr); }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .6rem; }
  .tile { padding: .8rem; }
  .big { font-size: 1.45rem; }
  nav ul { gap: 0 1.1rem; }
  .counts { margin-left: 0; }
}
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
@media print {
  :root { color-scheme: light; --page: #fff; --track: #d5dae0; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { font-size: 7.5pt; }
  th, td, thead th, .n, td code, tbody th code { padding: .15rem .3rem; white-space: normal; }
  tbody th, .jobs tbody th, .p { min-width: 0; }
  nav, .tools, .skip, .back, thead button::after { display: none; }
  .scroll, .tall, .said, .data .scroll { max-height: none; overflow: visible; }
  thead th { position: static; }
  .job > summary::before { content: none; }
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
  .tile, .card, .sample, tr { break-inside: avoid; }
  .card, .tile, .job { border-color: #bbb; }
  h2, h3, h4, summary { break-after: avoid; }
  rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  .bar { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
