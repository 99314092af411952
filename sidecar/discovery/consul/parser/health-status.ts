import type { Health } from '../../../core/discovery/eviction-guard.js';
import { oneLine, textIn } from './json-fields.js';

/** The status of an instance, and why. */
export interface AggregateStatus {
  readonly status: Health;
  /** `NAME: first line of its output`, of the worst check, or of the one that it stands for; empty while passing. */
  readonly why: string;
  /** An operator has put the instance or its node into maintenance. */
  readonly isMaintained: boolean;
}

/** Characters of the reason; Consul cuts outputs at 4 KiB. */
const MAX_WHY = 200;
const PASSING: AggregateStatus = { status: 'passing', why: '', isMaintained: false };
/** What a proxy's check says that stands for the checks of its service: the check that fails there, and its output. */
const ALIASED = /^Aliased check "([^"]+)" failing: (?=\S)/;
/** The names that Consul gives the checks of `consul maint`; the alias check of a proxy shows no more of them. */
const MAINTENANCE_NAMES: ReadonlySet<string> = new Set(['Node Maintenance Mode', 'Service Maintenance Mode']);
const NODE_MAINTENANCE = '_node_maintenance';
const SERVICE_MAINTENANCE = '_service_maintenance';

/**
 * The status of an instance from its checks, as Consul itself sums them up: the worst one counts, node and service alike.
 * A check of a status that Consul does not have is passed over. Maintenance comes first in `why`: an operator set it.
 */
export function aggregateStatus(checks: readonly unknown[]): AggregateStatus {
  let worst: unknown;
  let worstRank = 0;
  for (const check of checks) {
    const rank = rankOf(check);
    if (rank > worstRank) {
      worst = check;
      worstRank = rank;
    }
  }
  if (worstRank === 0) return PASSING;
  const status = worstRank === 1 ? 'warning' : 'critical';
  return { status, why: reasonOf(worst), isMaintained: worstRank === 3 };
}

/** 3: maintenance, 2: critical, 1: warning, 0: passing or a status that Consul does not have. */
function rankOf(check: unknown): number {
  return isMaintenance(check) ? 3 : (RANKS.get(textIn(check, 'Status')) ?? 0);
}

const RANKS: ReadonlyMap<string, number> = new Map(
  Object.entries({ critical: 2, maintenance: 2, warning: 1 }),
);

/** Whether a check is the one that an operator sets by `consul maint`, on the node or on the service. */
function isMaintenance(check: unknown): boolean {
  const id = textIn(check, 'CheckID');
  const isOne =
    id === NODE_MAINTENANCE || id === SERVICE_MAINTENANCE || id.startsWith(`${SERVICE_MAINTENANCE}:`);
  return (isOne || isAliasOfMaintenance(check)) && textIn(check, 'Status') !== 'passing';
}

/** The alias check of a proxy whose service is in maintenance. */
function isAliasOfMaintenance(check: unknown): boolean {
  // The check of `consul maint` has no output, only notes, which an alias check does not repeat.
  const name = /^Aliased check "([^"]+)" failing: /.exec(textIn(check, 'Output').slice(0, MAX_WHY))?.[1];
  return name !== undefined && MAINTENANCE_NAMES.has(name);
}

/** `NAME: first line of its output`. An alias check stands for another check, which is named in its place. */
function reasonOf(check: unknown): string {
  const name = textIn(check, 'Name') || textIn(check, 'CheckID') || 'a check without a name';
  const output = textIn(check, 'Output') || textIn(check, 'Notes');
  const start = output.slice(0, MAX_WHY * 4).trimStart();
  const first = start.split('\n', 1)[0] ?? '';
  const aliased = ALIASED.exec(first);
  if (aliased !== null) return oneLine(`${aliased[1]}: ${first.slice(aliased[0].length)}`, MAX_WHY);
  return oneLine(first === '' ? name : `${name}: ${first}`, MAX_WHY);
}
