/** Colours of the report, light and dark, as CSS variables; the page and every picture use the same. */

/** How calls ended and what is written beside them. Blue, amber, red and violet stay apart with every common colour blindness. */
const LIGHT = `--page: #ffffff; --panel: #f6f7f9; --text: #1d232b; --quiet: #5b6672; --line: #d5dae0;
  --right: #3d7ebf; --degraded: #e0a100; --failed: #c62f2f; --wrong: #7a3fa0; --fault: #c62f2f1f; --good: #1a7f37; --bad: #b42318;`;
const DARK = `--page: #14181d; --panel: #1c2127; --text: #e3e7ec; --quiet: #9aa5b1; --line: #363d46;
  --right: #5b9bd9; --degraded: #e8b730; --failed: #f0605c; --wrong: #b684dd; --fault: #f0605c2b; --good: #4ac26b; --bad: #ff8178;`;

/** @param selector of the element that carries the variables, such as `:root` or `svg`. */
export function colourStyle(selector: string): string {
  return `${selector} { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { ${selector} { ${DARK} } }`;
}
