import { readdirSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { attempt } from '../attempt.js';

/** A gauge or counter in the shape of `telemetry/metric.ts`, which `runtime/` may not import. */
export interface ProcessStat {
  readonly kind: 'counter' | 'gauge';
  readonly name: string;
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/**
 * Metrics of CPU, memory, descriptors and event loop, read at scrape time; takes one turn of the
 * event loop. The loop is described by its active and idle time and by the delay of one turn during
 * the scrape: a continuous delay histogram would wake an idle sidecar a hundred times a second.
 */
export async function processStats(): Promise<ProcessStat[]> {
  const lagMs = await turnDelayMs();
  const cpu = process.cpuUsage();
  const memory = memoryUsage();
  const loop = performance.eventLoopUtilization();
  return [
    counter('process_cpu_seconds_total', 'User and system CPU time.', (cpu.user + cpu.system) / 1e6),
    gauge('process_resident_memory_bytes', 'Resident memory.', memory.rss),
    gauge('process_heap_bytes', 'JavaScript heap in use.', memory.heapUsed),
    gauge('process_external_memory_bytes', 'Memory of buffers outside the JavaScript heap.', memory.external),
    gauge(
      'process_start_time_seconds',
      'Start of the process, seconds since 1970.',
      performance.timeOrigin / 1000,
    ),
    counter(
      'process_event_loop_active_seconds_total',
      'Time the event loop spent working.',
      loop.active / 1000,
    ),
    counter('process_event_loop_idle_seconds_total', 'Time the event loop spent waiting.', loop.idle / 1000),
    gauge(
      'process_event_loop_lag_seconds',
      'How late one turn of the event loop came during this scrape.',
      lagMs / 1000,
    ),
    ...openDescriptors(),
    activeResources(),
  ];
}

let memoryKnown = { rss: 0, heapUsed: 0, external: 0 };

/** The last reading: without a free descriptor there is no new one. */
function memoryUsage(): typeof memoryKnown {
  memoryKnown = attempt<typeof memoryKnown>(() => process.memoryUsage(), memoryKnown);
  return memoryKnown;
}

function turnDelayMs(): Promise<number> {
  const from = performance.now();
  return new Promise((resolve) => setImmediate(() => resolve(performance.now() - from)));
}

/** Linux only; other systems have no cheap way to count. */
function openDescriptors(): ProcessStat[] {
  const open = attempt(() => readdirSync('/proc/self/fd').length - 1, -1); // the listing itself holds one
  return open < 0 ? [] : [gauge('process_open_fds', 'Open file descriptors.', open)];
}

/** As `nodejs_active_resources` of prom-client: what keeps the process from ending, timers among it. */
function activeResources(): ProcessStat {
  const counts = new Map<string, number>();
  for (const type of process.getActiveResourcesInfo()) counts.set(type, (counts.get(type) ?? 0) + 1);
  return {
    kind: 'gauge',
    name: 'process_active_resources',
    help: 'Timers, sockets and other things that the event loop waits for, by type.',
    samples: [...counts].map(([type, value]) => ({ labels: { type }, value })),
  };
}

function gauge(name: string, help: string, value: number): ProcessStat {
  return { kind: 'gauge', name, help, samples: [{ labels: {}, value }] };
}

function counter(name: string, help: string, value: number): ProcessStat {
  return { kind: 'counter', name, help, samples: [{ labels: {}, value }] };
}
