/**
 * The load of a drill: three client applications that call three models at a steady rate, whatever happens. An open loop: a
 * slow answer never holds up the next call. Every call is noted.
 *
 * A closed loop would send less while something is wrong, and so would hide it (coordinated omission). The rates are small,
 * so that two cores carry clients, sidecars and models: what is measured is what becomes of calls, and not how many fit.
 */
import type { Standing } from '../arms/arm.js';
import type { ArmName } from '../history/record.js';
import { machineNow } from '../protocol/run-clock.js';
import { type Deadlines, DrillClient, type ModelName } from './client.js';
import { isOpen, type OpenCall } from './noted-call.js';
import { type EndedLoad, OpenLoop } from './open-loop.js';
import type { Picture } from './pictures.js';

/** As many as replicas, so that each replica is the first choice of one client under `pick_first`. */
const CLIENTS = 3;
const WARM_LIMIT_MS = 15_000;
/** More than one connection is used: the first calls of each pay for its handshake. */
const WARM_CALLS = 5;
/** Beyond the longest deadline, until a call counts as one that hangs. */
const HANG_MS = 6_000;

/** Calls per second of each model. */
export type Rates = Readonly<Record<ModelName, number>>;

/** Of most drills. */
export const USUAL_RATES: Rates = { digits: 90, long: 6, stream: 4 };

/** What a load is made for. */
export interface LoadPlan {
  readonly drill: string;
  readonly arm: ArmName;
  /** Number of the load among those of the same models: their logs tell executions apart by ids of calls. */
  readonly number: number;
  readonly standing: Pick<Standing, 'client'>;
  readonly pictures: readonly Picture[];
  readonly rates: Rates;
  readonly deadlines: Deadlines;
}

/** The load of one drill with one arm. */
export class Load {
  private readonly loop = new OpenLoop<ModelName>((model) => this.make(model, this.count));
  private readonly clients: readonly DrillClient[];
  private count = 0;

  constructor(private readonly plan: LoadPlan) {
    const deps = { now: () => this.now(), pictures: plan.pictures, deadlines: plan.deadlines };
    this.clients = Array.from(
      { length: CLIENTS },
      (_, i) => new DrillClient(`client-${i + 1}`, plan.standing.client(i), deps),
    );
  }

  /** Machine time of 0 in the records. */
  get zeroMs(): number {
    return this.loop.zeroMs;
  }

  /** Ms since the begin of the load. */
  now(): number {
    return this.loop.now();
  }

  /** Resolves when each client has had answers of each model, all of them at once. Rejects after 15 s. */
  async warm(): Promise<void> {
    const endMs = machineNow() + WARM_LIMIT_MS;
    const models = ['digits', 'long', 'stream'] as const;
    await Promise.all(
      this.clients.flatMap((_, client) => models.map((model) => this.untilAnswered(model, client, endMs))),
    );
  }

  /** One call after the other until enough of them in a row are right. */
  private async untilAnswered(model: ModelName, client: number, endMs: number): Promise<void> {
    const wanted = model === 'digits' ? WARM_CALLS : 1;
    for (let well = 0; well < wanted; ) {
      const call = await this.whole(this.make(model, client));
      well = call.answer === 'right' ? well + 1 : 0;
      if (machineNow() > endMs)
        throw new Error(
          `${model} does not answer before the scenario: status ${call.status} ${call.reason ?? ''}`,
        );
    }
  }

  /** Begins; records count from here. */
  start(): void {
    this.loop.start(this.plan.rates);
  }

  /** Calls at these rates from now on. */
  change(rates: Rates): void {
    this.loop.change(rates);
  }

  /** One call that is itself the fault. */
  sendFault(model: ModelName, id: string): void {
    this.count += 1;
    this.loop.calls.push(
      this.call(model, this.count % CLIENTS, {
        id: `call-${id}-${this.plan.number}-${this.count}`,
        isFault: true,
      }),
    );
  }

  /** Ends: no more calls. Resolves with all of them once each has ended, or has hung for long. */
  stop(): Promise<EndedLoad> {
    return this.loop.stop(HANG_MS);
  }

  close(): void {
    this.loop.close();
    for (const client of this.clients) client.close();
  }

  /** A call of the load, with an id of its own. */
  private make(model: ModelName, client: number): OpenCall {
    this.count += 1;
    const { drill, arm, number } = this.plan;
    return this.call(model, client, { id: `call-${drill}-${arm}-${number}-${this.count}` });
  }

  private call(
    model: ModelName,
    client: number,
    said: { readonly id: string; readonly isFault?: true },
  ): OpenCall {
    const { drill, arm } = this.plan;
    return this.clients[client % CLIENTS]!.call({ ...said, drill, arm, model });
  }

  private async whole(call: OpenCall): Promise<OpenCall> {
    while (isOpen(call)) await pause(2);
    // The trailers of the same call are read a moment after its answer.
    await pause(1);
    return call;
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
