/**
 * Names of upstreams inside upstreams: each has to exist, and fallbacks must not lead back to where they began.
 */
import { didYouMean } from '../../suggest.js';
import { routeFrom } from '../../way.js';
import { entries, list, mapping, text } from '../found.js';
import type { Report } from '../option.js';

/** One place where a route of an upstream names another one. */
interface Mention {
  readonly from: string;
  readonly to: string;
  /** Below the block `upstreams`. */
  readonly path: (string | number)[];
  readonly what: 'fallback' | 'split' | 'mirror';
}

/** `upstreams`: the map of a file. Paths are reported as below the block that holds it. */
export function refuseBadNames(upstreams: unknown, report: Report): void {
  const all = entries(upstreams);
  const names = all.map(([name]) => name);
  const mentions = all.flatMap(([from, said]) =>
    list(said['routes']).flatMap((route, i) => mentionsIn(from, ['upstreams', from, 'routes', i], route)),
  );
  const good = mentions.filter((mention) => isGood(mention, names, report));
  refuseCircles(
    good.filter(({ what }) => what === 'fallback'),
    report,
  );
}

function mentionsIn(from: string, above: (string | number)[], route: unknown): Mention[] {
  const { fallback, split, mirror } = mapping(route);
  const found: Mention[] = [];
  const add = (what: Mention['what'], to: unknown, ...below: (string | number)[]) => {
    const name = text(to);
    if (name !== undefined) found.push({ from, to: name, path: [...above, what, ...below], what });
  };
  for (const [i, step] of list(fallback).entries()) add('fallback', mapping(step)['upstream'], i, 'upstream');
  for (const [i, match] of list(mapping(split)['match']).entries())
    add('split', mapping(match)['upstream'], 'match', i, 'upstream');
  for (const name of Object.keys(mapping(mapping(split)['weights']))) add('split', name, 'weights', name);
  add('mirror', mapping(mirror)['upstream'], 'upstream');
  return found;
}

/** A split may keep a share for the upstream itself. */
function isGood({ from, to, path, what }: Mention, names: readonly string[], report: Report): boolean {
  if (!names.includes(to)) {
    const others = names.filter((name) => name !== from || what === 'split');
    const hint = didYouMean(to, others);
    const expected =
      others.length === 0 ? 'another upstream, and there is none' : `one of ${others.join(', ')}`;
    report(path, `found "${to}", which is no upstream of this file; expected ${expected}${hint}`);
    return false;
  }
  if (from !== to) return true;
  if (what !== 'split') report(path, `found "${to}" itself; expected another upstream`);
  return false;
}

/** Reports the fallback that closes a circle; the others of the circle are fine without it. */
function refuseCircles(fallbacks: readonly Mention[], report: Report): void {
  const accepted: Mention[] = [];
  for (const mention of fallbacks) {
    const next = (name: string) => accepted.flatMap(({ from, to }) => (from === name ? [to] : []));
    const back = routeFrom(mention.to, mention.from, next);
    if (back === undefined) {
      accepted.push(mention);
      continue;
    }
    const circle = [mention.from, ...back].join(' → ');
    report(
      mention.path,
      `found "${mention.to}", which leads back here: ${circle}; expected fallbacks that come to an end`,
    );
  }
}
