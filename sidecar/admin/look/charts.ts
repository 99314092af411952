import { escapeHtml } from '../escape.js';
import { failing, short, time } from './words.js';

/** The numbers of now, over the last 30 s. */
export interface RatesNow {
  readonly perSecond: number;
  /** Absent while there are no calls. */
  readonly failedRatio?: number;
  /** ms; absent while there are no calls. */
  readonly p50?: number;
  readonly p99?: number;
}

/** Calls that run and wait, of all replicas. */
export interface QueueNow {
  readonly running: number;
  readonly waiting: number;
  readonly concurrency: number;
}

/** The charts of one group of calls, each with its numbers of now; the script draws in them. @param group as in the values. */
export function charts(group: string, now: RatesNow, queue: QueueNow | undefined): string {
  const { perSecond, failedRatio, p50, p99 } = now;
  const times =
    p50 === undefined || p99 === undefined
      ? '–'
      : `<i class="p50">p50 ${time(p50)}</i> <i class="p99">p99 ${time(p99)}</i>`;
  const failed =
    failedRatio === undefined ? '–' : `${short(perSecond * failedRatio)}/s · ${failing(failedRatio)}`;
  const all = [
    figure('calls', 'Calls', `${short(perSecond)}/s`),
    figure('failed', 'Failed', failed),
    figure('times', 'Latency', times),
  ];
  if (queue !== undefined) {
    const { running, waiting, concurrency } = queue;
    const words = `<i class="p50">${running} of ${concurrency} run</i> <i class="p99">${waiting} wait</i>`;
    all.push(figure('queue', 'Queue', words));
  }
  return `<div class="charts" data-group="${escapeHtml(group)}">${all.join('')}</div>`;
}

/** @param now escaped. */
function figure(chart: string, title: string, now: string): string {
  return `<figure tabindex="0" data-key="${chart}"><figcaption>${title}<output>${now}</output></figcaption><div class="plot" data-keep></div></figure>`;
}
