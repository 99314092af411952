/** What the local models are told of together: for readiness, and as one report. */
import type { ModelBackend } from '../../inbound/model-backend.js';
import type { ModelReport } from '../../telemetry/reports.js';
import type { ModelHost } from '../model-host.js';

/** The models of these servers as one: ready while one of them is; `why` lists the others. */
export function reportTogether(hosts: readonly ModelHost[]): ModelReport {
  const reports = hosts.flatMap((host) => host.reports());
  const [first] = reports;
  if (first === undefined) return { state: 'stopped', why: 'no model is loaded', restarts: 0 };
  if (reports.length === 1) return first;
  const served = reports.find(({ state }) => state === 'ready');
  const out = reports.filter(({ state }) => state !== 'ready');
  const servers = hosts.map((host) => host.report());
  const { pid } = servers[0]!;
  return {
    state: (served ?? first).state,
    why: out.map(({ name, why, state }) => `${name}: ${why === '' ? state : why}`).join('; '),
    restarts: servers.reduce((sum, { restarts }) => sum + restarts, 0),
    ...(servers.length > 1 || pid === undefined ? {} : { pid }),
  };
}

/**
 * Reasons against readiness. Models that still start count, those that are loaded later only while no model is ready; so do models
 * that cannot be served.
 *
 * @param backends those that get calls. @param isLater whether a model was not there at the start.
 */
export function modelsNotReady(
  backends: readonly ModelBackend[],
  isLater: (backend: ModelBackend) => boolean,
): string[] {
  if (backends.length === 0) return ['no model is loaded'];
  const isServing = backends.some(({ state }) => state.kind === 'ready');
  return backends.flatMap((backend) => {
    const { name, version, state } = backend;
    if (state.kind === 'ready' || (isServing && (state.kind === 'away' || isLater(backend)))) return [];
    const model =
      backends.length === 1 ? 'model' : `model ${name}${version === '' ? '' : ` version ${version}`}`;
    return [`${model}: ${state.kind === 'away' ? state.why : 'starting'}`];
  });
}
