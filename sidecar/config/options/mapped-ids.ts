/** `identity.ids`: which service a SPIFFE id that names none is. */
import * as z from 'zod';
import { DEFAULT_TRUST_DOMAIN } from '../defaults.js';
import { type FoundBlock, mapping, text } from './found.js';
import { option, type Report } from './option.js';
import { matching, name } from './values.js';

const ID = /^spiffe:\/\/[a-z0-9._-]+(\/(\*|(?!\.{1,2}(\/|$))[A-Za-z0-9._-]+)){1,16}$/;
const MAX_IDS = 1_000;
/** Ids that say for themselves what they are: Consul's of services, agents, gateways and identities. */
const SPOKEN_FOR =
  /^(\/ap\/[^/]+)?(\/ns\/[^/]+\/dc\/[^/]+\/svc\/|\/agent\/|\/gateway\/|\/ns\/[^/]+\/identity\/)/;

const id = () =>
  matching(
    'text',
    ID,
    'a SPIFFE id such as spiffe://mesh.example/ns/ml/sa/digits, in which "*" stands for one whole segment',
  );

/** From an id, or a pattern of ids, to the name of a service. */
export const mappedIds = option(
  z
    .record(id(), name('the name of a service'), {
      error: 'a map from SPIFFE ids to names of services',
    })
    .optional(),
  {
    meaning:
      "Maps SPIFFE ids that name no service, such as those that SPIRE issues by default, to services. `*` stands for one whole segment; an id without it wins. Callers and servers with an id in the map are that service, in any datacenter; this service's own certificate may have such an id too. A service in the map has these ids only: an id that names it in its path is refused (`unmapped-id`) unless the map lists it too, as `…/dc/*/svc/digits: digits` during a migration. Other ids that name no service are refused. All ids must be of the trust domain; with `identity.spire` they may be of one that it is federated with. An id of such a domain is a service only by an entry here, whatever its path says.",
    otherwise: 'absent: an id has to name its service, `…/ns/default/dc/DATACENTER/svc/SERVICE`',
    why: 'A service account of another namespace may have any name; only the operator knows which is which.',
  },
);

/** For a whole sidecar file. */
export function mappedIdRules(file: FoundBlock, report: Report): void {
  const trustDomain = text(file['trust_domain']) ?? DEFAULT_TRUST_DOMAIN;
  const ids = Object.entries(mapping(mapping(file['identity'])['ids'])).filter(([each]) => ID.test(each));
  const at = (each: string) => ['identity', 'ids', each];
  if (ids.length > MAX_IDS)
    report(['identity', 'ids'], `found ${ids.length} ids; expected at most ${MAX_IDS}`);
  for (const [i, [each, service]] of ids.slice(0, MAX_IDS).entries()) {
    const { domain, path } = partsOf(each);
    const isForeign = domain !== trustDomain;
    if (isForeign && mapping(file['identity'])['spire'] === undefined)
      report(
        at(each),
        `found an id of the trust domain ${domain}; expected one of ${trustDomain}, whose roots are trusted`,
      );
    if (!isForeign && SPOKEN_FOR.test(path) && !namesItself(path, service))
      report(at(each), 'found an id that says what it is; expected one that names no service of its own');
    const rival = ids
      .slice(0, i)
      .find(([other, its]) => its !== service && isAmbiguous(partsOf(each), partsOf(other)));
    if (rival !== undefined)
      report(
        at(each),
        `found beside ${rival[0]}, and an id may match both; expected the same service, or ids of which one is narrower`,
      );
  }
}

/** An id of Consul's form that names this very service: the map has bound the service, and this id is still it. */
function namesItself(path: string, service: unknown): boolean {
  return /^\/ns\/default\/dc\/[^/]+\/svc\/([^/*]+)$/.exec(path)?.[1] === service;
}

interface Parts {
  readonly domain: string;
  readonly path: string;
}

function partsOf(each: string): Parts {
  const slash = each.indexOf('/', 'spiffe://'.length);
  return { domain: each.slice('spiffe://'.length, slash), path: each.slice(slash) };
}

/** Whether some id matches both patterns, and neither has fewer wildcards. */
function isAmbiguous(one: Parts, other: Parts): boolean {
  const [a, b] = [one.path.split('/'), other.path.split('/')];
  if (one.domain !== other.domain || a.length !== b.length || wildcards(a) !== wildcards(b)) return false;
  return a.every((part, at) => part === b[at] || part === '*' || b[at] === '*');
}

function wildcards(parts: readonly string[]): number {
  return parts.filter((part) => part === '*').length;
}
