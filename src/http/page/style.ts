/** The style sheet of all pages: system fonts, light and dark, tables that become cards on a phone. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --back: #f7f8f8;
  --card: #ffffff;
  --text: #1a2226;
  --muted: #55626a;
  --line: #dfe4e6;
  --accent: #0a6570;
  --accent-back: #e3f1f2;
  --good: #17663a;
  --good-back: #e3f4e9;
  --warn: #7a4a00;
  --warn-back: #fcf0d6;
  --bad: #a01d2b;
  --bad-back: #fce6e8;
  --code: #f1f4f4;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}
@media (prefers-color-scheme: dark) {
  :root {
    --back: #12171a;
    --card: #1a2124;
    --text: #e4eaec;
    --muted: #9dabb2;
    --line: #2d373c;
    --accent: #76cdd6;
    --accent-back: #173237;
    --good: #85d9a6;
    --good-back: #16301f;
    --warn: #f0c674;
    --warn-back: #342a10;
    --bad: #ff9fa8;
    --bad-back: #3b1a1f;
    --code: #10161a;
  }
}
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0;
  background: var(--back);
  color: var(--text);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif;
  overflow-wrap: anywhere;
}
.wide { max-width: 77rem; margin: 0 auto; padding: 0 1.5rem; }
a { color: var(--accent); text-underline-offset: .2em; text-decoration-thickness: 1px; text-decoration-color: color-mix(in srgb, currentColor 45%, transparent); }
a:hover { text-decoration-color: currentColor; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }
.sr { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -999rem; }
.skip:focus { left: 1rem; top: 1rem; padding: .5rem 1rem; background: var(--card); z-index: 1; }

.top { background: var(--card); border-bottom: 1px solid var(--line); }
.top .wide { display: flex; flex-wrap: wrap; align-items: stretch; column-gap: 2rem; }
.brand { display: flex; align-items: center; gap: .6rem; padding: .8rem 0; color: var(--text); font-weight: 650; font-size: 1.06rem; letter-spacing: -.01em; text-decoration: none; }
.brand img { width: 1.75rem; height: 1.75rem; }
.tabs { display: flex; gap: 1.4rem; margin-left: auto; }
.tabs a { display: flex; align-items: center; padding: .8rem 0; color: var(--muted); text-decoration: none; border-bottom: 2px solid transparent; border-top: 2px solid transparent; }
.tabs a:hover { color: var(--text); }
.tabs a[aria-current] { color: var(--text); font-weight: 600; border-bottom-color: var(--accent); }

main { padding-top: 2.2rem !important; padding-bottom: 3rem !important; }
h1 { margin: 0 0 .4rem; font-size: 1.75rem; line-height: 1.2; font-weight: 680; letter-spacing: -.02em; }
h2 { margin: 2.6rem 0 .9rem; font-size: 1.16rem; line-height: 1.3; font-weight: 650; letter-spacing: -.01em; }
h3 { margin: 0; font-size: 1rem; font-weight: 620; }
p { margin: 0 0 .9rem; }
.lead { max-width: 46rem; color: var(--muted); }
.muted { color: var(--muted); }
.small { font-size: .875rem; }
.after { margin-top: .9rem; }
.spaced { margin-top: 1.5rem; }
code, .mono { font-family: var(--mono); font-size: .875em; }
bdi .escape, .escape { font-family: var(--mono); font-size: .85em; font-weight: 600; color: var(--bad); background: var(--bad-back); border-radius: 3px; padding: 0 .15em; }

.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 1px; margin: 1.6rem 0 0; background: var(--line); border: 1px solid var(--line); border-radius: 10px; overflow: hidden; }
.facts > div { background: var(--card); padding: .8rem 1.1rem .9rem; }
.facts dt { color: var(--muted); font-size: .8125rem; }
.facts dd { margin: .1rem 0 0; font-size: 1.3rem; line-height: 1.3; font-weight: 620; letter-spacing: -.01em; font-variant-numeric: tabular-nums; }
.facts dd small { display: block; font-size: .8125rem; font-weight: 400; letter-spacing: 0; color: var(--muted); }

.note { margin: 1.2rem 0 0; padding: .7rem 1rem; border-radius: 8px; border-left: 4px solid var(--accent); background: var(--accent-back); }
.note.warn { border-color: var(--warn); background: var(--warn-back); }
.note.bad { border-color: var(--bad); background: var(--bad-back); }
.note.good { border-color: var(--good); background: var(--good-back); }
.note p:last-child { margin-bottom: 0; }
.verdict { font-size: 1.1rem; font-weight: 620; margin-bottom: .3rem; }

.search { display: flex; flex-wrap: wrap; gap: .6rem; align-items: end; margin: 0 0 .8rem; }
.search .field { flex: 1 1 16rem; }
.field label { display: block; margin-bottom: .25rem; font-size: .875rem; color: var(--muted); }
.field.grow { flex: 3 1 24rem; }
input, select { width: 100%; font: inherit; color: inherit; background: var(--card); border: 1px solid #83929a; border-radius: 8px; padding: .5rem .75rem; }
input::placeholder { color: var(--muted); opacity: 1; }
button { font: inherit; font-weight: 600; padding: .5rem 1.1rem; border: 1px solid var(--accent); border-radius: 8px; background: var(--accent); color: var(--card); cursor: pointer; }
button:hover { filter: brightness(1.08); }
.count { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: 0 0 .6rem; color: var(--muted); font-size: .875rem; }

.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { width: 100%; border-collapse: collapse; background: var(--card); border: 1px solid var(--line); border-radius: 10px; border-spacing: 0; }
.frame { border: 1px solid var(--line); border-radius: 10px; overflow: hidden; background: var(--card); }
.frame table { border: 0; border-radius: 0; }
th, td { padding: .65rem 1rem; text-align: left; vertical-align: top; font-weight: 400; overflow: hidden; }
thead th { font-size: .8125rem; font-weight: 600; color: var(--muted); border-bottom: 1px solid var(--line); white-space: nowrap; padding-top: .6rem; padding-bottom: .6rem; }
thead a { color: inherit; text-decoration: none; }
thead a:hover { color: var(--text); text-decoration: underline; }
thead [aria-sort] a { color: var(--text); }
thead [aria-sort=ascending] a::after { content: " \\2191"; }
thead [aria-sort=descending] a::after { content: " \\2193"; }
tbody + tbody { border-top: 1px solid var(--line); }
tbody.each tr + tr { border-top: 1px solid var(--line); }
tbody:not(.each) tr + tr td { padding-top: 0; }
.num { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.date { white-space: nowrap; font-variant-numeric: tabular-nums; }
.what { min-width: 16rem; width: 44%; }
.name { font-weight: 620; text-decoration: none; }
.name:hover { text-decoration: underline; }
.version { color: var(--muted); font-variant-numeric: tabular-nums; }
.url { display: block; font-size: .8125rem; color: var(--muted); }
.cut { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; line-clamp: 2; overflow: hidden; max-height: 3.2em; }
.platform { white-space: nowrap; max-width: 14rem; overflow: hidden; text-overflow: ellipsis; }
.platform a { color: inherit; text-decoration: none; }
.platform a:hover { text-decoration: underline; }
.platform small { display: block; overflow: hidden; text-overflow: ellipsis; color: var(--muted); font-size: .8125rem; }

.badge { display: inline-flex; align-items: baseline; gap: .35em; max-width: min(17rem, 100%); min-width: 0; padding: .08rem .55rem; border-radius: 1rem; font-size: .8125rem; font-weight: 560; }
.badge > span { overflow: hidden; white-space: nowrap; text-overflow: ellipsis; }
.badge i { font-style: normal; }
.badge.good { color: var(--good); background: var(--good-back); }
.badge.warn { color: var(--warn); background: var(--warn-back); }
.badge.bad { color: var(--bad); background: var(--bad-back); }
.badges { display: flex; flex-wrap: wrap; gap: .3rem; min-width: 0; max-width: 100%; }
.chip { display: inline-flex; gap: .5em; align-items: baseline; color: var(--text); background: var(--accent-back); border-radius: 1rem; padding: .05rem .7rem; text-decoration: none; }

.pages { display: flex; gap: 1.5rem; margin: 1rem 0 0; }
.empty { padding: 2.2rem 1.5rem; text-align: center; }
.empty h3 { font-size: 1.1rem; margin-bottom: .4rem; }
.empty .commands { display: inline-grid; gap: .5rem; max-width: 100%; margin-top: .8rem; text-align: left; }

.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.2rem; align-items: start; }
.block { position: relative; min-width: 0; margin: 0; background: var(--code); border: 1px solid var(--line); border-radius: 8px; }
.block pre { margin: 0; padding: .8rem 1rem; max-height: 22rem; overflow: auto; font-size: .8125rem; line-height: 1.55; white-space: pre-wrap; }
.block.file pre { white-space: pre; font-size: .78rem; }
.block pre code { font-size: inherit; }
.copy { position: absolute; top: .4rem; right: .4rem; padding: .15rem .65rem; font-size: .8125rem; background: var(--card); color: var(--accent); border-color: var(--line); }
.block:not(.file):has(.copy) pre { padding-right: 5.2rem; }

h1 + .pairs { margin-top: .9rem; }
.pairs.answer { margin-top: 1.2rem; }
.pairs { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .35rem 1.4rem; margin: 0; }
.pairs dt { color: var(--muted); font-size: .875rem; padding-top: .05rem; }
.pairs dd { margin: 0; min-width: 0; }
.entry { padding: 1.1rem 1.3rem 1.2rem; }
.entry + .entry { margin-top: 1rem; }
.entry header { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; margin-bottom: .8rem; }
.entry header .badges { margin-left: auto; }
.list { margin: 0; padding-left: 1.2rem; }

footer { border-top: 1px solid var(--line); padding: 1.2rem 0 2rem; color: var(--muted); font-size: .875rem; }
footer .wide { display: flex; flex-wrap: wrap; gap: .4rem 1.6rem; }
footer .end { margin-left: auto; }

@media (max-width: 46rem) {
  .wide { padding: 0 1rem; }
  .top .wide { column-gap: 1rem; }
  .tabs { margin-left: 0; width: 100%; gap: 1.2rem; border-top: 1px solid var(--line); }
  .tabs a { padding: .55rem 0; }
  main { padding-top: 1.4rem !important; }
  h1 { font-size: 1.45rem; }
  .facts { grid-template-columns: 1fr 1fr; }
  .pairs { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .pairs dd { margin-bottom: .6rem; }
  .entry header .badges { margin-left: 0; }
  .facts > :last-child:nth-child(odd) { grid-column: 1 / -1; }
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .cards, .cards tbody { display: block; }
  .cards tr { display: grid; grid-template-columns: minmax(0, 1fr) auto; gap: .15rem 1rem; align-items: baseline; padding: .8rem 1rem; }
  .cards tbody:not(.each) tr + tr { padding-top: .5rem; margin-top: -.3rem; }
  .cards th, .cards td, .cards tbody:not(.each) tr + tr td { display: block; width: auto; min-width: 0; padding: 0; }
  .cards tbody th, .cards td.what, .cards td[colspan] { grid-column: 1 / -1; margin-bottom: .25rem; }
  .cards td.platform, .cards td:nth-last-child(1):not(.what) { grid-column: 1 / -1; }
  .cards td.date { color: var(--muted); font-size: .9375rem; }
  .cards td:nth-last-child(1):not(.what) { max-width: 100%; }
  .cards .num { text-align: left; }
  .platform { max-width: 100%; }
  .platform small { display: inline; margin-left: .4em; }
  .cut { -webkit-line-clamp: 3; line-clamp: 3; max-height: 4.8em; }
}
@media (prefers-reduced-motion: no-preference) {
  a, button { transition: color .12s, background-color .12s; }
}
@media print {
  .copy, .search, .tabs { display: none; }
}
`;
