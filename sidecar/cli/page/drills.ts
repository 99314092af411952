import type { FaultReport } from '../../admin/faults.js';
import type { ProcessFaultReport } from '../../admin/process-faults.js';
import { samplesIn } from './samples.js';

/** The faults in the answer of `/faults`, as `drillsOf` says them. @throws SyntaxError for an answer that is none of a sidecar. */
export function drillsIn(body: string): string[] {
  const on = JSON.parse(body) as { faults: FaultReport[]; processes?: ProcessFaultReport[] };
  return drillsOf(on.faults, on.processes);
}

/** The faults that a sidecar's admin port lists, one sentence each without its full stop. */
export function drillsOf(
  faults: readonly FaultReport[],
  processes: readonly ProcessFaultReport[] = [],
): string[] {
  const ofCalls = faults.map(
    ({ side, upstream, caller, method, ratio, delayMs, abort, leftMs, injected }) => {
      const does = [
        ...(delayMs === undefined ? [] : [`delayed by ${delayMs} ms`]),
        ...(abort === undefined ? [] : [`aborted with ${abort}`]),
      ];
      const whose = upstream ?? caller ?? `all ${side}`;
      return `${Math.round(ratio * 100)} % of the calls (${whose}, ${method}) are ${does.join(' and ')}, ${seconds(leftMs)} more; ${injected} so far`;
    },
  );
  // A process that was killed is started again at once: that is a mark on the timeline, and nothing that is on.
  const ofProcesses = processes
    .filter(({ process }) => process === 'freeze')
    .map(
      ({ model, pid, leftMs }) =>
        `the model process ${pid}${model === undefined ? '' : ` of ${model}`} is frozen, ${seconds(leftMs)} more`,
    );
  return [...ofCalls, ...ofProcesses];
}

const ACTIVE = 'outrider_faults_active';
const INJECTED = 'outrider_faults_injected_total';
const DOES: Readonly<Record<string, string>> = { delay: 'delayed', abort: 'aborted' };

/**
 * The faults that are on by the metrics of a sidecar: which side and what it does, without the method, the share and the time left, which
 * `/faults` of its admin port has.
 */
export function drillsInMetrics(metrics: string): string[] {
  const found = samplesIn(metrics, [ACTIVE, INJECTED]);
  return found
    .get(ACTIVE)!
    .filter(({ value }) => value > 0)
    .map(({ labels: { direction = '', kind = '' } }) => {
      if (kind === 'freeze') return 'a model process is frozen';
      const injected = found
        .get(INJECTED)!
        .filter(({ labels }) => labels['direction'] === direction && labels['kind'] === kind)
        .reduce((sum, { value }) => sum + value, 0);
      return `${direction} calls are ${DOES[kind] ?? kind}; ${injected} since its start`;
    });
}

function seconds(ms: number): string {
  return `${Math.ceil(ms / 1_000)} s`;
}
