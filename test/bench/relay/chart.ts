/** The chart that the README shows: one panel per mode, one bar per proxy, plain SVG that reads on light and dark. */

import { UNTRACED } from '../subjects/traced.js';
import type { Report } from './main.js';
import { compared, type ModeResult, type SubjectResult } from './results.js';

const WIDTH = 860;
const MARGIN = 24;
const GAP = 40;
const PANEL = (WIDTH - 2 * MARGIN - GAP) / 2;
const LABEL = 66;
const VALUE = 64;
const BAR = 13;
const PITCH = 19;
const TITLE = 20;
const TOP = 74;
const PANEL_GAP = 22;

const STYLE = `
  text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #24292f }
  .head { font-size: 17px; font-weight: 600 }
  .title { font-weight: 600 }
  .small { font-size: 11px; fill: #57606a }
  .ours { fill: #0a7d55 } .ours-text { font-weight: 600; fill: #0a7d55 }
  .peer { fill: #a8b1bb } .back { fill: #ffffff }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 } .ours { fill: #3fb98a } .ours-text { fill: #3fb98a }
    .peer { fill: #59636e } .back { fill: #0d1117 }
  }`;

/** The report as SVG. */
export function renderChart(report: Report): string {
  const panels = report.modes.filter((mode) => mode.bestPeer !== UNTRACED && shown(mode).length > 0);
  const panelHeight = TITLE + PITCH * Math.max(0, ...panels.map((p) => shown(p).length));
  const rows = Math.ceil(panels.length / 2);
  const height = TOP + rows * (panelHeight + PANEL_GAP) + 30;
  const { machine, versions, runs } = report;
  const subjects = Object.entries(versions).filter(([name]) => name !== 'outrider' && drawn(report, name));
  const foot = `${machine.cpu}, node ${machine.node.slice(1)}; ${subjects.map((w) => w.join(' ')).join(', ')}; medians of ${runs} interleaved runs, one core for the proxy`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="CPU time per request of Outrider and its peers">`,
    `<style>${STYLE}\n</style>`,
    `<rect class="back" width="${WIDTH}" height="${height}" rx="8"/>`,
    text(MARGIN, 34, 'head', 'What one request costs the proxy'),
    text(MARGIN, 54, 'small', 'CPU microseconds per request unless said otherwise; shorter is better'),
    ...panels.map((mode, i) => {
      const x = MARGIN + (i % 2) * (PANEL + GAP);
      return renderPanel(mode, x, TOP + Math.floor(i / 2) * (panelHeight + PANEL_GAP));
    }),
    text(MARGIN, height - 16, 'small', foot),
    '</svg>',
    '',
  ].join('\n');
}

/** Ours and the peers; the plain Node pass-throughs would make every other bar a line. */
function shown(mode: ModeResult): SubjectResult[] {
  return mode.subjects.filter((s) => (s.isPeer || s.name === 'outrider') && s.problems.length === 0);
}

function drawn(report: Report, name: string): boolean {
  return report.modes.some((mode) => shown(mode).some((s) => s.name === name));
}

function renderPanel(mode: ModeResult, x: number, y: number): string {
  const bars = shown(mode);
  const value = (s: SubjectResult): number => compared(mode, s).median;
  const most = Math.max(...bars.map(value));
  const room = PANEL - LABEL - VALUE;
  const lines = bars.map((s, i) => {
    const top = y + TITLE + i * PITCH;
    const ours = s.name === 'outrider';
    const length = Math.max(1, (value(s) / most) * room);
    return [
      text(x, top + 11, ours ? 'ours-text' : '', s.name),
      `<rect class="${ours ? 'ours' : 'peer'}" x="${x + LABEL}" y="${top}" width="${length.toFixed(1)}" height="${BAR}" rx="2"/>`,
      text(x + LABEL + length + 6, top + 11, ours ? 'ours-text' : '', number(value(s), mode)),
    ].join('');
  });
  return [text(x, y + 8, 'title', mode.title), ...lines].join('\n');
}

const UNITS = { cpu: '', 'paced-p99': ' µs', 'added-p99': ' µs', 'idle-memory': ' MB', ready: ' ms' };

function number(value: number, mode: ModeResult): string {
  const text = value < 20 ? value.toFixed(1) : Math.round(value).toLocaleString('en');
  return `${text}${UNITS[mode.compares]}`;
}

function text(x: number, y: number, kind: string, content: string): string {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x.toFixed(1)}" y="${y}"${kind === '' ? '' : ` class="${kind}"`}>${escaped}</text>`;
}
