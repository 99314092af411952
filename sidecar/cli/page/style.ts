/** The style of the mesh page: dark and light as the browser wishes, and one column on a telephone. */
export const STYLE = `
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --warn: #9a6700; --bad: #cf222e; --calls: #0969da; --face: #8881; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --warn: #d29922; --bad: #f85149; --calls: #58a6ff; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1.5rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0 } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem } p { margin: .2rem 0 } small, .quiet { opacity: .75 }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-size: .9rem }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line) }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
span.good::before, span.warn::before, span.bad::before, #state::before { content: "●"; margin-right: .4em }
span.good::before, #state.good::before { color: var(--good) } span.warn::before, #state.warn::before { color: var(--warn) } span.bad::before, #state.bad::before { color: var(--bad) }
svg { max-width: 100%; height: auto; display: block; font-size: 13px } svg text { fill: currentColor; text-anchor: middle }
.node rect { fill: var(--face); stroke: currentColor; stroke-opacity: .5 } .node text { font-weight: 600 } .node text.quiet { font-weight: 400; font-size: 11px }
.node.good rect { stroke: var(--good); stroke-opacity: 1 } .node.warn rect { stroke: var(--warn); stroke-opacity: 1 } .node.bad rect { stroke: var(--bad); stroke-opacity: 1; stroke-width: 2 }
.edge line { stroke: currentColor; stroke-opacity: .6 } .edge.warn line { stroke: var(--warn) } .edge.bad line { stroke: var(--bad); stroke-width: 2 }
.words text { paint-order: stroke; stroke: Canvas; stroke-width: 4px; stroke-linejoin: round }
.timeline text { text-anchor: start; font-size: 11px; opacity: .75 } .timeline text.end { text-anchor: end }
.timeline polyline { fill: none; stroke-width: 1.6 } polyline.calls { stroke: var(--calls) } polyline.failed { stroke: var(--bad) } .floor { stroke: var(--line) }
.mark line { stroke-dasharray: 3 2 } .mark.ejection { stroke: var(--warn); fill: var(--warn) } .mark.restart { stroke: var(--bad); fill: var(--bad) } .mark.gone { stroke: currentColor; fill: currentColor }
.refused { border: 2px solid var(--bad); border-radius: 6px; padding: .5rem .8rem; margin: .8rem 0; overflow-wrap: anywhere }
.drill { border: 2px solid var(--warn); border-radius: 6px; padding: .5rem .8rem; margin: .8rem 0 } .drill ul, .marks { margin: .2rem 0; padding-left: 1.2rem }
.tag { border: 1px solid currentColor; border-radius: 4px; padding: 0 .3em; font-size: .8rem } .tag.ejection { color: var(--warn) } .tag.restart { color: var(--bad) }
@media (max-width: 40rem) { .minor { display: none } .graph { max-width: none } .timeline { overflow: visible; margin: .9rem 0 } .timeline text { font-size: 22px } th, td { padding-right: .5rem } body { margin: .8rem auto } }
details summary { white-space: nowrap; cursor: pointer; color: var(--calls) } button { font: inherit; padding: .3rem .6rem; min-height: 2.2rem }
`;

/** Replaces the content every 2 s, but not while a question about a drain is open. */
export const SCRIPT = `
setInterval(async () => {
  if (document.hidden || document.querySelector('details[open]')) return;
  try {
    const answer = await fetch('/main');
    const fresh = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('main');
    if (!document.querySelector('details[open]')) document.querySelector('main').replaceWith(fresh);
  } catch {
    document.querySelector('#state').textContent = 'outrider page does not answer';
    document.querySelector('#state').className = 'bad';
  }
}, 2000);
`;
