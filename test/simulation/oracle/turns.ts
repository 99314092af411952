/** Whose turn it is in the queue before a model: by class, then by arrival or, where the queue is fair, each caller in turn. */
import type { FaultKind } from '../plan/plan.js';
import type { CallRecord } from '../world/records.js';
import type { World } from '../world/world.js';
import type { Evidence } from './evidence.js';
import { hasQueue, placesIn, type QueueFile } from './places.js';

/** Features by which a model may see calls later than they left the queue, or by which there are several queues. */
const SEEN_OTHERWISE = [
  ...['few-streams', 'little-memory', 'rollout', 'tiny-windows', 'small-kernels', 'odd-peers'],
  ...['large-messages', 'overload'],
];
/** Faults after which a queue at their replica is another one, or seen later. What befalls callers, Consul or names changes no order. */
const OF_QUEUES: readonly FaultKind[] = [
  ...(['kill-model', 'freeze-model', 'kill-sidecar', 'freeze-sidecar'] as const),
  ...(['break-connection', 'stall-connection', 'partition', 'drain', 'takeover', 'reload'] as const),
];
/** A model sees two calls in the order in which they left the queue, if they left it so far apart, ms. */
const APART_MS = 3;
/** A place that is free for so long is given away, ms. */
const FREE_MS = 100;
/** Beside one turn for each of its own, another caller may have the one before and the one after. */
const MORE_TURNS = 2;
/** Calls of one answer. */
const UNARY = /\/(?:Unary|Safe|ModelInfer)$/;

/** A call in the queue of one replica. Times of the clock, ms. */
interface Waiting {
  readonly record: CallRecord;
  readonly caller: number;
  readonly queueClass: number;
  /** When it came to the queue; where two attempts of it did, the later one and the earlier one. */
  readonly arrivedMs: number;
  readonly firstMs: number;
  readonly beganMs: number;
}

export function judgeTurns(world: World, evidence: Evidence): void {
  const { plan } = world;
  judgeEvictions(world);
  if (SEEN_OTHERWISE.some((each) => plan.features.includes(each))) return;
  for (const { name, service, file } of plan.replicas) {
    if (service !== plan.calls[0]?.upstream || !hasQueue(file)) continue;
    const own = plan.faults.filter(({ kind, target }) => target === name && OF_QUEUES.includes(kind));
    if (own.some(({ kind }) => kind !== 'reload')) continue;
    const turns = new Turns(world, name, file, evidence);
    if (own.length === 0) turns.judge();
    turns.judgePlaces();
    turns.judgeRoom();
  }
}

/** A call gives way to another class or another caller only. */
function judgeEvictions(world: World): void {
  const { plan, records } = world;
  if (plan.callers.length > 1 || plan.features.includes('priority')) return;
  if (plan.features.includes('token-queue')) return;
  for (const { plan: call, message } of records)
    if (message.includes('others go first'))
      world.find(
        'turns',
        `call ${call.id} ${call.path}: gave way ("${message}"), and there is no other caller`,
        [call.id],
      );
}

class Turns {
  private readonly isFair: boolean;
  private readonly countsTokens: boolean;
  private readonly calls: readonly Waiting[];

  constructor(
    private readonly world: World,
    private readonly replica: string,
    file: QueueFile,
    private readonly evidence: Evidence,
  ) {
    const { fair = true, cost } = file.inbound.queue;
    // By tokens callers take turns of another kind.
    this.isFair = fair;
    this.countsTokens = cost === 'tokens';
    this.calls = this.queued(file);
  }

  /** By the time at which they left the queue. */
  private queued({ inbound }: QueueFile): Waiting[] {
    const { priority } = inbound.queue;
    return this.evidence.runsOf(this.replica).flatMap(({ record, execution }) => {
      const { metadata, caller } = record.plan;
      const arrivals = record.arrivals
        .filter(({ replica, atMs }) => replica === this.replica && atMs <= execution.startMs)
        .map(({ atMs }) => atMs);
      const [firstMs] = arrivals;
      if (firstMs === undefined) return [];
      const arrivedMs = arrivals.at(-1)!;
      const queueClass = priority === undefined ? 0 : this.classOf(priority, metadata, caller);
      return [{ record, caller, queueClass, arrivedMs, firstMs, beganMs: execution.startMs }];
    });
  }

  private classOf(
    { key, classes, callers = [] }: NonNullable<QueueFile['inbound']['queue']['priority']>,
    metadata: Readonly<Record<string, string>>,
    caller: number,
  ): number {
    const named = metadata[key] ?? '';
    const { service } = this.world.plan.callers[caller]!;
    const only = callers.find((each) => each.class === named);
    // Who may not name it has the last one.
    return only === undefined || only.callers.includes(service) ? classes.indexOf(named) : classes.length - 1;
  }

  judge(): void {
    for (const [i, call] of this.calls.entries()) {
      if (call.arrivedMs >= call.beganMs - APART_MS) continue;
      const before = this.begunWhile(call, i);
      const passing = before.find((each) => this.isWrong(each, call));
      if (passing !== undefined) this.find(call, `call ${passing.record.plan.id} came later and went first`);
      else if (this.isFair && !this.countsTokens) this.inTurn(call, before);
      this.besideWoken(call, before);
    }
  }

  /** No call waits where the model runs fewer than it may. */
  judgePlaces(): void {
    const { evidence, replica } = this;
    if (this.world.plan.features.includes('adaptive')) return;
    for (const call of this.calls) {
      const { arrivedMs, beganMs } = call;
      for (let toMs = arrivedMs + 2 * FREE_MS; toMs < beganMs - FREE_MS; toMs += FREE_MS) {
        const busy = evidence.mostBusy(replica, toMs - FREE_MS, toMs);
        const places = this.placesBetween(toMs - 2 * FREE_MS, toMs);
        if (busy >= places) continue;
        return this.find(call, `${places} calls may run, and ${busy} did for ${FREE_MS} ms`);
      }
    }
  }

  /** A model gets no more calls at once than its queue has places; silent streams have none. */
  judgeRoom(): void {
    const { evidence, replica, world } = this;
    if (world.plan.features.includes('adaptive')) return;
    const unary = evidence.runsOf(replica).filter(({ record }) => UNARY.test(record.plan.path));
    for (const { record, execution } of unary) {
      const atMs = execution.startMs;
      const at = unary.filter(
        ({ execution: { startMs, endMs } }) => startMs <= atMs && (endMs < 0 || endMs > atMs + APART_MS),
      );
      const places = this.mostPlacesBefore(atMs);
      if (at.length <= places) continue;
      const { id, path } = record.plan;
      const what = `call ${id} ${path}: ${replica} has ${at.length} calls at once, and may have ${places}`;
      return world.find('turns', what, [id]);
    }
  }

  /** What runs goes on where a reload leaves fewer places. */
  private mostPlacesBefore(ms: number): number {
    const { plan, originMs } = this.world;
    const own = plan.replicas.find(({ name }) => name === this.replica)!;
    const files = plan.faults.flatMap(({ target, atMs, file }) =>
      target === this.replica && file !== undefined && originMs + atMs <= ms ? [file] : [],
    );
    return Math.max(...[own.file, ...files].map((file) => placesIn(file, own)));
  }

  /** Calls that the file in force lets run at once; of several files the fewest. */
  private placesBetween(fromMs: number, toMs: number): number {
    const { plan, originMs } = this.world;
    const own = plan.replicas.find(({ name }) => name === this.replica)!;
    let places = placesIn(own.file, own);
    for (const { kind, target, atMs, file } of plan.faults) {
      if (kind !== 'reload' || target !== this.replica || file === undefined || originMs + atMs > toMs)
        continue;
      const next = placesIn(file, own);
      places = originMs + atMs > fromMs ? Math.min(places, next) : next;
    }
    return places;
  }

  /** What left the queue while this call waited in it. */
  private begunWhile({ arrivedMs, beganMs }: Waiting, i: number): Waiting[] {
    const begun: Waiting[] = [];
    for (let at = i - 1; at >= 0 && this.calls[at]!.beganMs > arrivedMs + APART_MS; at--)
      if (this.calls[at]!.beganMs < beganMs - APART_MS) begun.push(this.calls[at]!);
    return begun;
  }

  /** Whether it came behind a call that waited, and had no right to go first. */
  private isWrong(each: Waiting, { queueClass, caller, arrivedMs }: Waiting): boolean {
    if (each.queueClass !== queueClass) return each.queueClass > queueClass;
    return each.firstMs > arrivedMs && (!this.isFair || each.caller === caller);
  }

  /** Each other caller has as many turns as this one while that waits. */
  private inTurn(call: Waiting, before: readonly Waiting[]): void {
    const turns = new Map<number, number>();
    for (const { caller, queueClass } of before)
      if (queueClass === call.queueClass) turns.set(caller, (turns.get(caller) ?? 0) + 1);
    const own = turns.get(call.caller) ?? 0;
    for (const [caller, count] of turns) {
      if (caller === call.caller || count <= own + MORE_TURNS) continue;
      const { name } = this.world.plan.callers[caller]!;
      return this.find(call, `${name} had ${count} turns, and its own caller ${own}`);
    }
  }

  /** Streams that were silent take turns with the queue. */
  private besideWoken(call: Waiting, before: readonly Waiting[]): void {
    const { arrivedMs, beganMs } = call;
    const woken = this.evidence
      .runsOf(this.replica)
      .flatMap(({ execution }) => execution.wokenMs)
      .filter((atMs) => atMs > arrivedMs && atMs < beganMs - APART_MS).length;
    if (woken > before.length + MORE_TURNS)
      this.find(call, `${woken} silent streams went on, and ${before.length} calls of the queue began`);
  }

  private find({ record, arrivedMs, beganMs }: Waiting, what: string): void {
    const { id, path } = record.plan;
    const waited = `waited ${(beganMs - arrivedMs).toFixed(0)} ms at ${this.replica}`;
    this.world.find('turns', `call ${id} ${path}: ${waited}: ${what}`, [id]);
  }
}
