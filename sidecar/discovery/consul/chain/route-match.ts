import type { HeaderMatch, Pattern, TrafficMatch } from '../../../core/routing/route-match.js';
import { compileRe2 } from '../../re2-pattern.js';
import { fieldIn, isSet, type Json, listIn, objectIn, quote, textIn } from '../parser/json-fields.js';
import { unknownIn } from './chain-json.js';

/** What a route of a service-router asks of a call. `never`: no call of gRPC can match, for this reason. */
type Matched = { kind: 'some'; match: TrafficMatch | undefined } | { kind: 'never'; why: string };

type Path = Pick<TrafficMatch, 'exact' | 'prefix' | 'regex' | 'ignoreCase'>;

class Unreadable extends Error {}

const KNOWN_OF_MATCH = new Set([
  ...['PathExact', 'PathPrefix', 'PathRegex', 'CaseInsensitive', 'Header', 'QueryParam', 'Methods'],
]);

/** The match of a route as the data plane has it. @param match the route's `Match`; absent: every call. */
export function matchOf(match: Json | undefined): Matched {
  const http = objectIn(match, 'HTTP');
  if (http === undefined) return { kind: 'some', match: undefined };
  const [unknown] = unknownIn(http, KNOWN_OF_MATCH);
  if (unknown !== undefined) return never(`Match.HTTP asks for ${unknown}, which is not known here`);
  const methods = listIn(http, 'Methods');
  if (methods.length > 0 && !methods.includes('POST')) return never('Match.HTTP.Methods is without POST');
  if (listIn(http, 'QueryParam').length > 0)
    return never('Match.HTTP.QueryParam asks for a query, which no call of gRPC has');
  try {
    const path = pathOf(http);
    const headers = listIn(http, 'Header').map(headerOf);
    const isEverything = Object.keys(path).length === 0 && headers.length === 0;
    return { kind: 'some', match: isEverything ? undefined : { ...path, headers } };
  } catch (error) {
    if (error instanceof Unreadable) return never(error.message);
    throw error;
  }
}

/** A route that no call of gRPC can match. */
function never(why: string): Matched {
  return { kind: 'never', why };
}

/**
 * The path of a match. A prefix of `/` matches every path, and so is none. `CaseInsensitive` has no effect on a
 * regex.
 */
function pathOf(http: Json): Path {
  const exact = textIn(http, 'PathExact');
  const prefix = textIn(http, 'PathPrefix');
  const regex = textIn(http, 'PathRegex');
  const ignoreCase = http['CaseInsensitive'] === true ? ({ ignoreCase: true } as const) : {};
  if (regex !== '') return { regex: regexOf(regex, 'Match.HTTP.PathRegex') };
  if (exact !== '') return { exact, ...ignoreCase };
  return prefix === '' || prefix === '/' ? {} : { prefix, ...ignoreCase };
}

/** The fields of `Match.HTTP.Header` that are read; another one that is set makes the route unreadable. */
const PLAIN_KINDS = ['Exact', 'Prefix', 'Suffix'];
const HEADER_FIELDS = ['Name', 'Present', 'Regex', 'Invert', ...PLAIN_KINDS];

/** One header of a match. @throws Unreadable when it names no header or asks for what is unknown. */
function headerOf(header: unknown): HeaderMatch {
  const name = textIn(header, 'Name').toLowerCase();
  const invert = fieldIn(header, 'Invert') === true;
  const kind = PLAIN_KINDS.find((field) => textIn(header, field) !== '');
  const regex = textIn(header, 'Regex');
  if (name === '') throw new Unreadable('Match.HTTP.Header is without a Name');
  const where = `Match.HTTP.Header ${quote(name)}`;
  for (const [field, said] of Object.entries(header as Json))
    if (isSet(said) && !HEADER_FIELDS.includes(field))
      throw new Unreadable(`${where} asks for ${field}, which is not known here`);
  if (kind !== undefined)
    return { name, [kind.toLowerCase()]: textIn(header, kind), invert } as unknown as HeaderMatch;
  if (regex !== '') return { name, regex: regexOf(regex, where), invert };
  if (fieldIn(header, 'Present') !== true) throw new Unreadable(`${where} says nothing of its value`);
  return { name, present: true, invert };
}

/** RE2 as Envoy uses it: the whole value has to match. */
function regexOf(source: string, where: string): Pattern {
  const pattern = compileRe2(source);
  if ('fault' in pattern) throw new Unreadable(`${where} ${quote(source)} has ${pattern.fault}`);
  return pattern;
}
