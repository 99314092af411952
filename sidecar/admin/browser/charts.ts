import uPlot from 'uplot';
import type { ChartMark, Group, GroupSeries, PageSeries } from '../look/series.js';

/** The height of a chart with its axis of time, px. */
const HEIGHT = 96;
const FONT = '11px system-ui, sans-serif';

/** A line of a chart: which values, and how it is drawn. */
interface Line {
  readonly of: keyof GroupSeries;
  /** Names of custom properties of the style. */
  readonly colour: string;
  readonly fill?: string;
  readonly dash?: number[];
  readonly label: string;
}

const CHARTS: Readonly<
  Record<string, { readonly lines: readonly Line[]; readonly isTime?: true; readonly least: number }>
> = {
  calls: { lines: [{ of: 'calls', colour: '--calls', fill: '--calls-fill', label: '' }], least: 1 },
  failed: { lines: [{ of: 'failed', colour: '--bad', fill: '--bad-fill', label: '' }], least: 1 },
  times: {
    lines: [
      { of: 'p50', colour: '--calls', label: 'p50 ' },
      { of: 'p99', colour: '--late', dash: [5, 3], label: 'p99 ' },
    ],
    isTime: true,
    least: 1,
  },
  queue: {
    lines: [
      { of: 'running', colour: '--calls', fill: '--calls-fill', label: 'run ' },
      { of: 'waiting', colour: '--late', dash: [5, 3], label: 'wait ' },
    ],
    least: 2,
  },
};

/** The signs of what happened, beside their colours. */
const SIGNS: Readonly<Record<string, string>> = {
  ejection: '▼',
  restart: '●',
  drain: '◆',
  version: '★',
  gone: '✕',
};

interface Chart {
  readonly kind: string;
  readonly group: string;
  readonly figure: HTMLElement;
  plot: uPlot;
  marks: readonly ChartMark[];
}

/** All values that the page has, and the charts that draw them. */
export class Charts {
  private slotMs = 5_000;
  private slots = 360;
  private last = -1;
  private readonly groups = new Map<
    string,
    { values: Record<string, (number | null)[]>; marks: readonly ChartMark[] }
  >();
  private readonly charts = new Map<HTMLElement, Chart>();
  private readonly sizes = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      const chart = this.charts.get(target as HTMLElement);
      if (chart !== undefined && contentRect.width > 0 && Math.abs(chart.plot.width - contentRect.width) > 1)
        chart.plot.setSize({ width: contentRect.width, height: HEIGHT });
    }
  });

  constructor() {
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw());
  }

  /** The newest slot; what follows it is asked for. */
  get newest(): number {
    return this.last;
  }

  /** Takes new values. @returns false where values between are missing, so that all have to be asked for. */
  take({ slotMs, slots, first, groups }: PageSeries): boolean {
    const width = Math.max(0, ...groups.map(({ series }) => series.calls.length));
    const last = first + width - 1;
    const isWhole = width >= slots;
    if (!isWhole && slots !== this.slots) return false;
    [this.slotMs, this.slots] = [slotMs, slots];
    if (!isWhole && groups.some(({ name }) => !this.groups.has(name) || first > this.last + 1)) return false;
    for (const group of groups) this.takeGroup(group, first, last);
    const names = new Set(groups.map(({ name }) => name));
    for (const name of this.groups.keys()) if (!names.has(name)) this.groups.delete(name);
    this.last = Math.max(this.last, last);
    return true;
  }

  private takeGroup({ name, series, marks }: Group, first: number, last: number): void {
    const known = this.groups.get(name) ?? { values: {}, marks };
    for (const [of, fresh] of Object.entries(series) as [string, readonly (number | null)[]][]) {
      const before = known.values[of] ?? [];
      // Lists end at the newest slot; what is older than the first fresh one is kept.
      const kept = before.slice(0, Math.max(0, before.length - Math.max(0, this.last - first + 1)));
      const all = [...kept, ...fresh].slice(-this.slots);
      known.values[of] =
        all.length < this.slots ? [...Array(this.slots - all.length).fill(null), ...all] : all;
    }
    known.marks = marks.filter(({ atMs }) => atMs > (last - this.slots) * this.slotMs);
    this.groups.set(name, known);
  }

  /** Draws what is in the document now: new figures get a chart, and those of figures that are gone end. */
  draw(): void {
    for (const [figure, { plot }] of this.charts)
      if (!figure.isConnected) {
        this.sizes.unobserve(figure);
        plot.destroy();
        this.charts.delete(figure);
      }
    for (const figure of document.querySelectorAll<HTMLElement>('.plot')) {
      const kind = figure.closest<HTMLElement>('figure')?.dataset['key'] ?? '';
      const group = figure.closest<HTMLElement>('.charts')?.dataset['group'] ?? '';
      if (figure.clientWidth === 0 || !this.groups.has(group) || CHARTS[kind] === undefined) continue;
      const chart = this.charts.get(figure);
      if (chart === undefined) this.add(figure, kind, group);
      else {
        chart.marks = this.groups.get(group)!.marks;
        chart.plot.setData(this.dataOf(kind, group));
      }
    }
  }

  /** Moves the time line of all charts by so many slots, from where it is in one of them; at first it is at the end. */
  moveFrom(element: HTMLElement, step: number): void {
    const at = this.charts.get(element)?.plot.cursor.idx ?? this.slots - 1;
    const to = Math.min(this.slots - 1, Math.max(0, at + step));
    for (const { plot } of this.charts.values())
      plot.setCursor({ left: plot.valToPos(plot.data[0][to]!, 'x'), top: 10 });
  }

  /** Colours are read when a chart is made. */
  private redraw(): void {
    for (const [figure, { plot }] of this.charts) {
      plot.destroy();
      figure.replaceChildren();
    }
    this.charts.clear();
    this.draw();
  }

  private add(figure: HTMLElement, kind: string, group: string): void {
    const chart: Chart = {
      ...{ kind, group, figure, marks: this.groups.get(group)!.marks },
      plot: undefined as unknown as uPlot,
    };
    chart.plot = new uPlot(this.options(chart), this.dataOf(kind, group), figure);
    const out = document.createElement('span');
    [out.className, out.hidden] = ['readout', true];
    figure.append(out);
    this.charts.set(figure, chart);
    this.sizes.observe(figure);
  }

  private dataOf(kind: string, group: string): uPlot.AlignedData {
    const { values } = this.groups.get(group)!;
    const first = this.last - this.slots + 1;
    const times = Array.from({ length: this.slots }, (_, i) => ((first + i + 1) * this.slotMs) / 1_000);
    const lines = CHARTS[kind]!.lines.map(({ of }) => values[of] ?? (Array(this.slots).fill(null) as null[]));
    return [times, ...lines];
  }

  private options(chart: Chart): uPlot.Options {
    const { lines, isTime, least } = CHARTS[chart.kind]!;
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(name).trim();
    const [ink, grid] = [colour('--soft'), colour('--grid')];
    const axis = { stroke: ink, font: FONT, ticks: { show: false }, grid: { stroke: grid, width: 1 } };
    return {
      width: chart.figure.clientWidth,
      height: HEIGHT,
      padding: [10, 14, 0, 0],
      legend: { show: false },
      cursor: { sync: { key: 'time' }, y: false, drag: { x: false, y: false }, points: { size: 5 } },
      scales: {
        y: { range: (_plot, _min, max) => [0, niceTop(Math.max(least, max || 0))] },
      },
      axes: [
        {
          ...axis,
          size: 18,
          gap: 3,
          space: 60,
          grid: { show: false },
          values: (_plot, splits) => splits.map(clock),
        },
        {
          ...axis,
          ...{ size: 42, gap: 4, space: 24 },
          values: (_plot, splits) => splits.map((each) => (isTime ? inTime(each) : short(each))),
        },
      ],
      series: [
        {},
        ...lines.map(({ colour: name, fill, dash, label }) => ({
          label,
          stroke: colour(name),
          width: 1.5,
          points: { show: false },
          ...(fill === undefined ? {} : { fill: colour(fill) }),
          ...(dash === undefined ? {} : { dash }),
        })),
      ],
      hooks: {
        draw: [(plot) => drawMarks(plot, chart.marks, colour)],
        setCursor: [(plot) => readOut(plot, chart)],
      },
    };
  }
}

/** A vertical line for each thing that happened, with its sign on top. */
function drawMarks(plot: uPlot, marks: readonly ChartMark[], colour: (name: string) => string): void {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.font = `${9 * devicePixelRatio}px system-ui, sans-serif`;
  ctx.textAlign = 'center';
  for (const { atMs, kind } of marks) {
    const x = Math.round(plot.valToPos(atMs / 1_000, 'x', true));
    if (x < bbox.left || x > bbox.left + bbox.width) continue;
    ctx.strokeStyle = colour(`--mark-${kind}`) || colour('--soft');
    ctx.fillStyle = ctx.strokeStyle;
    ctx.setLineDash([3 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.fillText(SIGNS[kind] ?? '●', x, bbox.top - 1 * devicePixelRatio);
  }
  ctx.restore();
}

/** The values under the pointer, with their time, in place of those of now. */
function readOut(plot: uPlot, { figure, kind, marks }: Chart): void {
  const out = figure.querySelector<HTMLElement>('.readout');
  if (out === null) return;
  const at = plot.cursor.idx;
  const isShown = at != null && plot.cursor.left != null && plot.cursor.left >= 0;
  out.hidden = !isShown;
  if (!isShown) return;
  const { lines, isTime } = CHARTS[kind]!;
  const seconds = plot.data[0][at]!;
  const values = lines.map(({ label }, i) => {
    const value = plot.data[i + 1]![at];
    return `${label}${value == null ? '–' : isTime ? inTime(value) : short(value)}`;
  });
  const near = marks.find((mark) => Math.abs(mark.atMs / 1_000 - seconds) < 6);
  out.textContent = `${clock(seconds, true)}  ${values.join('  ')}${near === undefined ? '' : `  ${SIGNS[near.kind] ?? ''} ${near.text}`}`;
}

/** Arrow keys move the time line of the chart that has the focus, and with it that of all. */
export function moveByKeys(charts: Pick<Charts, 'moveFrom'>): void {
  document.addEventListener('keydown', (event) => {
    const step = event.key === 'ArrowLeft' ? -1 : event.key === 'ArrowRight' ? 1 : 0;
    const element = document.activeElement?.querySelector<HTMLElement>(':scope > .plot');
    if (step === 0 || element == null) return;
    event.preventDefault();
    charts.moveFrom(element, step);
  });
}

function clock(seconds: number, isExact?: true | number): string {
  const time = new Date(seconds * 1_000);
  const two = (value: number) => String(value).padStart(2, '0');
  const minutes = `${two(time.getHours())}:${two(time.getMinutes())}`;
  return isExact === true ? `${minutes}:${two(time.getSeconds())}` : minutes;
}

/** A round number at or above a value, of which half is round as well. */
function niceTop(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 6, 8, 10].find((each) => each * power >= value) ?? 10) * power;
}

function short(value: number): string {
  if (value >= 10_000) return `${Number((value / 1_000).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

function inTime(ms: number): string {
  return ms >= 1_000 ? `${short(ms / 1_000)} s` : ms === 0 ? '0' : `${short(ms)} ms`;
}
