/** How much work a service has, for what decides how many replicas it needs. */

/** What a trigger may go by: calls that run or wait, those that wait, or the tokens of those that wait before engines. */
export const SCALED_BY = ['calls', 'waiting_calls', 'waiting_tokens'] as const;
export type ScaledBy = (typeof SCALED_BY)[number];

/** A trigger of KEDA, as its metadata says it. */
export interface Trigger {
  readonly service: string;
  readonly by: ScaledBy;
  /** Work for each replica. */
  readonly target: number;
  /** With more than this the service is active: it has at least one replica. */
  readonly activation: number;
}

const MOST = 1e12;

/** Reads the metadata of a trigger; keys of KEDA's own are passed over. Returns what is wrong, where something is. */
export function readTrigger(metadata: ReadonlyMap<string, string>): Trigger | string {
  const service = metadata.get('service') ?? '';
  if (service === '') return 'found no service; expected the name of an upstream of this sidecar';
  const said = metadata.get('metric') ?? 'calls';
  const by = SCALED_BY.find((each) => each === said);
  if (by === undefined)
    return `metric: found ${JSON.stringify(said.slice(0, 40))}; expected ${SCALED_BY.join(', ')}`;
  const target = numberIn(metadata.get('target'));
  if (target === undefined || target === 0)
    return 'target: expected the work for each replica, a number above 0';
  const activation = numberIn(metadata.get('activation') ?? '0');
  if (activation === undefined) return 'activation: expected a number that is not below 0';
  return { service, by, target, activation };
}

function numberIn(text = ''): number | undefined {
  if (!/^\d{1,15}(\.\d{1,9})?$/.test(text)) return undefined;
  const value = Number(text);
  return value <= MOST ? value : undefined;
}

/** What a replica has said of itself lately. */
export interface SaidWork {
  /** Calls that it has, running or waiting. */
  readonly calls: number;
  /** Calls that it runs at once. */
  readonly concurrency: number;
  /** Tokens of calls that wait; −1: it does not count them. */
  readonly waitingTokens: number;
  /** It gets no calls, as it is not ready: that it has none says nothing of those that there are for it. */
  readonly isUnready?: boolean;
}

/**
 * The work of a service. A replica of which nothing is known may be starting, or cut off from here: it never is a reason for more
 * replicas, nor for fewer. It counts for its target as long as the sum is below that of all replicas, as the HPA of Kubernetes does with pods
 * without metrics. One that is not ready counts for no less than that.
 * @param said of each replica; null: nothing lately.
 * @param held calls that wait here for any replica at all; of tokens, each counts one at least.
 */
export function workOf({ by, target }: Trigger, said: readonly (SaidWork | null)[], held: number): number {
  let known = held;
  /** What it may be beside that, and is not known. */
  let missing = 0;
  for (const each of said) {
    const work = each === null ? -1 : workAt(each, by);
    known += Math.max(0, work);
    if (work < 0) missing += target;
    else if (each?.isUnready === true) missing += Math.max(0, target - work);
  }
  const enough = said.length * target;
  return missing === 0 || known >= enough ? known : Math.min(enough, known + missing);
}

/** −1: it is not known. */
function workAt({ calls, concurrency, waitingTokens }: SaidWork, by: ScaledBy): number {
  if (by === 'calls') return calls;
  return by === 'waiting_calls' ? Math.max(0, calls - concurrency) : waitingTokens;
}

/** Whether a service needs a replica at all. */
export function isActive(trigger: Trigger, said: readonly (SaidWork | null)[], held: number): boolean {
  return held > 0 || workOf(trigger, said, held) > trigger.activation;
}
