/**
 * The load of a drill: three client applications that call three models at a steady rate, whatever happens. The rates are small,
 * so that two cores carry clients, sidecars and models: what is measured is what becomes of calls, and not how many fit.
 */
import type { Standing } from '../arms/arm.js';
import type { ArmName, CallRecord } from '../history/record.js';
import { type Deadlines, DrillClient, type ModelName } from './client.js';
import type { OpenCall } from './noted-call.js';
import { type EndedLoad, OpenLoad, warmUp } from './open-load.js';
import type { Picture } from './pictures.js';

/** As many as replicas, so that each replica is the first choice of one client under `pick_first`. */
const CLIENTS = 3;
const WARM_LIMIT_MS = 15_000;
/** More than one connection is used: the first calls of each pay for its handshake. */
const WARM_CALLS = 5;
/** Beyond the longest deadline, until a call counts as one that hangs. */
const HANG_MS = 6_000;

export type Rates = Readonly<Record<ModelName, number>>;

/** Of most drills. */
export const USUAL_RATES: Rates = { digits: 90, long: 6, stream: 4, tokens: 0 };

export interface LoadPlan {
  readonly drill: string;
  readonly arm: ArmName;
  /** Number of the load among those of the same models: their logs tell executions apart by ids of calls. */
  readonly number: number;
  readonly standing: Pick<Standing, 'client'>;
  readonly pictures: readonly Picture[];
  readonly deadlines: Deadlines;
}

export class Load extends OpenLoad<ModelName, CallRecord> {
  private readonly clients: readonly DrillClient[];
  private count = 0;

  constructor(private readonly plan: LoadPlan) {
    super();
    const deps = { now: () => this.now(), pictures: plan.pictures, deadlines: plan.deadlines };
    this.clients = Array.from(
      { length: CLIENTS },
      (_, i) => new DrillClient(`client-${i + 1}`, plan.standing.client(i), deps),
    );
  }

  /** Resolves when each client has had answers of each model, all of them at once. Rejects after 15 s. */
  async warm(): Promise<void> {
    const models = ['digits', 'long', 'stream'] as const;
    await Promise.all(
      this.clients.flatMap((_, client) => models.map((model) => this.untilAnswered(model, client))),
    );
  }

  private async untilAnswered(model: ModelName, client: number): Promise<void> {
    const bad = await warmUp({
      wanted: model === 'digits' ? WARM_CALLS : 1,
      limitMs: WARM_LIMIT_MS,
      make: () => this.make(model, client),
      isGood: ({ answer }) => answer === 'right',
    });
    if (bad === undefined) return;
    const { status, reason = '' } = bad;
    throw new Error(`${model} does not answer before the scenario: status ${status} ${reason}`);
  }

  sendFault(model: ModelName, id: string): void {
    this.count += 1;
    this.calls.push(
      this.call(model, this.count % CLIENTS, {
        id: `call-${id}-${this.plan.number}-${this.count}`,
        isFault: true,
      }),
    );
  }

  /** What has not ended by then hangs. */
  override stop(): Promise<EndedLoad<CallRecord>> {
    return super.stop(HANG_MS);
  }

  override close(): void {
    super.close();
    for (const client of this.clients) client.close();
  }

  protected override make(model: ModelName, client = this.count): OpenCall {
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
}
