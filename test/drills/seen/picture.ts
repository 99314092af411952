/** The picture of one drill from four sides, as an HTML document for the browser. */
import { escapeHtml } from '../../../sidecar/admin/escape.js';
import type { ActiveAlert } from '../../kit/observe/prometheus.js';
import type { CollectedSpan } from '../../kit/traces/collector.js';
import type { Panel } from './board-panels.js';

export interface Seen {
  /** PNG of `outrider page`. */
  readonly page: Buffer;
  readonly panels: readonly Panel[];
  readonly alerts: readonly ActiveAlert[];
  /** One trace. */
  readonly spans: readonly CollectedSpan[];
}

const STYLE = `body { font: 14px system-ui, sans-serif; width: 1240px; margin: 14px; color: #1f2328 } h2 { font-size: 15px; margin: 12px 0 5px }
.panels { display: grid; grid-template-columns: repeat(3, 1fr); gap: 10px } .panel, pre { border: 1px solid #d0d7de; border-radius: 6px; padding: 6px 9px }
.panel b { font-size: 13px } svg { width: 100%; height: 84px; display: block } pre { font: 12px ui-monospace, monospace; margin: 0; white-space: pre-wrap }
img { width: 800px; border: 1px solid #d0d7de; border-radius: 6px } small { color: #59636e }`;
const COLOURS = ['#0969da', '#cf222e', '#1a7f37', '#9a6700', '#8250df', '#bf3989'];

export function picture({ page, panels, alerts, spans }: Seen): string {
  return `<!doctype html><meta charset="utf-8"><style>${STYLE}</style>
<h2>outrider page</h2><img src="data:image/png;base64,${page.toString('base64')}">
<h2>Panels of the dashboards, by their queries in a Prometheus</h2><div class="panels">${panels.map(panelSvg).join('')}</div>
<h2>Alerts of the rules in that Prometheus</h2><pre>${alerts.map(alertText).join('\n')}</pre>
<h2>A trace in a collector</h2><pre>${spanLines(spans).map(escapeHtml).join('\n')}</pre>`;
}

/** Lines over the time of the drill. */
function panelSvg({ board, title, unit, series }: Panel): string {
  const all = series.flatMap(({ values }) => values).filter(([, value]) => Number.isFinite(Number(value)));
  const times = all.map(([at]) => at);
  const [from, to] = [Math.min(...times), Math.max(...times)];
  const top = Math.max(1e-9, ...all.map(([, value]) => Number(value)));
  const lines = series.slice(0, COLOURS.length).map(({ values }, i) => {
    const points = values
      .filter(([, value]) => Number.isFinite(Number(value)))
      .map(([at, value]) => `${(300 * (at - from)) / (to - from || 1)},${76 - (70 * Number(value)) / top}`);
    return `<polyline fill="none" stroke="${COLOURS[i]}" stroke-width="1.5" points="${points.join(' ')}"/>`;
  });
  const names = series.slice(0, 4).map(({ metric }, i) => {
    const label = Object.values(metric).join(' ') || 'all';
    return `<span style="color:${COLOURS[i]}">${escapeHtml(label)}</span>`;
  });
  return `<div class="panel"><b>${escapeHtml(title)}</b> <small>${board}; up to ${top.toPrecision(3)} ${unit}</small>
<svg viewBox="0 0 300 80" preserveAspectRatio="none">${lines.join('')}</svg><small>${names.join(' · ')}</small></div>`;
}

function alertText({ labels, annotations, state }: ActiveAlert): string {
  return escapeHtml(`${state}  ${labels['alertname']} (${labels['severity']})  ${annotations['summary']}`);
}

/** Each span below its parent, with when it began, how long it took, and what it says. */
function spanLines(spans: readonly CollectedSpan[]): string[] {
  const startMs = Math.min(...spans.map((span) => span.startMs));
  const below = (parent: CollectedSpan | undefined, depth: number): string[] =>
    spans
      .filter((span) =>
        parent === undefined
          ? !spans.some(({ spanId }) => spanId === span.parentId)
          : span.parentId === parent.spanId,
      )
      .flatMap((span) => {
        const said = Object.entries(span.attributes)
          .filter(([key]) => /reason|endpoint|status_code|ended/.test(key))
          .map(([key, value]) => `${key.replace(/^.*\./, '')}=${value}`);
        const name = `${'  '.repeat(depth)}${span.resource['service.name']} ${span.name}`;
        const time = `+${(span.startMs - startMs).toFixed(1)} ms, ${(span.endMs - span.startMs).toFixed(1)} ms`;
        return [`${name.padEnd(56)} ${time.padEnd(22)} ${said.join(' ')}`, ...below(span, depth + 1)];
      });
  return below(undefined, 0);
}
