import { colourStyle } from '../markup/colours.js';
import { TIMELINE_STYLE } from '../timeline/timeline-svg.js';

/**
 * The style sheet of the page: one column up to 720 px, two pictures beside each other above;
 * a table that is too wide scrolls in itself, so that the page never does.
 */
export const PAGE_STYLE = `${colourStyle(':root')}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.5rem; margin: .5rem 0 } h2 { font-size: 1.2rem; margin: 2.2rem 0 .5rem } h3 { font-size: 1rem; margin: 0 0 .2rem }
p { margin: .4rem 0; max-width: 52rem } small, .quiet { color: var(--quiet) } a { color: inherit }
.verdict { border: 2px solid var(--good); border-radius: 8px; padding: .7rem 1rem; background: var(--panel); font-size: 1.1rem; max-width: none }
.verdict.bad { border-color: var(--bad) } .verdict b { color: var(--good) } .verdict.bad b { color: var(--bad) }
.scroll { overflow-x: auto; margin: .6rem 0 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal }
caption { text-align: left; color: var(--quiet); padding-bottom: .3rem }
th, td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--line); vertical-align: top }
th { font-weight: 600 } thead th { vertical-align: bottom; hyphens: auto } th:first-child, td:first-child { text-align: left }
.overview { width: 100%; table-layout: fixed } .overview td small { display: block } .overview .own { background: var(--panel) }
.figures td { white-space: nowrap } .figures tbody th { font-weight: 400; max-width: 9rem } .figures tbody a, .overview a { text-decoration-color: var(--line) }
.wide { font-size: .8rem } .below { display: flex; flex-wrap: wrap; gap: .5rem 3rem } .compared { flex: 1 1 20rem; max-width: 40rem } .compared ul { padding-left: 1.1rem; margin: .3rem 0 }
.below .scroll { max-width: 100% }
.tag-good { color: var(--good) } .tag-bad { color: var(--bad); font-weight: 600 } td.zero { color: var(--quiet) }
.arms { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); margin: .8rem 0 }
.arm { background: var(--panel); border-radius: 8px; padding: .7rem; min-width: 0 } .tl { display: block; width: 100%; height: auto }
.drill { border-top: 1px solid var(--line); margin-top: 2rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .6rem 0 } dt { color: var(--quiet) } dd { margin: 0; min-width: 0 }
.definitions { grid-template-columns: minmax(6rem, 12rem) minmax(0, 52rem) }
code { font: .9em ui-monospace, monospace; background: var(--panel); padding: .1em .3em; border-radius: 4px }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; padding: 0; margin: .6rem 0; list-style: none }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .4em; border-radius: 2px }
summary { cursor: pointer } details ul { margin: .3rem 0; padding-left: 1.2rem }
@media (max-width: 500px) { body { padding: .7rem; font-size: 14px } th, td { padding: .25rem .3rem } .overview { font-size: .85em } dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .4rem } .figures { font-size: .9em } }
${TIMELINE_STYLE}`;
