/**
 * What Consul is asked for an upstream: a service of the catalogue, which of its instances, and where else to look.
 */
import * as z from 'zod';
import type { CodeOf } from '../../names.js';
import { type FoundBlock, list, mapping, texts, WRONG } from '../found.js';
import { block, option, type Report } from '../option.js';
import { name } from '../values.js';
import { consulDatacenter, tagList, wantedMeta } from './values.js';

const datacenter = option(consulDatacenter().optional(), {
  meaning: 'The datacenter to ask about.',
  otherwise: "the agent's own",
  why: 'The nearest one.',
});

const failoverTarget = block({
  service: option(name('the name of a service').optional(), {
    meaning: 'The service that stands in.',
    otherwise: "the upstream's",
    why: 'Usually the same one elsewhere.',
  }),
  datacenter,
  tags: option(tagList().optional(), {
    meaning: 'Tags that an instance has to have, all of them.',
    otherwise: "the upstream's, if it is the same service; else `[]`",
    why: 'A subset of a service stays that subset elsewhere.',
  }),
  meta: option(wantedMeta().optional(), {
    meaning: 'Metadata that an instance has to have, all of it.',
    otherwise: "the upstream's, if it is the same service; else empty",
    why: 'A subset of a service stays that subset elsewhere.',
  }),
});

/** `consul` of an upstream. */
export const discovery = block({
  service: option(name('the name of a service').optional(), {
    meaning: 'Name in the catalogue, and the identity that its instances have to prove.',
    otherwise: 'the name of the upstream',
    why: 'Usually an upstream is called as its service.',
  }),
  datacenter,
  tags: option(tagList().prefault([]), {
    meaning: 'Only instances that have all of these tags.',
    why: 'Every instance will do.',
  }),
  meta: option(wantedMeta().prefault({}), {
    meaning: 'Only instances that have all of this metadata.',
    why: 'Every instance will do.',
  }),
  failover: option(
    z
      .array(failoverTarget, { error: 'a list of blocks, each with service, datacenter, tags and meta' })
      .max(16, { error: 'at most 16 places to fail over to' })
      .prefault([]),
    {
      meaning:
        'Used in this order. Each is used only while none before it has an instance that can be called.',
      why: 'Instances elsewhere are slower; whether that is acceptable depends on the traffic.',
    },
  ),
});

/** What Consul is asked for an upstream. */
export interface DiscoveryConfig extends DiscoveryTarget {
  /** Used in this order, each while none before it has a healthy instance. */
  readonly failover: readonly DiscoveryTarget[];
}

/** Instances of one service in one datacenter. */
export interface DiscoveryTarget {
  /** Name in the catalogue. */
  readonly service: string;
  /** Absent: the agent's own. */
  readonly datacenter?: string;
  /** An instance needs all of them. */
  readonly tags: readonly string[];
  readonly meta: Readonly<Record<string, string>>;
}

/** What an upstream asks Consul for when its block says nothing, or is not there. */
export function plainDiscovery(upstream: string): DiscoveryConfig {
  return { service: upstream, tags: [], meta: {}, failover: [] };
}

/** What the block of an upstream of this name asks for: the same service elsewhere inherits what its instances must have. */
export function targetsOf(upstream: string, said: CodeOf<typeof discovery>): DiscoveryConfig {
  const { failover, ...rest } = said;
  const first = { ...rest, service: said.service ?? upstream };
  const targets = failover.map((target): DiscoveryTarget => {
    const service = target.service ?? first.service;
    const { tags, meta } = service === first.service ? first : { tags: [], meta: {} };
    return { tags, meta, ...target, service };
  });
  return { ...first, failover: targets };
}

/** For the block of a named upstream: a target that comes again has just been found to have nothing. */
export function refuseRepeatedTargets(upstream: string, found: FoundBlock, report: Report): void {
  const first = { service: upstream, ...found };
  if (isWrong(first)) return;
  const seen = new Map<string, string>([[identityOf(first, first), 'the upstream itself']]);
  for (const [i, item] of list(found['failover']).entries()) {
    const target = mapping(item);
    if (isWrong(target) || item === WRONG) continue;
    const key = identityOf(target, first);
    const before = seen.get(key);
    if (before !== undefined)
      report(['failover', i], `found the same target again, as in ${before}; expected each once`);
    else seen.set(key, `failover[${i}]`);
  }
}

/** The same text for the same instances. */
function identityOf(target: FoundBlock, first: FoundBlock): string {
  const service = target['service'] ?? first['service'];
  const same = service === first['service'];
  const tags = target['tags'] ?? (same ? first['tags'] : []);
  const meta = mapping(target['meta'] ?? (same ? first['meta'] : {}));
  const sorted = Object.entries(meta).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([service, target['datacenter'] ?? '', [...new Set(texts(tags))].sort(), sorted]);
}

function isWrong(target: FoundBlock): boolean {
  return Object.values(target).some(
    (said) => said === WRONG || Object.values(mapping(said)).includes(WRONG) || list(said).includes(WRONG),
  );
}
