/**
 * Names inside a mesh file: upstreams, intentions, rate limits and classes of calls name services of the mesh.
 */
import { didYouMean } from '../../suggest.js';
import { entries, type FoundBlock, list, mapping, text } from '../found.js';
import type { Report } from '../option.js';

const CALLER_NAMES = ['client', 'caller', 'application'];

/** How the caller of a file is called that has no block `caller`. */
export function impliedCallerName(services: readonly string[]): string {
  return CALLER_NAMES.find((name) => !services.includes(name)) ?? `${services.join('-')}-client`;
}

/** `services`: those of the file. */
export function requireKnownNames(
  file: FoundBlock,
  services: readonly [string, FoundBlock][],
  report: Report,
): void {
  const names = services.map(([service]) => service);
  const caller =
    file['caller'] === undefined ? impliedCallerName(names) : text(mapping(file['caller'])['name']);
  requireKnownUpstreams(names, file, report);
  const people = [...names, ...elsewhere(file), ...(caller === undefined ? [] : [caller])];
  requireKnownIntentions(people, file, report);
  if (file['consul'] === undefined) requireKnownCallers(people, services, report);
}

/** Upstreams that are no service of this file, with a block that says where Consul has them. */
function elsewhere(file: FoundBlock): string[] {
  if (file['consul'] === undefined) return [];
  const all = callingBlocks(file).flatMap(({ block }) => entries(block['upstreams']));
  return all.flatMap(([upstream, said]) => (said['consul'] === undefined ? [] : [upstream]));
}

/** The blocks with upstreams: the caller, and services that call others. */
function callingBlocks(file: FoundBlock): { readonly at: string[]; readonly block: FoundBlock }[] {
  const services = entries(file['services']).map(([service, block]) => ({
    at: ['services', service],
    block,
  }));
  return [{ at: ['caller'], block: mapping(file['caller']) }, ...services];
}

function requireKnownUpstreams(names: readonly string[], file: FoundBlock, report: Report): void {
  const known = [...names, ...elsewhere(file)];
  const other = file['consul'] === undefined ? '' : ', or a block consul in it for a service elsewhere';
  for (const { at, block } of callingBlocks(file)) {
    for (const [upstream] of entries(block['upstreams'])) {
      if (known.includes(upstream)) continue;
      const hint = didYouMean(upstream, names);
      report(
        [...at, 'upstreams', upstream],
        `found no service of that name; expected one of ${names.join(', ')}${other}${hint}`,
      );
    }
  }
}

function requireKnownIntentions(names: readonly string[], file: FoundBlock, report: Report): void {
  for (const [i, intention] of list(file['intentions']).entries()) {
    for (const side of ['from', 'to']) {
      const said = text(mapping(intention)[side]);
      if (said === undefined || said === '*' || names.includes(said)) continue;
      report(['intentions', i, side], unknownService(said, names));
    }
  }
}

/** Without Consul only services of the file can call: they are named by rate limits, and by classes that only some may name. */
function requireKnownCallers(
  names: readonly string[],
  services: readonly [string, FoundBlock][],
  report: Report,
): void {
  for (const [service, said] of services) {
    const priority = mapping(mapping(said['queue'])['priority']);
    const lists = [
      { at: ['rate_limits'], of: said['rate_limits'] },
      { at: ['queue', 'priority', 'callers'], of: priority['callers'] },
    ];
    for (const { at, of } of lists)
      for (const [i, each] of list(of).entries())
        for (const [j, caller] of list(mapping(each)['callers']).entries()) {
          if (typeof caller !== 'string' || caller === '*' || names.includes(caller)) continue;
          report(['services', service, ...at, i, 'callers', j], unknownService(caller, names));
        }
  }
}

function unknownService(said: string, names: readonly string[]): string {
  const hint = didYouMean(said, names);
  return `found "${said}", which is no service of this mesh; expected one of ${names.join(', ')} or "*"${hint}`;
}
