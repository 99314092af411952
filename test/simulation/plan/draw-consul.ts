/** The part of a plan that is about Consul. */
import type { Dice } from '../dice.js';
import { moreConsul } from './draw-more.js';
import {
  type CallerPlan,
  CONSUL_FAULTS,
  type ConsulFault,
  type ConsulPlan,
  type FaultPlan,
  type ReplicaPlan,
} from './plan.js';

type Has = (feature: string) => boolean;

/** The block `consul` of a file; empty where the run has no Consul. */
export function consulBlock(dice: Dice, has: Has, host: string, name: string): object {
  if (!has('consul')) return {};
  return {
    consul: {
      address: `http://${host}:8500`,
      ...(has('self-registration') ? {} : { registration: 'none' }),
      stale: dice.chance(0.7),
      wait: dice.pick(['5s', '30s', '5m']),
      rules: dice.chance(0.6),
      ...moreConsul(has, name),
    },
  };
}

export function drawConsul(
  dice: Dice,
  has: Has,
  replicas: readonly ReplicaPlan[],
  callers: readonly CallerPlan[],
): ConsulPlan {
  const defaultPolicy = dice.pick(['allow', 'deny'] as const);
  const byPath = dice.of('by path').chance(0.5) ? { isByPath: true } : {};
  const services = [...new Set(replicas.map(({ service }) => service))];
  const allowed = services.map((destination) => ({
    ...{ source: dice.chance(0.5) ? '*' : '', destination, action: 'allow' as const },
  }));
  return {
    machines: Object.fromEntries([...replicas, ...callers].map(({ name, file }) => [name, hostOf(file)])),
    defaultPolicy,
    intentions: allowed.flatMap(({ source, destination, action }) =>
      source === '*'
        ? [{ source, destination, action }]
        : callers.map(({ service }) => ({ source: service, destination, action, ...byPath })),
    ),
    entries: has('self-registration')
      ? []
      : replicas.map((replica) => ({ machine: replica.name, definitions: definitionsOf(replica) })),
    services: Object.fromEntries(replicas.map(({ name, service }) => [name, `${service}-${name}`])),
    callers: Object.fromEntries(callers.map(({ name, service }) => [name, service])),
    destination: replicas[0]!.service,
    agentsForget: dice.chance(0.5),
  };
}

function hostOf(file: object): string {
  return new URL((file as { consul: { address: string } }).consul.address).hostname;
}

/** A service and its proxy, as an operator registers them. */
function definitionsOf({ name, service, file }: ReplicaPlan): object[] {
  const id = `${service}-${name}`;
  const address = hostOf(file);
  const common = { Tags: [], Meta: {}, Weights: { Passing: 1, Warning: 1 }, Address: address };
  const proxy = { DestinationServiceName: service, DestinationServiceID: id, Upstreams: [] };
  return [
    { ID: id, Name: service, ...common, Port: 0, Checks: [] },
    {
      ...{ ID: `${id}-sidecar-proxy`, Name: `${service}-sidecar-proxy`, Kind: 'connect-proxy' },
      ...{ ...common, Port: 9443, Proxy: proxy },
      Checks: [
        { CheckID: `${id}-sidecar-proxy:service`, Name: 'alias', AliasService: id, Status: 'passing' },
      ],
    },
  ];
}

/** Faults of the whole: they are about no machine. */
const OF_SERVERS = ['consul-no-leader', 'consul-no-rights', 'consul-loses-state'];
/** Of slow answers: changes are told at once, from the begin to the end. */
const QUICK_SHARE = 0.6;
/** What is denied is denied again after this, at most, ms. */
const MOST_AGAIN_MS = 1_600;
const DEAFENING = CONSUL_FAULTS.slice(0, CONSUL_FAULTS.indexOf('flapping-check'));
const OF_REPLICA = ['flapping-check', 'deregister', 'maintenance'];

export function consulFaults(
  dice: Dice,
  has: Has,
  {
    replicas,
    callers,
    forMs,
  }: {
    readonly replicas: readonly ReplicaPlan[];
    readonly callers: readonly CallerPlan[];
    readonly forMs: number;
  },
): FaultPlan[] {
  // What is said of replicas is said of one: with all of them gone calls may fail.
  const victim = dice.pick(replicas.filter(({ service }) => service === replicas[0]!.service)).name;
  const names = [...replicas, ...callers].map(({ name }) => name);
  // What Consul says is judged strictly only where everybody can hear it.
  const isHeard = dice.chance(0.5);
  const kinds = CONSUL_FAULTS.filter((kind) => has(kind) && !(isHeard && DEAFENING.includes(kind)));
  // Reads of intentions overtake each other where a change is told while the ones before are under way.
  const isQuick = has('consul-slow') && dice.of('quick').chance(QUICK_SHARE);
  return kinds.map((kind): FaultPlan => {
    const own = dice.of(kind);
    const target = OF_SERVERS.includes(kind)
      ? ''
      : OF_REPLICA.includes(kind)
        ? victim
        : kind === 'deny-intention'
          ? own.pick(callers).name
          : own.chance(0.5)
            ? ''
            : own.pick(names);
    const isDenial = kind === 'deny-intention';
    const atMs = Math.round(own.next() * forMs * (isDenial ? (isQuick ? 0.1 : 0.4) : 0.8));
    const lastsMs = own.logBetween(isDenial ? 5_000 : 500, 15_000);
    const untilMs = isDenial && isQuick ? forMs : Math.min(forMs, atMs + lastsMs);
    const isAgain = isDenial && has('consul-slow') && untilMs - atMs > 3 * MOST_AGAIN_MS;
    const [leastMs, mostMs] = isQuick ? [100, MOST_AGAIN_MS / 3] : [200, MOST_AGAIN_MS];
    const amount = isAgain ? own.of('again').logBetween(leastMs, mostMs) : consulAmount(own, kind);
    if (kind === 'consul-slow' && isQuick)
      return {
        kind,
        atMs: 0,
        untilMs: forMs,
        target: '',
        amount: own.of('quick').between(700, 1_700),
        isQuickToTell: true,
      };
    return { kind, atMs, untilMs, target, amount };
  });
}

/** How old what is read is, how often a check changes, or how long an answer takes, ms. */
function consulAmount(dice: Dice, kind: ConsulFault): number {
  if (kind === 'consul-lags') return dice.logBetween(20, 3_000);
  if (kind === 'flapping-check') return dice.logBetween(100, 2_000);
  return kind === 'consul-slow' ? dice.logBetween(100, 3_000) : 0;
}
