import { endpointReason, endpointState, endpointTone, type Tone } from '../../admin/endpoint-state.js';
import { SELF } from '../../admin/history/history-writer.js';
import { span } from '../../admin/look/words.js';
import type { HalfHour } from '../../core/history/half-hour.js';
import type { EndpointReport, ModelReport } from '../../telemetry/reports.js';
import { type Answered, type MeshMoment, serviceOf } from './mesh-view.js';

/** A replica as one of its callers sees it. */
export interface CallerView {
  readonly caller: string;
  readonly endpoint: EndpointReport;
}

/** One replica of a service: what its sidecar says, and what its callers see. */
export interface Replica {
  readonly name: string;
  /** Undefined: it has no sidecar here, or none that has this name. */
  readonly sidecar: Answered | undefined;
  readonly views: readonly CallerView[];
  /** The state of now, in one word. */
  readonly state: string;
  readonly tone: Tone;
  /** Why it is in it; empty: nothing speaks against it. */
  readonly why: string;
  /** A code for each slot of the last half hour, the oldest first. */
  readonly strip: readonly number[];
}

/** Slots of a strip. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
}

/** The replicas of a service, by name: its sidecars, and the endpoints that callers have and that are no sidecar here. */
export function replicasOf(service: string, moment: MeshMoment, range: SlotRange): readonly Replica[] {
  const own = moment.sidecars.filter((each) => serviceOf(each) === service);
  const views = new Map<string, CallerView[]>();
  for (const { name: caller, report } of moment.sidecars)
    for (const endpoint of report?.endpoints ?? []) {
      if (endpoint.upstream !== service) continue;
      const known = views.get(endpoint.endpoint) ?? [];
      views.set(endpoint.endpoint, [...known, { caller, endpoint }]);
    }
  const callers = [...moment.histories.values()];
  const found = own.map((sidecar) => {
    const name = sidecar.report?.instance ?? sidecar.name;
    const seen = views.get(name) ?? views.get(sidecar.name) ?? [];
    views.delete(name);
    views.delete(sidecar.name);
    const codes = stripOf(`${service}\n${name}`, moment.histories.get(sidecar.name), callers, range);
    return { name: sidecar.name, sidecar, views: seen, strip: codes, ...now(sidecar, seen) };
  });
  const strangers = [...views].map(([name, seen]) => ({
    ...{ name, sidecar: undefined, views: seen },
    strip: stripOf(`${service}\n${name}`, undefined, callers, range),
    ...now(undefined, seen),
  }));
  return [...found, ...strangers].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }));
}

/** In each slot the most severe of what the replica says and what callers see. */
function stripOf(
  key: string,
  own: HalfHour | undefined,
  callers: readonly HalfHour[],
  { first, last }: SlotRange,
): number[] {
  const seeing = callers.filter((history) => history.hasThing(key));
  return Array.from({ length: last - first + 1 }, (_, i) => {
    const slot = first + i;
    return seeing.reduce(
      (worst, history) => Math.max(worst, history.stateOf(slot, key)),
      own?.stateOf(slot, SELF) ?? 0,
    );
  });
}

/** The worst of all strips, for a service that is closed. */
export function worstStrip(replicas: readonly Replica[]): readonly number[] {
  const [first, ...others] = replicas;
  return (first?.strip ?? []).map((code, i) => Math.max(code, ...others.map(({ strip }) => strip[i]!)));
}

/** State, colour and reason of now. */
function now(
  sidecar: Answered | undefined,
  views: readonly CallerView[],
): Pick<Replica, 'state' | 'tone' | 'why'> {
  if (sidecar !== undefined && sidecar.report === undefined)
    return { state: 'no answer', tone: 'bad', why: sidecar.problem ?? '' };
  const notReady = sidecar?.report?.notReady ?? [];
  const notes = [sidecar?.report?.certificateWarning, sidecar?.note].filter((each) => each !== undefined);
  const own = [...notReady, ...(sidecar?.report?.unreached ?? []), ...notes].join('; ');
  if (notReady.includes('draining')) return { state: 'draining', tone: 'warn', why: own };
  const worst = worstOf(views);
  const seen = whySeen(views, worst === undefined ? '' : endpointState(worst.endpoint));
  const why = [own, seen].filter((each) => each !== '').join('; ');
  if (notReady.length > 0) {
    const isStarting = modelsOf(sidecar).some(({ state }) => state === 'starting' || state === 'backoff');
    return isStarting ? { state: 'restarting', tone: 'warn', why } : { state: 'not ready', tone: 'bad', why };
  }
  if (worst === undefined) return { state: 'ready', tone: 'good', why };
  const tone = endpointTone(worst.endpoint);
  const state = endpointState(worst.endpoint);
  const isSuspect = worst.endpoint.suspicion?.isSuspect === true;
  const word = state === 'eligible' ? (isSuspect ? 'suspect' : tone === 'good' ? 'ready' : 'failing') : state;
  return { state: word, tone, why };
}

const RANK: Readonly<Record<Tone, number>> = { good: 0, warn: 1, bad: 2 };

function worstOf(views: readonly CallerView[]): CallerView | undefined {
  return views.toSorted((a, b) => RANK[endpointTone(b.endpoint)] - RANK[endpointTone(a.endpoint)])[0];
}

/** What callers hold against it, each reason once with those who hold it. @param shown the state that is shown anyway. */
function whySeen(views: readonly CallerView[], shown: string): string {
  const reasons = new Map<string, string[]>();
  for (const { caller, endpoint } of views) {
    const reason = reasonOf(endpoint, shown);
    if (reason !== '') reasons.set(reason, [...(reasons.get(reason) ?? []), caller]);
  }
  return [...reasons].map(([reason, callers]) => `by ${listed(callers)}${reason}`).join('; ');
}

function reasonOf(endpoint: EndpointReport, shown: string): string {
  const why = endpointReason(endpoint);
  const state = endpointState(endpoint);
  if (state === 'eligible') return why === '' ? '' : `: ${why}`;
  const until = endpoint.untilMs === undefined ? '' : ` (${span(endpoint.untilMs)} to go)`;
  const parts = [...(state === shown ? [] : [state]), ...(why === '' ? [] : [why])];
  return `${until}: ${parts.join(', ')}`;
}

/** Up to three names, and how many more. */
export function listed(names: readonly string[]): string {
  return names.length <= 3
    ? names.join(', ')
    : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more`;
}

/** The models of a sidecar: several, the one, or none. */
export function modelsOf(sidecar: Answered | undefined): readonly ModelReport[] {
  const { models, model } = sidecar?.report ?? {};
  return models ?? (model === undefined ? [] : [model]);
}
