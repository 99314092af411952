/** Histories of chaos runs out of chance, as a mesh without a fault in it would leave them, for the checker and the report. */
import type {
  ArmName,
  ArmRun,
  CallRecord,
  ChaosHistory,
  ExecutionRecord,
  MarkRecord,
} from '../../../sidecar/cli/chaos/history/record.js';
import type { Random } from '../../../sidecar/runtime/random.js';

const REPLICAS = ['digits-1', 'digits-2', 'digits-3'] as const;
const STAND_IN = 'digits-lite';

/** What a made run is like; times in ms. */
export interface MadeRun {
  readonly drill: string;
  readonly arm: ArmName;
  readonly random: Random;
  readonly seconds: number;
  readonly callsPerSecond: number;
  /** A fault of `digits-2` begins then. */
  readonly faultAtMs: number;
  /** For how long after that calls to it fail with UNAVAILABLE. */
  readonly failForMs: number;
  /** For how long after that every tenth call gets a degraded answer. */
  readonly degradeForMs: number;
  /** The endpoint is ejected so long after the fault, and restored 2 s later; undefined: never. */
  readonly ejectAfterMs: number | undefined;
}

const DEFAULTS: Omit<MadeRun, 'random'> = {
  drill: 'kill',
  arm: 'outrider',
  seconds: 10,
  callsPerSecond: 50,
  faultAtMs: 3_000,
  failForMs: 0,
  degradeForMs: 400,
  ejectAfterMs: 300,
};

/**
 * One run whose history keeps every invariant: calls of three models with and without deadlines, of which idempotent ones are sometimes
 * executed twice, streams, degraded answers that say so, an ejection with its probes.
 */
export function madeRun(settings: Pick<MadeRun, 'random'> & Partial<MadeRun>): ArmRun {
  const made: MadeRun = { ...DEFAULTS, ...settings };
  const calls: CallRecord[] = [];
  const executions: ExecutionRecord[] = [];
  const count = made.seconds * made.callsPerSecond;
  for (let i = 0; i < count; i += 1) {
    const call = madeCall(made, i);
    calls.push(call);
    executions.push(...madeExecutions(made, call));
  }
  // A golden probe of a sidecar: no client made this call.
  executions.push({ callId: 'probe-1', replica: REPLICAS[0], startMs: 10, endMs: 12 });
  return {
    drill: made.drill,
    arm: made.arm,
    seconds: made.seconds,
    calls,
    executions,
    marks: madeMarks(made),
    cpuMs: count * 0.05,
    clientLagMs: Array.from({ length: made.seconds * 10 + 1 }, () => made.random() * 3),
    attempts: Math.round(count * 1.01),
    standIns: [STAND_IN],
    replicas: [...REPLICAS, STAND_IN],
  };
}

function madeCall({ drill, arm, random, callsPerSecond, ...made }: MadeRun, i: number): CallRecord {
  const startMs = (i * 1_000) / callsPerSecond;
  const endMs = startMs + 3 + random() * 5;
  const sinceFault = startMs - made.faultAtMs;
  const isFailed = sinceFault >= 0 && sinceFault < made.failForMs && i % 3 === 0;
  const isDegraded = !isFailed && sinceFault >= 0 && sinceFault < made.degradeForMs && i % 10 === 1;
  const id = `${drill}-${arm}-${i}`;
  const usual = sinceFault < 0 ? REPLICAS : [REPLICAS[0], REPLICAS[2]];
  const model = i % 20 === 7 ? 'stream' : i % 20 === 13 ? 'long' : 'digits';
  return {
    id,
    drill,
    arm,
    client: `client-${i % 4}`,
    startMs,
    endMs,
    deadlineMs: i % 5 === 0 ? undefined : startMs + 500,
    model,
    idempotent: i % 4 !== 0,
    status: isFailed ? 14 : 0,
    answer: isFailed ? 'none' : isDegraded && random() < 0.3 ? 'wrong' : 'right',
    degraded: isDegraded,
    answers: 1,
    ...(isFailed
      ? { reason: 'connection-lost' }
      : { answeredId: id, endpoint: isDegraded ? STAND_IN : usual[Math.floor(random() * usual.length)]! }),
    ...(model === 'stream' ? { messages: 20 } : {}),
  };
}

function madeExecutions({ random }: MadeRun, call: CallRecord): ExecutionRecord[] {
  const { id: callId, endpoint, startMs, endMs } = call;
  if (endpoint === undefined) return [];
  const last = { callId, replica: endpoint, startMs: startMs + 1, endMs: endMs - 0.5 };
  const isRetried = call.idempotent && endpoint !== STAND_IN && random() < 0.05;
  return isRetried ? [{ callId, replica: REPLICAS[0], startMs: startMs + 0.5 }, last] : [last];
}

function madeMarks({ faultAtMs, ejectAfterMs }: MadeRun): MarkRecord[] {
  const replica = REPLICAS[1];
  const marks: MarkRecord[] = [
    { atMs: faultAtMs, kind: 'fault-began', replica, text: 'SIGKILL to the model of digits-2' },
    { atMs: faultAtMs + 5, kind: 'died', replica, text: 'the model process ended' },
    { atMs: faultAtMs + 900, kind: 'restarted', replica, text: 'the model process was started again' },
    { atMs: faultAtMs + 1_000, kind: 'fault-ended', replica, text: 'the model answers again' },
  ];
  if (ejectAfterMs === undefined) return marks;
  const atMs = faultAtMs + ejectAfterMs;
  return [
    ...marks,
    { atMs, kind: 'ejected', replica, text: 'consecutive failures' },
    { atMs: atMs + 2_000, kind: 'restored', replica, text: 'a probe succeeded' },
  ];
}

/** A whole history of these runs, with texts for each drill and arm in it. */
export function madeHistory(runs: readonly ArmRun[]): ChaosHistory {
  const drills = [...new Set(runs.map(({ drill }) => drill))];
  return {
    format: 1,
    about: {
      command: 'outrider chaos --report out',
      startedAt: '2026-01-02T03:04:05.000Z',
      seconds: 61.5,
      cores: 2,
      processor: 'made <processor>',
      system: 'Linux 6.1',
      versions: { outrider: '0.1.0', node: '22.0.0' },
      arms: { outrider: 'As it comes.' },
    },
    drills: drills.map((name) => ({ name, title: `Drill ${name}`, does: `Does ${name} to one of three.` })),
    runs,
    skipped: [],
  };
}
