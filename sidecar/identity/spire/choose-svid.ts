import { MAX_ENTRIES, readSvids, type WorkloadSvid, type WorkloadSvids } from '../../codec/workload-api.js';
import { attempt } from '../../runtime/attempt.js';
import type { Identity, IdentityParts } from '../identity.js';
import type { MappedIds } from '../mapped-ids.js';
import { assembleIdentity } from '../sources/assemble-identity.js';
import { type IdentityProblem, isProblem, splitSpiffeUri } from '../spiffe.js';
import { parseRoots } from '../x509/chain.js';
import { certificatesFromDer, certificateToPem, privateKeyDerToPem } from '../x509/pem.js';

/** Which of several SVIDs is wanted, and what it has to be. */
export interface WantedSvid {
  readonly trustDomain: string;
  readonly service: string;
  readonly ids?: MappedIds | undefined;
  /** Undefined: the first that is the service. */
  readonly hint?: string | undefined;
}

/** The identity that a response holds. */
export interface ChosenSvid {
  readonly identity: Identity;
  /** Bundles of other trust domains that cannot be read, one sentence each; their peers are refused. */
  readonly leftOut: readonly string[];
}

/**
 * Takes the wanted SVID out of an X509SVIDResponse. Where several have the hint, the first counts (SPIFFE_Workload_API.md, section 5.2.1);
 * without a hint the first that passes all checks as this service. The bundle of its own trust domain comes with the SVID, those of others with
 * the response.
 */
export function chooseSvid(
  bytes: Buffer,
  wanted: WantedSvid,
  wallNowMs: number,
): ChosenSvid | IdentityProblem {
  const response = attempt(() => readSvids(bytes), undefined);
  if (response === undefined) return { problem: 'the response is no X509SVIDResponse' };
  const { svids } = response;
  if (svids.length === 0) return { problem: 'the response has no SVID' };
  const { hint } = wanted;
  const meant = hint === undefined ? svids : svids.filter((each) => each.hint === hint).slice(0, 1);
  const { unread } = response;
  const cap =
    unread.svids === 0 ? '' : ` (${unread.svids} SVIDs after the first ${MAX_ENTRIES} are not read)`;
  if (meant.length === 0)
    return { problem: `no SVID has the hint ${quote(hint!)}; found ${listOf(svids)}${cap}` };
  const { federatedPem, leftOut } = readFederated(response, wanted.trustDomain);
  let first: string | undefined;
  for (const svid of meant) {
    const identity = made(svid, { federatedPem }, wanted, wallNowMs);
    if (!isProblem(identity)) return { identity, leftOut };
    first ??= identity.problem;
  }
  return {
    problem: (meant.length === 1 ? first! : `none of ${listOf(svids)} can be used: ${first!}`) + cap,
  };
}

function made(
  svid: WorkloadSvid,
  others: Pick<IdentityParts, 'federatedPem'>,
  wanted: WantedSvid,
  wallNowMs: number,
): Identity | IdentityProblem {
  const chain = certificatesFromDer(svid.chainDer);
  if (chain === undefined)
    return { problem: `certificate: ${quote(svid.spiffeId)} has none that can be read` };
  const roots = certificatesFromDer(svid.bundleDer);
  if (roots === undefined) return { problem: `roots: ${quote(svid.spiffeId)} has none that can be read` };
  const identity = assembleIdentity(
    {
      certChainPem: chain.map(certificateToPem).join(''),
      keyPem: privateKeyDerToPem(svid.keyDer),
      rootsPem: roots.map(certificateToPem).join(''),
      ...others,
    },
    wanted,
    wallNowMs,
  );
  if (isProblem(identity) || identity.id.uri === svid.spiffeId) return identity;
  return { problem: `certificate: is of ${identity.id.uri}, but is said to be of ${quote(svid.spiffeId)}` };
}

/** One bundle that is wrong must not take the others away, nor the SVID. */
function readFederated({ federated, unread }: WorkloadSvids, ownTrustDomain: string) {
  const federatedPem = new Map<string, string>();
  const leftOut: string[] = [];
  for (const [uri, der] of federated) {
    const id = splitSpiffeUri(uri);
    const ders = certificatesFromDer(der);
    if (isProblem(id)) leftOut.push(`the bundle of ${quote(uri)} is left out: ${id.problem}`);
    else if (ders === undefined) leftOut.push(`the bundle of ${quote(uri)} is left out: it cannot be read`);
    // Roots of the own domain come with the SVID alone.
    else if (id.trustDomain !== ownTrustDomain.toLowerCase()) {
      const roots = parseRoots(id.trustDomain, ders);
      if (isProblem(roots)) leftOut.push(`the bundle of ${quote(uri)} is left out: ${roots.problem}`);
      else federatedPem.set(id.trustDomain, ders.map(certificateToPem).join(''));
    }
  }
  if (unread.federated > 0)
    leftOut.push(
      `${unread.federated} bundles of other trust domains are left out: at most ${MAX_ENTRIES} are read`,
    );
  return { leftOut, federatedPem: federatedPem.size === 0 ? undefined : federatedPem };
}

function listOf(svids: readonly WorkloadSvid[]): string {
  const names = svids.map(({ spiffeId, hint }) => quote(spiffeId) + (hint === '' ? '' : ` (${quote(hint)})`));
  return names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
}

/** Text of the agent on one line, at most 200 characters. */
function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text);
}
