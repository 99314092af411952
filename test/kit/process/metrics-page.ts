/** `mesh-config/METRICS.md` as a reader has it, and what a live scrape says of the same. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from './package-root.js';

export interface DocumentedMetric {
  readonly kind: string;
  readonly labels: readonly string[];
  readonly help: string;
}

/** By the name of the family. */
export function metricsPage(): Map<string, DocumentedMetric> {
  const found = new Map<string, DocumentedMetric>();
  for (const line of readFileSync(join(packageRoot, 'mesh-config', 'METRICS.md'), 'utf8').split('\n')) {
    const [, name, kind, , labels, help] = line.split(/ *(?<!\\)\| */);
    // Labels have a table of two columns.
    if (help === undefined || !/^`(?:outrider|process|nv|gen_ai)_\w+`$/.test(name ?? '')) continue;
    const words = [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!);
    found.set(name!.slice(1, -1), { kind: kind!, labels: words, help });
  }
  return found;
}

/** Sum of a metric's samples whose labels include `labels`. */
export function sumOfSamples(
  page: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
  let sum = 0;
  for (const line of page.split('\n')) {
    const match = /^(\w+)(?:\{(.*)\})? (\S+)/.exec(line);
    if (match?.[1] === name && wanted.every((label) => (match[2] ?? '').includes(label)))
      sum += Number(match[3]);
  }
  return sum;
}

export interface ScrapedMetric {
  kind: string;
  help: string;
  readonly labels: Set<string>;
}

/** The families of scrapes in the Prometheus text format, taken together. */
export function scraped(texts: Iterable<string>): Map<string, ScrapedMetric> {
  const found = new Map<string, ScrapedMetric>();
  for (const text of texts) {
    let family: ScrapedMetric | undefined;
    for (const line of text.split('\n')) {
      const [, said, name, rest] = /^# (HELP|TYPE) (\S+) (.*)$/.exec(line) ?? [];
      if (name !== undefined) {
        family = found.get(name) ?? { kind: '', help: '', labels: new Set() };
        found.set(name, family);
        if (said === 'HELP') family.help = rest!;
        else family.kind = rest!;
      } else {
        for (const [, label] of line.matchAll(/[{,](\w+)="/g)) if (label !== 'le') family?.labels.add(label!);
      }
    }
  }
  return found;
}
