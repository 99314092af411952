/**
 * The table of leaves: what each kind of certificate looks like, and what must become of it. Used by the tests of
 * the verification itself and by those on real sockets, in both roles, fresh and resumed.
 */

import { generateKeyPair } from '../../../sidecar/identity/ca/certificate-builder.js';
import type { PeerRejection } from '../../../sidecar/identity/tls/peer-verification.js';
import {
  type LeafOptions,
  selfSignedLeaf,
  spiffeUri,
  TestAuthority,
  type TestLeaf,
  TRUST_DOMAIN,
} from './certificates.js';

export interface LeafKind {
  readonly name: string;
  readonly leaf: TestLeaf;
  readonly expected: { readonly service: string } | { readonly reason: PeerRejection };
  /** When a session is resumed only the leaf is known, so a chain over intermediates cannot be shown again. */
  readonly resumed?: PeerRejection;
  /** OpenSSL trusts it: only the sidecar's own check, after the handshake, refuses it. */
  readonly isOurs?: true;
}

const DAY_MS = 24 * 3_600_000;

/** An unknown extension, holding a NULL. */
function unknownCritical() {
  return [{ oid: '1.3.6.1.4.1.55555.1', critical: true, der: Buffer.from([0x05, 0x00]) }];
}

/** nameConstraints with one subtree; `tag` 0xa0 = permitted, 0xa1 = excluded. */
function nameConstraints(tag: number, host: string) {
  const uri = Buffer.concat([Buffer.from([0x86, host.length]), Buffer.from(host)]);
  const subtree = Buffer.concat([Buffer.from([0x30, uri.length]), uri]);
  const subtrees = Buffer.concat([Buffer.from([tag, subtree.length]), subtree]);
  const der = Buffer.concat([Buffer.from([0x30, subtrees.length]), subtrees]);
  return { oid: '2.5.29.30', critical: true, der };
}

/** Under TLS 1.2 OpenSSL's own servers cannot use a leaf that may not sign: no handshake gets that far. */
export function servable(kind: LeafKind, version: string): boolean {
  return version !== 'TLSv1.2' || kind.name !== 'no digitalSignature';
}

export async function leafKinds(root: TestAuthority): Promise<LeafKind[]> {
  const groups = await Promise.all([accepted(root), badIds(root), badPurposes(root), badPaths(root)]);
  return groups.flat();
}

async function accepted(root: TestAuthority): Promise<LeafKind[]> {
  const intermediate = await root.intermediate();
  const second = await intermediate.intermediate({ commonName: 'Second intermediate', pathLength: 0 });
  const permitted = await root.intermediate({ extra: [nameConstraints(0xa0, TRUST_DOMAIN)] });
  const right = { service: 'web' };
  const unnamed = await root.intermediate({ uris: [] });
  const upperHost = spiffeUri('web').replace(TRUST_DOMAIN, TRUST_DOMAIN.toUpperCase());
  const dnsNames = ['web.local'];
  const admin = 'web/admin';
  const below = { expected: right, resumed: 'untrusted' } as const;
  return [
    { name: 'right', leaf: await root.leaf(), expected: right },
    { name: 'web%2Fadmin', leaf: await root.leaf({ service: admin }), expected: { service: admin } },
    { name: 'a DNS name beside the URI', leaf: await root.leaf({ dnsNames }), expected: right },
    { name: 'no extended key usage', leaf: await root.leaf({ extendedUsages: 'absent' }), expected: right },
    { name: 'trust domain in upper case', leaf: await root.leaf({ uris: [upperHost] }), expected: right },
    { name: 'one intermediate', leaf: await intermediate.leaf(), ...below },
    { name: 'two intermediates', leaf: await second.leaf(), ...below },
    { name: 'intermediate without an id', leaf: await unnamed.leaf(), ...below },
    { name: 'intermediate bound to the domain', leaf: await permitted.leaf(), ...below },
  ];
}

function badIds(root: TestAuthority): Promise<LeafKind[]> {
  const base = spiffeUri('web');
  const ids: ReadonlyArray<readonly [string, readonly string[], PeerRejection]> = [
    ['wrong trust domain', [spiffeUri('web', 'other.consul')], 'wrong-trust-domain'],
    ['trust domain as a suffix', [spiffeUri('web', `evil.${TRUST_DOMAIN}`)], 'wrong-trust-domain'],
    ['two URI names', [base, spiffeUri('api')], 'several-uris'],
    ['the same URI name twice', [base, base], 'several-uris'],
    ['DNS name only', [], 'no-uri'],
    ['scheme SPIFFE', [base.replace('spiffe', 'SPIFFE')], 'bad-spiffe-id'],
    ['scheme https', [base.replace('spiffe', 'https')], 'bad-spiffe-id'],
    ['query', [`${base}?x=1`], 'bad-spiffe-id'],
    ['fragment', [`${base}#f`], 'bad-spiffe-id'],
    ['user information', [base.replace('//', '//user@')], 'bad-spiffe-id'],
    ['port', [base.replace('/ns/', ':8080/ns/')], 'bad-spiffe-id'],
    ['root path', [`spiffe://${TRUST_DOMAIN}`], 'bad-spiffe-id'],
    ['trailing slash', [`${base}/`], 'bad-spiffe-id'],
    ['a segment more', [`${base}/admin`], 'bad-spiffe-id'],
    ['empty service', [base.replace(/web$/, '')], 'bad-spiffe-id'],
    ['escaped NUL', [`${base}%00`], 'bad-spiffe-id'],
    ['escaped dots', [base.replace(/web$/, '%2e%2e')], 'bad-spiffe-id'],
    ['half an escape', [`${base}%2`], 'bad-spiffe-id'],
    ['escapes that are no UTF-8', [`${base}%ff`], 'bad-spiffe-id'],
    ['agent', [`spiffe://${TRUST_DOMAIN}/agent/client/dc/dc1/id/n1`], 'bad-spiffe-id'],
    ['server', [`spiffe://${TRUST_DOMAIN}/agent/server/dc/dc1`], 'bad-spiffe-id'],
    ['mesh gateway', [`spiffe://${TRUST_DOMAIN}/gateway/mesh/dc/dc1`], 'bad-spiffe-id'],
    ['over-long id', [spiffeUri('w'.repeat(2048))], 'bad-spiffe-id'],
    ['over-long trust domain', [spiffeUri('web', `${'d'.repeat(250)}.consul`)], 'bad-spiffe-id'],
    ['other namespace', [base.replace('/ns/default/', '/ns/other/')], 'wrong-namespace'],
    ['other partition', [base.replace('/ns/', '/ap/other/ns/')], 'wrong-namespace'],
  ];
  return refused(
    root,
    ids.map(([name, uris, reason]) => [name, { uris, dnsNames: ['web.local'] }, reason]),
  );
}

type Refused = readonly [name: string, LeafOptions, PeerRejection];

function refused(root: TestAuthority, kinds: readonly Refused[]): Promise<LeafKind[]> {
  const kindOf = async ([name, options, reason]: Refused) =>
    ({ name, leaf: await root.leaf(options), expected: { reason } }) as const;
  return Promise.all(kinds.map(kindOf));
}

function badPurposes(root: TestAuthority): Promise<LeafKind[]> {
  const now = Date.now();
  const usages = ['digitalSignature', 'keyCertSign'] as const;
  return refused(root, [
    ['CA:TRUE', { ca: true, usages }, 'signing-certificate'],
    ['CA:TRUE without keyCertSign', { ca: true }, 'signing-certificate'],
    ['keyCertSign', { usages }, 'signing-certificate'],
    ['cRLSign', { usages: ['digitalSignature', 'cRLSign'] }, 'signing-certificate'],
    ['no digitalSignature', { usages: ['keyEncipherment'] }, 'key-usage'],
    ['serverAuth only', { extendedUsages: ['serverAuth'] }, 'key-usage'],
    ['clientAuth only', { extendedUsages: ['clientAuth'] }, 'key-usage'],
    ['expired', { notBeforeMs: now - 2 * DAY_MS, notAfterMs: now - DAY_MS }, 'clock-expired'],
    ['not yet valid', { notBeforeMs: now + DAY_MS, notAfterMs: now + 2 * DAY_MS }, 'clock-not-yet-valid'],
    ['unknown critical extension', { extra: unknownCritical() }, 'critical-extension'],
  ]);
}

async function badPaths(root: TestAuthority): Promise<LeafKind[]> {
  const now = Date.now();
  const forger = await generateKeyPair({ extractable: true });
  const other = await TestAuthority.root({ commonName: 'Other root' });
  const sameName = await TestAuthority.root();
  const expired = await root.intermediate({ notAfterMs: now - DAY_MS });
  const future = await root.intermediate({ notBeforeMs: now + DAY_MS });
  const noCa = await root.intermediate({ ca: false, usages: ['digitalSignature'] });
  const noCaButSign = await root.intermediate({ ca: false });
  const strange = await root.intermediate({ extra: unknownCritical() });
  const noSign = await root.intermediate({ usages: ['digitalSignature', 'cRLSign'] });
  const short = await root.intermediate({ pathLength: 0 });
  const tooDeep = await short.intermediate({ commonName: 'Below' });
  const bound = await root.intermediate({ extra: [nameConstraints(0xa0, 'other.consul')] });
  const banned = await root.intermediate({ extra: [nameConstraints(0xa1, TRUST_DOMAIN)] });
  const workload = await root.intermediate({ uris: [spiffeUri('web')] });
  const foreign = await root.intermediate({ uris: ['spiffe://other.consul'] });
  const lonely = await (await root.intermediate()).leaf();
  const certChainPem = lonely.certChainPem.split(/(?<=END CERTIFICATE-----\n)/)[0]!;
  const leafOnly = { ...lonely, chainDer: [], certChainPem };
  const paths: ReadonlyArray<readonly [string, TestLeaf, PeerRejection, PeerRejection?]> = [
    ['other CA', await other.leaf(), 'untrusted'],
    ['other CA of the same name', await sameName.leaf(), 'untrusted'],
    ['self-signed', await selfSignedLeaf(), 'untrusted'],
    ['intermediate left out', leafOnly, 'untrusted'],
    ['expired intermediate', await expired.leaf(), 'clock-expired', 'untrusted'],
    ['intermediate of the future', await future.leaf(), 'clock-not-yet-valid', 'untrusted'],
    ['issuer that is no CA', await noCa.leaf(), 'untrusted'],
    ['issuer that is no CA but may sign', await noCaButSign.leaf(), 'untrusted'],
    ['issuer with an unknown critical extension', await strange.leaf(), 'untrusted'],
    ['signed by another than the issuer it names', await root.leaf({ forger }), 'untrusted'],
    ['naming another issuer than signed it', await root.leaf({ issuerCommonName: 'Stranger' }), 'untrusted'],
    ['issuer without keyCertSign', await noSign.leaf(), 'untrusted'],
    ['longer than the path length', await tooDeep.leaf(), 'untrusted'],
    ['issuer bound to another domain', await bound.leaf(), 'untrusted'],
    ['issuer with the id of a service', await workload.leaf(), 'untrusted'],
    ['issuer with the id of another domain', await foreign.leaf(), 'untrusted'],
    ['issuer banned from the domain', await banned.leaf(), 'untrusted'],
  ];
  return paths.map(([name, leaf, reason, resumed]) => ({
    name,
    leaf,
    expected: { reason },
    ...(resumed ? { resumed } : {}),
    ...(name.startsWith('issuer with the id of') ? { isOurs: true as const } : {}),
  }));
}
