/** Whose turn it is in the queue before a model: by class, then by arrival or, where the queue is fair, each caller in turn. */
import { DISK_FAULTS, type FaultKind } from '../plan/plan.js';
import type { CallRecord } from '../world/records.js';
import type { World } from '../world/world.js';
import { type Evidence, replicasOf } from './evidence.js';

/** Features by which nobody but the sidecars knows when a call came to the queue where it waits. */
const ARRIVES_OTHERWISE = [
  ...['retry', 'hedge', 'attempt-timeout', 'first-message-timeout', 'few-streams', 'breaker', 'cold-start'],
  ...['little-memory', 'max-age', 'split', 'fallback-upstream', 'rollout', 'consul', 'tiny-windows'],
  ...['small-kernels', 'odd-peers', 'large-messages', 'late-credit', 'certificates', 'dns', 'overload'],
];
/** Faults that leave the order of a queue as it is. */
const NOT_OF_QUEUES: readonly FaultKind[] = [...DISK_FAULTS, 'slow-model', 'failing-model'];
/** A request is whole at its queue by then, and this many times the delays of the network, ms. */
const ARRIVES_MS = 40;
const DELAYS = 20;
/** A model sees two calls in the order in which they left the queue, if they left it so far apart, ms. */
const APART_MS = 3;
/** A place that is free for so long is given away, ms. */
const FREE_MS = 100;
/** A request of this size is sent at once, bytes. */
const MOST_SENT_AT_ONCE = 20_000;
/** Beside one turn for each of its own, another caller may have the one before and the one after. */
const MORE_TURNS = 2;

/** A call in the queue of one replica. Times of the clock, ms. */
interface Waiting {
  readonly record: CallRecord;
  readonly caller: number;
  readonly queueClass: number;
  /** It has come by then; unknown of some. */
  readonly arrivedMs: number;
  readonly beganMs: number;
}

/** Whether calls were refused after they had waited: those may have come to another queue much later. */
interface Moves {
  readonly evicted: boolean;
  /** Of calls with deadlines. */
  readonly late: boolean;
}

function movesOf({ sidecars }: World): Moves {
  const queues = sidecars.flatMap(({ insides }) =>
    (insides?.inbound?.inbound.state.backends ?? []).flatMap((each) => each.queues.all),
  );
  return {
    evicted: queues.some(({ queue }) => queue.evictedTotal > 0),
    late: queues.some(({ queue }) => queue.lateTotal + queue.expiredTotal > 0),
  };
}

interface QueueFile {
  readonly inbound: {
    readonly queue: {
      readonly concurrency: number;
      readonly fair?: boolean;
      readonly priority?: { readonly key: string; readonly classes: readonly string[] };
    };
  };
}

export function judgeTurns(world: World, evidence: Evidence): void {
  const { plan } = world;
  judgeEvictions(world);
  if (ARRIVES_OTHERWISE.some((each) => plan.features.includes(each))) return;
  const others = plan.faults.filter(({ kind }) => !NOT_OF_QUEUES.includes(kind));
  if (others.some(({ kind }) => kind !== 'reload')) return;
  for (const { name, service, file } of plan.replicas) {
    if (service !== plan.calls[0]?.upstream) continue;
    const turns = new Turns(world, name, file as QueueFile, evidence);
    if (others.length === 0) turns.judge();
    turns.judgePlaces();
  }
}

/** A call gives way to another class or another caller only. */
function judgeEvictions(world: World): void {
  const { plan, records } = world;
  if (plan.callers.length > 1 || plan.features.includes('priority')) return;
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
  private readonly calls: readonly Waiting[];

  constructor(
    private readonly world: World,
    private readonly replica: string,
    file: QueueFile,
    private readonly evidence: Evidence,
  ) {
    const { fair = true } = file.inbound.queue;
    this.isFair = fair;
    this.calls = this.queued(file);
  }

  /** By the time at which they left the queue. */
  private queued({ inbound }: QueueFile): Waiting[] {
    const { plan } = this.world;
    const { priority } = inbound.queue;
    const { mesh, local } = plan.links;
    const arrivesMs = ARRIVES_MS + DELAYS * (mesh.delayMs + local.delayMs);
    const own = replicasOf(plan, plan.calls[0]!.upstream);
    const moves = movesOf(this.world);
    return this.evidence.runsOf(this.replica).map(({ record, execution }) => {
      const { request, metadata, caller, timeoutMs } = record.plan;
      const isFirst = record.executions.filter(({ replica }) => own.includes(replica)).length === 1;
      const isSmall = request.length === 1 && request[0]! <= MOST_SENT_AT_ONCE;
      const isKnown = isFirst && isSmall && !moves.evicted && !(timeoutMs > 0 && moves.late);
      return {
        record,
        caller,
        queueClass: priority === undefined ? 0 : priority.classes.indexOf(metadata[priority.key] ?? ''),
        arrivedMs: isKnown ? record.startMs + arrivesMs : Number.POSITIVE_INFINITY,
        beganMs: execution.startMs,
      };
    });
  }

  judge(): void {
    for (const [i, call] of this.calls.entries()) {
      if (call.arrivedMs >= call.beganMs - APART_MS) continue;
      const before = this.begunWhile(call, i);
      const passing = before.find((each) => this.isWrong(each, call));
      if (passing !== undefined) this.find(call, `call ${passing.record.plan.id} came later and went first`);
      else if (this.isFair) this.inTurn(call, before);
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

  /** Calls that the file in force lets run at once; of several files the fewest. */
  private placesBetween(fromMs: number, toMs: number): number {
    const { plan, originMs } = this.world;
    const own = plan.replicas.find(({ name }) => name === this.replica)!;
    let places = placesOf(own.file);
    for (const { kind, target, atMs, file } of plan.faults) {
      if (kind !== 'reload' || target !== this.replica || file === undefined || originMs + atMs > toMs)
        continue;
      places = originMs + atMs > fromMs ? Math.min(places, placesOf(file)) : placesOf(file);
    }
    return places;
  }

  /** What left the queue while this call waited in it. */
  private begunWhile({ arrivedMs, beganMs }: Waiting, i: number): Waiting[] {
    const begun: Waiting[] = [];
    for (let at = i - 1; at >= 0 && this.calls[at]!.beganMs > arrivedMs; at--)
      if (this.calls[at]!.beganMs < beganMs - APART_MS) begun.push(this.calls[at]!);
    return begun;
  }

  /** Whether it came behind a call that waited, and had no right to go first. */
  private isWrong(each: Waiting, { queueClass, caller, arrivedMs }: Waiting): boolean {
    if (each.queueClass !== queueClass) return each.queueClass > queueClass;
    return each.record.startMs > arrivedMs && (!this.isFair || each.caller === caller);
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

function placesOf(file: object): number {
  return (file as QueueFile).inbound.queue.concurrency;
}
