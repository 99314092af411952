import type { Unreached } from '../../runtime/process/inherited-sockets.js';
import type { ModelReport } from '../../telemetry/reports.js';
import type { SidecarEvent } from '../sidecar/parent-channel.js';
import type { SidecarSpec } from './plan.js';

/** State of one sidecar and its models, from its supervisor and from its last events. */
export interface SidecarState {
  spec: SidecarSpec;
  /** The sidecar's own process. */
  process: ModelReport;
  /** All models together; undefined until the sidecar has reported. */
  model: ModelReport | undefined;
  models: readonly ModelReport[];
  /** Reasons against readiness, empty when ready; undefined until the sidecar has reported. */
  notReady: readonly string[] | undefined;
  /** Upstreams that its successor need not reach; absent until the sidecar has reported. */
  unreached?: Unreached | undefined;
}

/** One change of the fleet, for the report of `up`. */
export type FleetEvent =
  | { readonly kind: 'sidecar'; readonly state: SidecarState }
  /** `changed`: the models whose report differs from the one before. */
  | { readonly kind: 'model'; readonly state: SidecarState; readonly changed: readonly ModelReport[] }
  | { readonly kind: 'readiness'; readonly state: SidecarState }
  | {
      readonly kind: 'configuration' | 'takeover' | 'silence';
      readonly state: SidecarState;
      readonly text: string;
    };

/** State of a sidecar whose process has not reported yet. */
export function newState(spec: SidecarSpec, process: ModelReport): SidecarState {
  return { spec, process, model: undefined, models: [], notReady: undefined };
}

/** Whether the process answers and nothing speaks against its readiness. */
export function isReady({ process, notReady }: SidecarState): boolean {
  return process.state === 'ready' && notReady?.length === 0;
}

/**
 * Takes the report of a sidecar's supervisor over. What a process that ended had reported no longer
 * holds.
 */
export function applyProcessReport(state: SidecarState, report: ModelReport): void {
  state.process = report;
  if (report.state !== 'ready' && report.state !== 'starting') state.notReady = undefined;
  if (!isDown(report)) return;
  state.unreached = undefined;
  state.model = undefined;
  state.models = [];
}

/** Whether the process has ended: it is stopped, or waits for its next start. */
export function isDown({ state }: ModelReport): boolean {
  return state === 'backoff' || state === 'stopped';
}

/**
 * Takes an event of a sidecar over. Returns what of it the report of `up` shows; undefined:
 * nothing.
 */
export function applySidecarEvent(state: SidecarState, event: SidecarEvent): FleetEvent | undefined {
  switch (event.event) {
    case 'readiness':
      state.notReady = event.notReady;
      state.unreached = event.unreached;
      return { kind: 'readiness', state };
    case 'model': {
      const before = state.models;
      state.model = event.report;
      state.models = event.models;
      return { kind: 'model', state, changed: event.models.filter((each) => !before.some(isSame(each))) };
    }
    case 'reloaded':
      return { kind: 'configuration', state, text: 'took the new configuration' };
    case 'reload-refused':
      return { kind: 'configuration', state, text: `refused the new configuration: ${event.problem}` };
    default:
      return undefined;
  }
}

function isSame(one: ModelReport): (other: ModelReport) => boolean {
  const { name, version, instance, state, why, pid } = one;
  return (other) =>
    name === other.name &&
    version === other.version &&
    instance === other.instance &&
    state === other.state &&
    why === other.why &&
    pid === other.pid;
}
