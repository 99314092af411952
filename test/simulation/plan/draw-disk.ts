/** The part of a plan that is about what sidecars write, and about where they read names. */
import type { Dice } from '../dice.js';
import {
  type CallerPlan,
  DISK_FAULTS,
  DNS_FAULTS,
  type FaultPlan,
  fewNameOf,
  type ReplicaPlan,
} from './plan.js';

type Has = (feature: string) => boolean;

/** Logs of a sidecar, on the disk of its machine. */
export function logsOf(dice: Dice, has: Has, name: string): object {
  const said = has('said-options');
  const sample = said ? { sample_ratio: dice.of('sample').pick([1, 0.3]) } : {};
  return {
    ...(has('access-log') ? { access_log: { path: `/sim/${name}/access.log`, ...sample } } : {}),
    // One process at a time writes it, and a simulation cannot tell two apart (docs/SIMULATION.md).
    ...(has('audit') && !has('takeover')
      ? { audit: { path: `/sim/${name}/audit/log.jsonl`, rotate_at: '64KiB', ...(said ? { keep: 5 } : {}) } }
      : {}),
  };
}

/** Where an upstream has its endpoints by DNS. `isFew`: by the name that has one of them. */
export function dnsOf(dice: Dice, service: string, isFew: boolean, isSaid: boolean): object {
  const name = isFew ? fewNameOf(service) : `${service}.sim`;
  return {
    dns: {
      name,
      port: 9_443,
      refresh: dice.pick(['1s', '1s', '3s']),
      ...(isSaid ? { family: dice.of('family').pick(['all', 'ipv4']) } : {}),
    },
  };
}

const FAILURES = ['ESERVFAIL', 'EREFUSED', 'silent'];
const EMPTY = ['ENOTFOUND', 'ENODATA'];

export function diskAndDnsFaults(
  dice: Dice,
  has: Has,
  replicas: readonly ReplicaPlan[],
  callers: readonly CallerPlan[],
  forMs: number,
): FaultPlan[] {
  const names = [...replicas, ...callers].map(({ name }) => name);
  return [...DISK_FAULTS, ...DNS_FAULTS]
    .filter((kind) => has(kind))
    .map((kind): FaultPlan => {
      const own = dice.of(kind);
      const atMs = Math.round(own.next() * forMs * 0.8);
      const failure =
        kind === 'dns-fails' ? own.pick(FAILURES) : kind === 'dns-empty' ? own.pick(EMPTY) : undefined;
      return {
        kind,
        atMs,
        untilMs: Math.min(forMs, atMs + own.logBetween(500, 12_000)),
        target: kind === 'dns-loses' ? replicas[0]!.name : own.pick(names),
        amount: kind === 'disk-slow' ? own.logBetween(5, 2_000) : 0,
        ...(failure === undefined ? {} : { failure }),
      };
    });
}
