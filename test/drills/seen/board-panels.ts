/** Panels of the Grafana dashboards as they are committed, asked of a Prometheus: what Grafana would draw of them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Prometheus, RangeSeries } from '../../kit/observe/prometheus.js';
import { REPOSITORY } from '../../kit/process/outrider.js';

/** Without the board of engines: the drill has none. */
export const BOARDS = ['mesh', 'service', 'model', 'sidecar'] as const;

/** A panel with what its queries gave. */
export interface Panel {
  readonly board: string;
  readonly title: string;
  readonly unit: string;
  readonly series: readonly RangeSeries[];
}

interface PanelJson {
  readonly type: string;
  readonly title: string;
  readonly fieldConfig?: { readonly defaults?: { readonly unit?: string } };
  readonly targets?: readonly { readonly expr: string }[];
}

interface BoardJson {
  readonly panels: readonly PanelJson[];
  readonly templating: { readonly list: readonly { readonly name: string; readonly allValue?: string }[] };
}

/** Every panel of a dashboard over the last seconds, with all services and instances chosen. Throws for a query that Prometheus refuses. */
export async function panelsOf(board: string, prometheus: Prometheus, seconds: number): Promise<Panel[]> {
  const file = join(REPOSITORY, `mesh-config/observe/grafana/outrider-${board}.json`);
  const { panels, templating } = JSON.parse(readFileSync(file, 'utf8')) as BoardJson;
  // As Grafana puts the choice "All" and its own variables in, for a scrape each second.
  const values = new Map([
    ...templating.list.map(({ name, allValue = '.*' }) => [`$${name}`, allValue] as const),
    ['$__rate_interval', '15s'],
    ['$__interval', '5s'],
    ['$__range', `${seconds}s`],
  ]);
  const replaced = (expr: string) => expr.replaceAll(/\$\w+/g, (name) => values.get(name) ?? name);
  const found: Panel[] = [];
  for (const { type, title, targets = [], fieldConfig } of panels) {
    if (type === 'row') continue;
    const series = await Promise.all(targets.map(({ expr }) => prometheus.range(replaced(expr), seconds)));
    found.push({ board, title, unit: fieldConfig?.defaults?.unit ?? '', series: series.flat() });
  }
  return found;
}
