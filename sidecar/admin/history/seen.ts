import type { ReplicaState } from '../../core/history/replica-state.js';
import { modelTitle } from '../../telemetry/model-title.js';
import type { EndpointReport, ModelReport } from '../../telemetry/reports.js';
import type { StatusReport } from '../status.js';
import type { HistoryEvent } from './history-report.js';

/** What of a status the history is made of. */
export type Seen = Pick<
  StatusReport,
  'service' | 'notReady' | 'model' | 'models' | 'lives' | 'queue' | 'endpoints'
>;

/** Something that happened, before it has a time. */
export type Happened = Omit<HistoryEvent, 'slot'>;

/** States of a model's process in which it does not run yet, or again. */
const RESTARTING: ReadonlySet<ModelReport['state']> = new Set(['starting', 'backoff', 'given-up']);

/** What a sidecar says of itself. @param before its status a moment ago: a restart in between is seen although it is over. */
export function ownState(now: Pick<Seen, 'notReady' | 'model' | 'models'>, before?: Seen): ReplicaState {
  if (now.notReady.includes('draining')) return 'draining';
  const models = modelsOf(now);
  const hadRestart =
    before !== undefined && restartsOf(models) > restartsOf(modelsOf(before)) && modelsOf(before).length > 0;
  if (hadRestart || models.some(({ state }) => RESTARTING.has(state))) return 'restarting';
  return now.notReady.length > 0 ? 'down' : 'ready';
}

/** What a caller says of an endpoint. @param before the same endpoint a moment ago: an ejection in between is seen although it is over. */
export function endpointStateOf(
  now: EndpointReport,
  before?: Pick<EndpointReport, 'ejections'>,
): ReplicaState {
  if (before !== undefined && now.ejections > before.ejections) return 'ejected';
  if (now.state === 'ejected' || now.state === 'probing') return 'ejected';
  if (now.mayBeStarting) return 'restarting';
  if (now.state !== 'eligible' && now.state !== 'standby') return 'down';
  return now.suspicion?.isSuspect === true ? 'suspect' : 'ready';
}

/** One endpoint in all clusters of its upstream has one name. */
export function endpointKey({ upstream, endpoint }: Pick<EndpointReport, 'upstream' | 'endpoint'>): string {
  return `${upstream}\n${endpoint}`;
}

/** What differs between two statuses of one sidecar. @param name of the sidecar. */
export function happenedBetween(name: string, before: Seen, after: Seen): Happened[] {
  return [
    ...ejectionsBetween(name, before, after),
    ...restartsBetween(name, before, after),
    ...versionsBetween(name, before, after),
    ...drainsBetween(name, before, after),
  ];
}

/** By count, not by state: an ejection that came and went between two looks is seen too. */
function ejectionsBetween(name: string, before: Seen, after: Seen): Happened[] {
  const keyOf = ({ upstream, cluster = '', endpoint }: EndpointReport) =>
    `${upstream} ${cluster} ${endpoint}`;
  const counts = new Map(before.endpoints.map((each) => [keyOf(each), each.ejections]));
  return after.endpoints.flatMap((each): Happened[] => {
    const earlier = counts.get(keyOf(each));
    if (earlier === undefined || each.ejections <= earlier) return [];
    const text = `${name} ejected ${each.endpoint}${each.why === '' ? '' : `: ${each.why}`}`;
    return [{ kind: 'ejection', service: each.upstream, text }];
  });
}

function restartsBetween(name: string, before: Seen, after: Seen): Happened[] {
  const counts = new Map(modelsOf(before).map((each) => [modelTitle(each), each.restarts]));
  return modelsOf(after).flatMap((each): Happened[] => {
    const earlier = counts.get(modelTitle(each));
    if (earlier === undefined || each.restarts <= earlier) return [];
    const what = each.name === undefined ? 'the model' : `model ${modelTitle(each)}`;
    return [{ kind: 'restart', service: after.service, text: `${what} of ${name} was started again` }];
  });
}

/** A version that begins to serve beside or in place of another one; the first of a model is no change. */
function versionsBetween(name: string, before: Seen, after: Seen): Happened[] {
  const serving = (seen: Seen) =>
    (seen.lives ?? []).filter(
      ({ state, version }) => version !== undefined && (state === 'serving' || state === 'suspect'),
    );
  const known = new Set(serving(before).map(modelTitle));
  const models = new Set(serving(before).map(({ name: model }) => model));
  return serving(after)
    .filter((each) => models.has(each.name) && !known.has(modelTitle(each)))
    .map((each) => ({
      kind: 'version',
      service: after.service,
      text: `${modelTitle(each)} serves at ${name}`,
    }));
}

function drainsBetween(name: string, before: Seen, after: Seen): Happened[] {
  const [was, is] = [before.notReady.includes('draining'), after.notReady.includes('draining')];
  return !was && is ? [{ kind: 'drain', service: after.service, text: `${name} drains` }] : [];
}

/** One of several, or the only one. */
function modelsOf({ model, models }: Pick<Seen, 'model' | 'models'>): readonly ModelReport[] {
  return models ?? (model === undefined ? [] : [model]);
}

function restartsOf(models: readonly ModelReport[]): number {
  return models.reduce((sum, { restarts }) => sum + restarts, 0);
}
