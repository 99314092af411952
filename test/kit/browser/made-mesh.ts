/** Meshes of any size for the pages, without processes: what their sidecars would answer, with half an hour of history. */
import type { HistoryReport } from '../../../sidecar/admin/history/history-report.js';
import type { StatusReport } from '../../../sidecar/admin/status.js';
import type { Answered } from '../../../sidecar/cli/page/mesh-view.js';
import { SLOT_MS, SLOTS } from '../../../sidecar/core/history/half-hour.js';
import { LATENCY_BOUNDS_MS } from '../../../sidecar/telemetry/call-stats.js';
import { anEndpoint } from '../stack/admin-view.js';
import { seeded } from '../time/seeded-random.js';

/** What goes wrong in a made mesh. */
export type Trouble = 'nothing' | 'one ejected' | 'one gone';

export interface MadeMesh {
  readonly services: number;
  readonly replicas: number;
  readonly trouble: Trouble;
  /** Put around each name: hostile text, or a long one. */
  readonly decorate?: (name: string) => string;
}

const NAMES =
  'gateway detector reader ranker speech tokens digits faces prices search translate summary'.split(' ');

/** One answer of each sidecar. The first service is called by nobody; each other one by one to three services before it. */
export function madeMesh({ services, replicas, trouble, decorate = (name) => name }: MadeMesh): Answered[] {
  const random = seeded(services * 7 + replicas);
  const plain = Array.from({ length: services }, (_, i) => {
    const name = NAMES[i % NAMES.length]!;
    return i < NAMES.length ? name : `${name}-${Math.floor(i / NAMES.length) + 1}`;
  });
  const names = plain.map(decorate);
  // A few layers, as meshes have them: the gateway, what it calls, and what those call.
  const layerOf = (i: number) =>
    i === 0 ? 0 : i <= Math.ceil(services / 2) ? 1 : i <= Math.ceil((services * 5) / 6) ? 2 : 3;
  const upstreamsOf = (i: number): number[] =>
    names.flatMap((_, to) => {
      if (layerOf(to) <= layerOf(i)) return [];
      if (layerOf(to) === layerOf(i) + 1)
        return i === 0 || (to + i) % Math.max(2, Math.ceil(services / 6)) === 0 ? [to] : [];
      return (to * 3 + i) % 17 === 0 ? [to] : [];
    });
  const broken = names[Math.min(1, services - 1)]!;
  return names.flatMap((service, i) =>
    Array.from({ length: i === 0 ? 1 : replicas }, (_, r): Answered => {
      const instance = `${service}-${r + 1}`;
      if (trouble === 'one gone' && service === broken && r === 0)
        return { name: instance, lastService: service, problem: 'connect ECONNREFUSED 127.0.0.1:9999' };
      const endpoints = upstreamsOf(i).flatMap((to) =>
        Array.from({ length: replicas }, (_, n) => {
          const isBroken = trouble === 'one ejected' && names[to] === broken && n === 0;
          const endpoint = `${names[to]}-${n + 1}`;
          return isBroken
            ? anEndpoint({
                ...{ upstream: names[to]!, endpoint, state: 'ejected', ejections: 3, faults: 40 },
                ...{ why: '5 faults in a row, the last one UNAVAILABLE', untilMs: 12_000, sinceMs: 40_000 },
              })
            : anEndpoint({ upstream: names[to]!, endpoint, latencyMs: 5 + 20 * random() });
        }),
      );
      const report: StatusReport = {
        ...{ service, instance, version: '0.1.0', ready: true, notReady: [], endpoints },
        ...(i === 0
          ? {}
          : {
              model: { state: 'ready', why: '', restarts: 0, name: plain[i]!, version: '1' },
              lives: [
                { name: plain[i]!, version: '1', state: 'serving', why: '', since: '2026-01-01T00:00:00Z' },
              ],
              queue: {
                running: Math.floor(5 * random()),
                waiting: Math.floor(3 * random()),
                waitingBytes: 0,
                concurrency: 8,
              },
            }),
      };
      const called = upstreamsOf(i).map((to) => names[to]!);
      return {
        name: instance,
        report,
        drills: [],
        history: pastOf(report, called, { broken, trouble, random }),
      };
    }),
  );
}

interface PastDeps {
  readonly broken: string;
  readonly trouble: Trouble;
  readonly random: () => number;
}

function pastOf(
  report: StatusReport,
  called: readonly string[],
  { broken, trouble, random }: PastDeps,
): HistoryReport {
  const slots = Array.from({ length: SLOTS }, (_, i) => i);
  // Calls fail for the last five minutes.
  const isBad = (service: string, i: number) => trouble !== 'nothing' && service === broken && i > SLOTS - 60;
  return {
    ...{ began: 1, first: 0, slotMs: SLOT_MS, ageMs: 900, boundsMs: LATENCY_BOUNDS_MS },
    spansMs: slots.map(() => SLOT_MS),
    calls: called.map((service) => {
      const rate = 20 + 300 * random();
      const calls = slots.map((i) => Math.round(rate * (1 + 0.3 * Math.sin(i / 25)) + 20 * random()));
      return {
        ...{ direction: 'outbound' as const, service, calls },
        failed: calls.map((count, i) => (isBad(service, i) ? Math.round(count * 0.12) : 0)),
        times: calls.map((count, i) => [
          0,
          0,
          0,
          count * 0.5,
          count * 0.4,
          count * (isBad(service, i) ? 0.02 : 0.09),
          count * 0.01,
        ]),
      };
    }),
    ...(report.queue === undefined
      ? {}
      : {
          queue: {
            running: slots.map(() => Math.floor(6 * random())),
            waiting: slots.map((i) => (i % 40 < 5 ? Math.floor(9 * random()) : 0)),
            concurrency: slots.map(() => 8),
          },
        }),
    self: `${'r'.repeat(SLOTS - 100)}xxx${'r'.repeat(97)}`,
    endpoints: report.endpoints.map(({ upstream, endpoint, state }) => ({
      ...{ upstream, endpoint },
      states:
        state === 'ejected'
          ? `${'r'.repeat(SLOTS - 90)}${'s'.repeat(30)}${'e'.repeat(60)}`
          : `${'-'.repeat(40)}${'r'.repeat(SLOTS - 40)}`,
    })),
    events: report.endpoints.flatMap(({ upstream, endpoint, state }) =>
      state === 'ejected'
        ? [
            {
              slot: SLOTS - 60,
              kind: 'ejection' as const,
              service: upstream,
              text: `${report.instance} ejected ${endpoint}: 5 faults in a row`,
            },
          ]
        : [],
    ),
  };
}
