/** What a page looks like, measured in the browser: overlaps, contrast and colours. */
import type { TestPage } from './browser.js';

/** Runs a script in the page. It is text: its types are not those of this program. */
async function inPage<T>(page: TestPage, script: string): Promise<T> {
  return (await page.page.evaluate(`(() => {${script}})()`)) as T;
}

const VISIBLE = `
  const box = (e) => e.getBoundingClientRect();
  const isShown = (e) => box(e).width > 0 && box(e).height > 0 && getComputedStyle(e).visibility === 'visible';
  const name = (e) => e.tagName.toLowerCase() + (e.className.baseVal ?? e.className ? '.' + String(e.className.baseVal ?? e.className).replace(/ /g, '.') : '') + ' "' + e.textContent.trim().slice(0, 30) + '"';
`;

/** Pairs of siblings that should stand beside each other and lie on one another, in words. */
export function overlaps(page: TestPage): Promise<string[]> {
  return inPage(
    page,
    `${VISIBLE}
    const groups = ['.node', '.column', '.calls li', '.calls li > *', '.node .top > *', 'summary > *', 'figcaption > *', '.charts > figure', '.attention li > *', '.happened li > *', 'header > *', '.legend li', 'main > *', 'main > section > *'];
    const found = [];
    for (const selector of groups) {
      const byParent = new Map();
      for (const e of document.querySelectorAll(selector))
        if (isShown(e) && getComputedStyle(e).position !== 'absolute') byParent.set(e.parentElement, [...(byParent.get(e.parentElement) ?? []), e]);
      if (selector === '.node') byParent.set(null, [...document.querySelectorAll(selector)]);
      for (const all of byParent.values())
        all.forEach((a, i) => all.slice(i + 1).forEach((b) => {
          const [p, q] = [box(a), box(b)];
          const x = Math.min(p.right, q.right) - Math.max(p.left, q.left);
          const y = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
          if (x > 1 && y > 1) found.push(name(a) + ' and ' + name(b));
        }));
    }
    return found;`,
  );
}

/** Texts that are wider than their place and not shortened with an ellipsis, and whatever makes the page wider than its window. */
export function overflows(page: TestPage): Promise<string[]> {
  return inPage(
    page,
    `${VISIBLE}
    const wide = document.documentElement.scrollWidth > innerWidth ? ['the page is ' + document.documentElement.scrollWidth + ' px wide'] : [];
    const cut = [...document.querySelectorAll('.calls li > *, .node .count, summary > *, figcaption > *, .happened li > *, .attention li > *, header *')].filter((e) => isShown(e) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0 && getComputedStyle(e).textOverflow !== 'ellipsis' && getComputedStyle(e).display !== 'inline');
    return [...wide, ...cut.map((e) => name(e) + ' is cut off')];`,
  );
}

/** Lines of the graph that pass through a box: the numbers of each stand in one. */
export function linesThroughBoxes(page: TestPage): Promise<{ lines: number; through: string[] }> {
  return inPage(
    page,
    `${VISIBLE}
    const svg = box(document.querySelector('svg.edges'));
    const nodes = [...document.querySelectorAll('.node')].map((e) => [e.dataset.key, box(e)]);
    const through = [];
    const paths = [...document.querySelectorAll('svg.edges path')];
    for (const path of paths) {
      const length = path.getTotalLength();
      for (let i = 0; i <= 60; i++) {
        const at = path.getPointAtLength((length * i) / 60);
        const [x, y] = [svg.left + at.x, svg.top + at.y];
        for (const [service, b] of nodes)
          if (x > b.left + 1 && x < b.right - 1 && y > b.top + 1 && y < b.bottom - 1) through.push(path.dataset.from + ' to ' + path.dataset.to + ' passes ' + service);
      }
    }
    return { lines: paths.length, through: [...new Set(through)] };`,
  );
}

/** Texts whose contrast is below what WCAG 2.2 asks for at AA (1.4.3): 4.5, or 3 for large ones. */
export function faintTexts(page: TestPage): Promise<string[]> {
  return inPage(
    page,
    `${VISIBLE}
    const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
    const over = ([r, g, b, a = 1], under) => [r, g, b].map((v, i) => v * a + under[i] * (1 - a));
    const light = (c) => c.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ground = (e) => e === null ? [255, 255, 255] : over(parse(getComputedStyle(e).backgroundColor).concat(1).slice(0, 4), ground(e.parentElement));
    const found = new Set();
    for (const e of document.querySelectorAll('body *')) {
      if (!isShown(e) || e.closest('svg, canvas, .uplot') !== null || ![...e.childNodes].some((n) => n.nodeType === 3 && n.nodeValue.trim() !== '')) continue;
      const style = getComputedStyle(e);
      const under = (() => { for (let at = e; at !== null; at = at.parentElement) { const c = parse(getComputedStyle(at).backgroundColor); if (c.length === 3 || c[3] > 0) return over(c, [255, 255, 255]); } return [255, 255, 255]; })();
      const [a, b] = [light(over(parse(style.color), under)), light(under)];
      const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
      if (contrast < 4.5) found.add(name(e) + ': ' + contrast.toFixed(2));
    }
    return [...found];`,
  );
}

/** Values of custom properties of the style, as `#rrggbb`. */
export function colours(page: TestPage, names: readonly string[]): Promise<string[]> {
  return inPage(
    page,
    `const style = getComputedStyle(document.documentElement);
    return ${JSON.stringify(names)}.map((each) => style.getPropertyValue(each).trim());`,
  );
}

/** How people see colours who lack one kind of cone, as factors of linear RGB (Viénot, Brettel and Mollon 1999; Brettel 1997 for the last). */
const SEEN: Readonly<Record<string, readonly (readonly number[])[]>> = {
  all: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.11238, 0.88762, 0],
    [0.11238, 0.88762, 0],
    [0.00401, -0.00401, 1],
  ],
  deuteranopia: [
    [0.29275, 0.70725, 0],
    [0.29275, 0.70725, 0],
    [-0.02234, 0.02234, 1],
  ],
  tritanopia: [
    [1, 0.14461, -0.14461],
    [0, 0.85924, 0.14076],
    [0, 0.85924, 0.14076],
  ],
};

/** The least distance (CIE76) between any two colours, for whichever eyes it is least. */
export function leastDistance(hex: readonly string[]): { distance: number; eyes: string; pair: string } {
  let least = { distance: Number.POSITIVE_INFINITY, eyes: '', pair: '' };
  for (const [eyes, matrix] of Object.entries(SEEN)) {
    const seen = hex.map((each) => lab(matrix, each));
    seen.forEach((a, i) => {
      seen.slice(i + 1).forEach((b, j) => {
        const distance = Math.hypot(...a.map((value, k) => value - b[k]!));
        if (distance < least.distance) least = { distance, eyes, pair: `${hex[i]} ${hex[i + 1 + j]}` };
      });
    });
  }
  return least;
}

function lab(matrix: readonly (readonly number[])[], hex: string): number[] {
  const linear = [1, 3, 5]
    .map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  const [r, g, b] = matrix.map((row) =>
    Math.min(
      1,
      Math.max(
        0,
        row.reduce((sum, factor, i) => sum + factor * linear[i]!, 0),
      ),
    ),
  ) as [number, number, number];
  const f = (t: number) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047);
  const y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
  const z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
