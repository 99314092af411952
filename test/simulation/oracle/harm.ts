/** Which faults may cost a call. */
import { type FaultPlan, isConsulFault, type Plan } from '../plan/plan.js';

/** A drain costs none, nor does Consul, nor a clock that jumps where no certificate expires by it. */
export function isHarm({ certificateMs }: Plan, { kind }: FaultPlan): boolean {
  if (kind === 'clock-jump') return certificateMs !== undefined;
  return kind !== 'reload' && kind !== 'drain' && !isConsulFault(kind);
}
