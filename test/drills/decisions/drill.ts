/** What the rows of the table of decisions have in common: a mesh under load that is broken and judged. */

import { setTimeout as delay } from 'node:timers/promises';
import { Client, credentials, Metadata, status } from '@grpc/grpc-js';
import { LOCAL_CHANNEL } from '../faults/call.js';
import { type Load, type LoadOptions, type SentCall, tally } from '../faults/load.js';
import { failuresOf, measure, type Row, seconds, type Trial } from '../faults/row.js';
import type { Model } from '../models/models.js';
import { ONCE } from '../models/protocol.js';
import { DecisionMesh, type MeshPlan, type Replica } from './mesh.js';

const ALONE_MS = 500;

/** Nothing is shared: every row opens the mesh that it breaks. */
export type DecisionWorld = Record<string, never>;
export type DecisionRow = Row<DecisionWorld>;

export interface Drill {
  readonly mesh: DecisionMesh;
  readonly load: Load;
  readonly trial: Trial;
}

/** Opens a mesh, and does `work` while calls go through it. */
export async function drill(
  trial: Trial,
  plan: MeshPlan,
  work: (drill: Drill) => Promise<void>,
  options: Partial<LoadOptions> = {},
): Promise<void> {
  const mesh = await DecisionMesh.open(plan);
  try {
    const load = await mesh.load(options);
    await trial.under(load, () => work({ mesh, load, trial }));
  } finally {
    await mesh.close();
  }
}

/** The calls sent from `fromMs` until `forMs` after it, once that is over and they have ended. */
export async function during(load: Load, fromMs: number, forMs: number): Promise<readonly SentCall[]> {
  await delay(Math.max(0, fromMs + forMs - performance.now()));
  return load.between(fromMs, fromMs + forMs);
}

/** Judges OK ÷ sent. */
export function expectAvailable(trial: Trial, calls: readonly SentCall[], percent: number): void {
  const found = tally(calls);
  const share = (100 * found.ok) / found.sent;
  trial.figure('available', `${share.toFixed(2)} %`);
  trial.expect(
    `at least ${percent} % of the calls succeed`,
    found.sent > 0 && share >= percent,
    `${share.toFixed(2)} %, ${failuresOf(found)}`,
  );
}

/** Time until so many endpoints get no ordinary traffic; undefined when it does not happen. */
export function untilOut(
  mesh: DecisionMesh,
  fromMs: number,
  limitMs: number,
  count = 1,
): Promise<number | undefined> {
  const isOut = async () => {
    const states = (await mesh.endpoints()).map(({ state }) => state);
    return states.filter((state) => state !== 'eligible').length >= count;
  };
  return measure(isOut, limitMs, fromMs);
}

/**
 * Time until the replica, which may be frozen and keep no book, is sent no more than single calls, as the caller's sidecar
 * counts them. Undefined when it does not happen.
 */
export async function untilSpared(
  mesh: DecisionMesh,
  { endpoint }: Replica,
  fromMs: number,
  limitMs: number,
): Promise<number | undefined> {
  const seen: { readonly atMs: number; readonly count: number }[] = [];
  let spared: number | undefined;
  await measure(
    async () => {
      const atMs = performance.now();
      const count = await mesh.caller.metric('outrider_attempts_total', { endpoint });
      seen.push({ atMs, count });
      const before = seen.find((each) => atMs - each.atMs >= ALONE_MS && count - each.count <= 1);
      spared = before && before.atMs - fromMs;
      return spared !== undefined;
    },
    limitMs,
    fromMs,
  );
  return spared;
}

/**
 * Time until the model gets no more than single calls: one in half a second. Undefined when it does not happen before
 * `toMs`. A balancer that has learnt better does it as well as an ejection.
 */
export function untilLeftAlone(model: Model, fromMs: number, toMs: number): number | undefined {
  const runs = model.events('ran', fromMs, toMs).map(({ atMs }) => atMs);
  for (let atMs = fromMs; atMs + ALONE_MS <= toMs; atMs += 10) {
    if (runs.filter((run) => run >= atMs && run < atMs + ALONE_MS).length <= 1) return atMs - fromMs;
  }
  return undefined;
}

/** From `fromMs` to the end of the last of these calls that failed. */
export function untilWell(calls: readonly SentCall[], fromMs: number): number {
  const failed = calls.filter(({ failure }) => failure !== undefined);
  return Math.max(0, ...failed.map(({ sentMs, tookMs }) => sentMs + (tookMs ?? 0) - fromMs));
}

export function expectP99(trial: Trial, promise: string, calls: readonly SentCall[], limitMs: number): void {
  const { p99Ms } = tally(calls);
  trial.expect(`${promise}: at most ${limitMs.toFixed(0)} ms`, p99Ms <= limitMs, `${p99Ms.toFixed(0)} ms`);
}

/** Nobody waits beyond the deadline, whatever hangs. */
export function expectNoneHangs(trial: Trial, calls: readonly SentCall[], deadlineMs: number): void {
  const { slowestMs } = tally(calls);
  const limitMs = deadlineMs + 500;
  trial.expect(`no call takes longer than ${seconds(limitMs)}`, slowestMs <= limitMs, seconds(slowestMs));
}

export function percentOf(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}

/** Calls that must not be made twice, at a steady rate, each with an id of its own. */
export class OnceCalls {
  readonly failures: string[] = [];
  sent = 0;
  private open = 0;
  private readonly client: Client;
  private readonly timer: NodeJS.Timeout;

  constructor(target: string, perSecond: number) {
    this.client = new Client(target, credentials.createInsecure(), LOCAL_CHANNEL);
    this.timer = setInterval(() => this.call(), 1_000 / perSecond);
  }

  /** Resolves when every call has ended. */
  async stop(): Promise<void> {
    clearInterval(this.timer);
    await measure(() => this.open === 0, 10_000);
    this.client.close();
  }

  private call(): void {
    const { path, requestSerialize, responseDeserialize } = ONCE;
    const id = Buffer.from(`once-${this.sent++}`);
    this.open += 1;
    const options = { deadline: Date.now() + 1_000 };
    this.client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      id,
      new Metadata(),
      options,
      (error) => {
        this.open -= 1;
        if (error !== null) this.failures.push(status[error.code]!);
      },
    );
  }
}

/** Ids that more than one run was for. */
export function repeated(mesh: DecisionMesh): string[] {
  const seen = new Set<string>();
  const ids = mesh.models.flatMap((model) => model.events('ran').map(({ id }) => id));
  return ids.filter((id) => id.startsWith('once-') && (seen.has(id) || !seen.add(id)));
}
