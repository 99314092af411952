/**
 * Header lists on their way through: which fields are dropped, replaced or added. Work on a stable list is done once
 * and memoised on it; per call only the fields that vary are looked at.
 */

import { MetadataKey } from '../core/metadata-key.js';
import type { HeaderEdits } from '../core/routing/header-edits.js';
import { headerViewOf } from '../http2/header-view.js';
import { type HeaderField, makeField } from '../http2/hpack/field.js';
import { HeaderBlock, StableList } from '../http2/hpack/header-list.js';
import { isOwnToken, Token } from '../http2/hpack/tokens.js';
import { NO_FIELDS } from '../http2/stream.js';
import { TimeoutFields } from './timeout-fields.js';

/** What one leg does to requests. Objects are compared by identity: make one per leg and keep it. */
export interface RequestProfile {
  readonly scheme: HeaderField;
  /** Replaces `:authority`; absent = passed on. */
  readonly authority?: HeaderField;
  /**
   * `forwarded` (RFC 7239) and `x-forwarded-client-cert` (Envoy) are dropped: they name the client of a proxy, and are
   * worth nothing from a peer that proved itself by its own certificate only.
   */
  readonly dropsForwarded: boolean;
  /** `outrider-resume-after` of the sidecar at the caller is for the service. */
  readonly keepsResume: boolean;
  /** Fields more. */
  readonly added: readonly HeaderField[];
}

interface Memo {
  readonly profile: RequestProfile | null;
  readonly list: StableList;
  readonly next: Memo | null;
}

/** What forwarded requests of an outbound side get: the scheme, and the authority unless the caller's is kept. */
export function requestProfile(
  scheme: 'http' | 'https',
  authority?: string,
  added: readonly HeaderField[] = NO_FIELDS,
): RequestProfile {
  return {
    scheme: makeField(':scheme', scheme),
    dropsForwarded: false,
    keepsResume: false,
    ...(authority === undefined ? {} : { authority: makeField(':authority', authority) }),
    added,
  };
}

/** From a peer to the local model service. */
export function inboundProfile(): RequestProfile {
  return { scheme: makeField(':scheme', 'http'), dropsForwarded: true, keepsResume: true, added: NO_FIELDS };
}

/** The stable part of a request as it goes on: `outrider-*` and what else the leg drops stripped, scheme and authority replaced. */
export function forwardRequest(block: HeaderBlock, profile: RequestProfile): StableList {
  if (hasPseudoExtras(block)) return forwardLongRequest(block, profile);
  const list = block.stable;
  for (let memo = list.slot as Memo | null; memo !== null; memo = memo.next) {
    if (memo.profile === profile) return memo.list;
  }
  const forward = rewrite(list.toFields(), profile);
  list.slot = { profile, list: forward, next: list.slot as Memo | null } satisfies Memo;
  return forward;
}

function rewrite(fields: readonly HeaderField[], profile: RequestProfile): StableList {
  const { scheme, authority, added } = profile;
  const replaced = (field: HeaderField): HeaderField => {
    if (field.token === Token.scheme) return scheme;
    return field.token === Token.authority && authority ? authority : field;
  };
  const hasAuthority = fields.some(({ token }) => token === Token.authority);
  const namesHost = hasAuthority || authority !== undefined;
  const kept = fields.filter((field) => !isDropped(field, profile, namesHost)).map(replaced);
  const isAdded = authority && !hasAuthority;
  // Pseudo-headers come first (RFC 9113 section 8.3).
  const all = isAdded ? [authority, ...kept] : kept;
  return StableList.of(added.length === 0 ? all : [...all, ...added]);
}

/** @param namesHost the request has an `:authority` as it goes on. */
function isDropped(field: HeaderField, profile: RequestProfile, namesHost: boolean): boolean {
  switch (field.token) {
    // It would contradict that, and servers differ in which one they believe (RFC 9113 section 8.3.1).
    case Token.host:
      return namesHost;
    case Token.forwarded:
    case Token.xForwardedClientCert:
      return profile.dropsForwarded;
    case Token.outrider:
      return !(profile.keepsResume && field.name === MetadataKey.resumeAfter);
    case Token.grpcTimeout:
    case Token.grpcPreviousRpcAttempts:
    case Token.outriderQueueMs:
    case Token.outriderDeadline:
    case Token.outriderEngineModel:
      return true;
    default:
      return false;
  }
}

/**
 * The varying part of a request as it goes on, with what we add.
 * @param leftMs time left; Infinity: no deadline.
 * @param attempts of this sidecar before this one; those of the caller before this call are added (gRFC A6).
 */
export function forwardExtras(
  block: HeaderBlock,
  profile: RequestProfile,
  leftMs: number,
  added: HeaderField | null,
  attempts: number,
): readonly HeaderField[] {
  const extras: HeaderField[] = [];
  if (leftMs !== Number.POSITIVE_INFINITY) extras.push(timeoutField(leftMs));
  let before = attempts;
  const namesHost = profile.authority !== undefined || headerViewOf(block).hasAuthority;
  for (const field of block.extras) {
    if (!isDropped(field, profile, namesHost)) {
      if (!isPseudo(field)) extras.push(field);
    } else if (field.token === Token.grpcPreviousRpcAttempts) before = attempts + attemptsIn(field.value);
  }
  if (added !== null) extras.push(added);
  if (before > 0) extras.push(PREVIOUS_ATTEMPTS[Math.min(before, MAX_ATTEMPTS)]!);
  return extras.length === 0 ? NO_FIELDS : extras;
}

function isPseudo({ token }: HeaderField): boolean {
  return token !== Token.other && token <= Token.scheme;
}

/** Pseudo-headers are partly among the extras: very long paths are. */
function hasPseudoExtras({ extras }: HeaderBlock): boolean {
  for (const field of extras) if (isPseudo(field)) return true;
  return false;
}

/** The stable part for that rare case: every pseudo-header first. Nothing is memoised. */
function forwardLongRequest(block: HeaderBlock, profile: RequestProfile): StableList {
  const all = [...block.stable.toFields(), ...block.extras.filter(isPseudo)];
  return rewrite([...all.filter(isPseudo), ...all.filter((field) => !isPseudo(field))], profile);
}

/**
 * Response or trailers of the local model, or of an upstream outside the mesh: its `outrider-*` fields are removed, but what it says
 * of a resumed stream (`outrider-resumed-from`).
 */
export function stripResponse(list: StableList): StableList {
  if (list.slot !== null) return (list.slot as Memo).list;
  const fields = list.toFields();
  const kept = stripExtras(fields);
  const result = kept === fields ? list : StableList.of(kept);
  list.slot = { profile: null, list: result, next: null } satisfies Memo;
  return result;
}

/** The fields without `outrider-*` ones; the same array when there are none. */
export function stripExtras(extras: readonly HeaderField[]): readonly HeaderField[] {
  for (const field of extras) if (isStripped(field)) return extras.filter((each) => !isStripped(each));
  return extras;
}

/** The fields without what an engine runs, which is between sidecars; the same array when it is not said. */
export function stripEngineModel(extras: readonly HeaderField[]): readonly HeaderField[] {
  for (const { token } of extras)
    if (token === Token.outriderEngineModel)
      return extras.filter((each) => each.token !== Token.outriderEngineModel);
  return extras;
}

function isStripped({ token, name }: HeaderField): boolean {
  return isOwnToken(token) && name !== MetadataKey.resumedFrom;
}

/** Trailers of a refusal that do not say so any more (`outrider-unprocessed`). Rare, so that nothing is memoised. */
export function stripMark(list: StableList): StableList {
  const fields = list.toFields();
  const kept = stripMarkOf(fields);
  return kept === fields ? list : StableList.of(kept);
}

/** The fields without that one; the same array when it is not there. */
export function stripMarkOf(fields: readonly HeaderField[]): readonly HeaderField[] {
  return fields.some(isMark) ? fields.filter((field) => !isMark(field)) : fields;
}

function isMark({ name }: HeaderField): boolean {
  return name === MetadataKey.unprocessed;
}

/** Whether trailers hold a load report (ORCA), in either form. @param extras their varying fields, among which reports always are. */
export function hasReport(extras: readonly HeaderField[]): boolean {
  for (const field of extras) if (isReport(field)) return true;
  return false;
}

function isReport({ token }: HeaderField): boolean {
  return token === Token.endpointLoadMetricsBin || token === Token.endpointLoadMetrics;
}

function isAboutLoad(field: HeaderField): boolean {
  return field.token === Token.outriderQueueMs || isReport(field);
}

/** Varying fields without load reports and queue times; the same array when there are none. */
export function stripReports(extras: readonly HeaderField[]): readonly HeaderField[] {
  for (const field of extras) if (isAboutLoad(field)) return extras.filter((each) => !isAboutLoad(each));
  return extras;
}

const TIMEOUTS = new TimeoutFields('grpc-timeout');

/** The `grpc-timeout` field for this many ms. */
export function timeoutField(leftMs: number): HeaderField {
  return TIMEOUTS.of(leftMs);
}

/** More attempts than any client makes; a larger number is cut to this. */
const MAX_ATTEMPTS = 9;
const PREVIOUS_ATTEMPTS: readonly HeaderField[] = Array.from({ length: MAX_ATTEMPTS + 1 }, (_, n) =>
  makeField('grpc-previous-rpc-attempts', String(n)),
);

/** One digit; anything else counts as none. */
function attemptsIn(value: string): number {
  const digit = value.length === 1 ? value.charCodeAt(0) - 48 : 0;
  return digit >= 1 && digit <= MAX_ATTEMPTS ? digit : 0;
}

/** Paths remembered as fields: the same one recurs with every call of its method. */
const REMEMBERED_PATHS = 1024;

/** Fields for paths that a traffic rule rewrites, remembered up to a bound, so that a call allocates no field. */
export class PathFields {
  private readonly fields = new Map<string, HeaderField>();

  /** The same request with another `:path`. */
  rewritten(block: HeaderBlock, path: string): HeaderBlock {
    const field = this.fieldOf(path);
    const change = (each: HeaderField): HeaderField => (each.token === Token.path ? field : each);
    const list = StableList.of(block.stable.toFields().map(change));
    const extras = block.extras.map(change);
    return new HeaderBlock(list, extras, block.bytes, block.count, block.overLimit, block.misordered);
  }

  private fieldOf(path: string): HeaderField {
    let field = this.fields.get(path);
    if (field === undefined) {
      field = makeField(':path', path);
      if (this.fields.size < REMEMBERED_PATHS) this.fields.set(path, field);
    }
    return field;
  }
}

/**
 * Changes header lists as a traffic rule says. Its fields are made once, and what it makes of a stable list is the same list
 * each time, so that work on that is remembered as for any other.
 */
export class HeaderEditor {
  /** Names that are removed or replaced, lower case. */
  private readonly removed: ReadonlySet<string>;
  /** In the order in which they follow those that stay. */
  private readonly added: readonly HeaderField[];

  constructor({ remove, set, add }: HeaderEdits) {
    this.removed = new Set([...remove, ...set.map(([name]) => name)]);
    this.added = [...set, ...add].map(([name, value]) => makeField(name, value));
  }

  /** The same request with other headers. */
  request(block: HeaderBlock): HeaderBlock {
    const { bytes, count, overLimit, misordered } = block;
    const extras = this.extras(block.extras);
    return new HeaderBlock(this.list(block.stable), extras, bytes, count, overLimit, misordered);
  }

  /** The stable part, with what is added. */
  list(list: StableList): StableList {
    return StableList.of([...this.extras(list.toFields()), ...this.added]);
  }

  /** The fields that stay; the same array where all of them do. */
  extras(fields: readonly HeaderField[]): readonly HeaderField[] {
    return fields.some(({ name }) => this.removed.has(name))
      ? fields.filter(({ name }) => !this.removed.has(name))
      : fields;
  }
}
