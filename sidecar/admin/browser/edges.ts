/** Services stand in one column, as the style says, and lines are drawn on their left. */
const NARROW = matchMedia('(max-width: 45rem)');
/** On a narrow screen, more lines than these are drawn only where calls fail: each row names its caller anyway. */
const MOST_NARROW = 12;

interface Box {
  readonly name: string;
  readonly column: number;
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Draws the lines from callers to the rows of the services that they call, between the boxes as they stand. */
export function drawEdges(): void {
  const graph = document.querySelector<HTMLElement>('.graph');
  const svg = graph?.querySelector<SVGSVGElement>('svg.edges');
  if (graph == null || svg == null) return;
  const origin = svg.getBoundingClientRect();
  const place = (element: Element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    return {
      left: left - origin.left,
      right: right - origin.left,
      top: top - origin.top,
      bottom: bottom - origin.top,
    };
  };
  const columns = [...graph.querySelectorAll('.column')].map((each, column) =>
    [...each.querySelectorAll<HTMLElement>('.node')].map(
      (node): Box => ({ ...place(node), name: node.dataset['key'] ?? '', column }),
    ),
  );
  const boxes = new Map(columns.flat().map((box) => [box.name, box]));
  const rows = [...graph.querySelectorAll<HTMLElement>('li[data-from]')];
  const isNarrow = NARROW.matches;
  const drawn = rows.filter((row) => !isNarrow || rows.length <= MOST_NARROW || !row.matches('.good'));
  // The worst are drawn last, on top of the others.
  drawn.sort((a, b) => toneRank(b) - toneRank(a));
  const paths = drawn.flatMap((row, i) => {
    const from = boxes.get(row.dataset['from'] ?? '');
    const to = boxes.get(row.dataset['to'] ?? '');
    if (from === undefined || to === undefined) return [];
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    const end = place(row);
    path.setAttribute('d', isNarrow ? arc(from, to, end) : route({ from, to, end, columns, lane: i }));
    path.setAttribute('class', row.className);
    path.dataset['from'] = from.name;
    path.dataset['to'] = to.name;
    return [path];
  });
  svg.replaceChildren(...paths);
  markChosen();
}

function toneRank(row: Element): number {
  return row.matches('.bad') ? 0 : row.matches('.warn') ? 1 : 2;
}

/** On a narrow screen: out to the left, down or up, and back. Long ones go further out. */
function arc(from: Box, to: Box, end: { top: number; bottom: number }): string {
  const y1 = from.top + 14;
  const y2 = (end.top + end.bottom) / 2;
  const out = Math.max(2, from.left - 10 - Math.min(26, Math.abs(y2 - y1) / 22));
  return `M${from.left} ${y1}C${out} ${y1} ${out} ${y2} ${to.left} ${y2}`;
}

interface Asked {
  readonly from: Box;
  readonly to: Box;
  /** The row at which the line ends. */
  readonly end: { readonly top: number; readonly bottom: number };
  readonly columns: readonly (readonly Box[])[];
  readonly lane: number;
}

/** From the right side of the caller to the left of the row; past columns between them through a gap between two boxes. */
function route({ from, to, end, columns, lane }: Asked): string {
  const y2 = (end.top + end.bottom) / 2;
  if (to.column <= from.column) {
    // Calls in a circle: round the left side.
    const x = Math.min(from.left, to.left) - 34;
    return `M${from.left} ${from.top + 14}C${x} ${from.top + 14} ${x} ${y2} ${to.left} ${y2}`;
  }
  let [x, y] = [from.right, from.top + 14];
  let path = `M${x} ${y}`;
  for (let column = from.column + 1; column < to.column; column++) {
    const between = columns[column] ?? [];
    if (between.length === 0) continue;
    const left = Math.min(...between.map((box) => box.left)) - 4;
    const right = Math.max(...between.map((box) => box.right)) + 4;
    const wanted = y + ((y2 - y) * (left - x)) / (to.left - x);
    const gap = gapNear(between, wanted) + ((lane % 5) - 2) * 2;
    path += `${curve(x, y, left, gap)}L${right} ${gap}`;
    [x, y] = [right, gap];
  }
  return `${path}${curve(x, y, to.left, y2)}`;
}

function curve(x1: number, y1: number, x2: number, y2: number): string {
  const middle = (x1 + x2) / 2;
  return `C${middle} ${y1} ${middle} ${y2} ${x2} ${y2}`;
}

/** The middle of the gap between two boxes of a column, above the first or below the last that is nearest to a height. */
function gapNear(boxes: readonly Box[], wanted: number): number {
  const sorted = boxes.toSorted((a, b) => a.top - b.top);
  const gaps = [
    sorted[0]!.top - 9,
    ...sorted.slice(1).map((box, i) => (sorted[i]!.bottom + box.top) / 2),
    sorted.at(-1)!.bottom + 9,
  ];
  return gaps.reduce((best, each) => (Math.abs(each - wanted) < Math.abs(best - wanted) ? each : best));
}

/** The service under the pointer, or with the focus. */
let chosen: string | undefined;

/** The lines of the service under the pointer, or with the focus, stand out. */
export function followNode(): void {
  const choose = (event: Event) => {
    const node = (event.target as Element | null)?.closest?.<HTMLElement>('.node');
    chosen = node?.dataset['key'];
    markChosen();
  };
  document.addEventListener('pointerover', choose);
  document.addEventListener('focusin', choose);
}

function markChosen(): void {
  const svg = document.querySelector('svg.edges');
  svg?.classList.toggle('chosen', chosen !== undefined);
  for (const path of svg?.querySelectorAll<SVGPathElement>('path[data-from]') ?? [])
    path.classList.toggle('near', path.dataset['from'] === chosen || path.dataset['to'] === chosen);
}
