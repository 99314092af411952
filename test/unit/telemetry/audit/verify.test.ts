import assert from 'node:assert/strict';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import {
  type ChainHead,
  EMPTY_CHAIN,
  headAt,
  nextLine,
  signedText,
} from '../../../../sidecar/telemetry/audit/chain.js';
import { type AuditSigner, signatureOf } from '../../../../sidecar/telemetry/audit/signature.js';
import {
  type AuditReport,
  type AuditTrust,
  AuditVerifier,
} from '../../../../sidecar/telemetry/audit/verify.js';
import { TestAuthority } from '../../../kit/identity/certificates.js';

const AT = '2026-01-01T00:00:00.000Z';
const SIDECAR = 'digits-1';

/** A log as a sidecar writes it: decisions, with a signed checkpoint after every fourth one. */
function aLog(lines: number, signer: AuditSigner, decision = (i: number): object => ({ endpoint: `e${i}` })) {
  const texts: string[] = [];
  let head: ChainHead = EMPTY_CHAIN;
  const add = (kind: string, fields: object): void => {
    const line = nextLine(head, { at: AT, kind, sidecar: SIDECAR }, { ...fields });
    head = headAt(head.n + 1, line);
    texts.push(line);
  };
  for (let i = 0; i < lines; i++) {
    if (i % 5 === 4) add('checkpoint', signatureOf(signer, signedText(head, { at: AT, sidecar: SIDECAR })));
    else add('endpoint-ejected', decision(i));
  }
  return { texts, head };
}

function verify(texts: readonly string[], trust: AuditTrust = {}): AuditReport {
  const verifier = new AuditVerifier(trust);
  for (const [i, text] of texts.entries()) verifier.add(text, { file: 'log', line: i + 1 });
  return verifier.end();
}

describe('the verification of an audit log', () => {
  let root: TestAuthority;
  let signer: AuditSigner;
  let log: readonly string[];
  let head: ChainHead;
  before(async () => {
    root = await TestAuthority.root();
    const between = await root.intermediate();
    signer = await between.leaf({ service: 'digits' });
    const made = aLog(12, signer);
    log = made.texts;
    head = made.head;
  });

  const roots = (authority: TestAuthority) => [new X509Certificate(authority.rootPem)];
  const faultOf = (texts: readonly string[], trust?: AuditTrust) => verify(texts, trust).fault;
  const changed = (i: number, from: string, to: string): string[] =>
    log.map((text, at) => (at === i ? text.replace(from, to) : text));

  it('finds an unbroken log unbroken, and says how far it is signed, and by what', () => {
    const report = verify(log, { roots: roots(root), seen: head });
    assert.equal(report.fault, undefined);
    assert.deepEqual([report.first, report.head, report.checkpoints, report.unsigned], [1, head, 2, 2]);
    assert.match(report.signers.join(), /^spiffe:\/\/.*digits$/);
  });

  it('finds nothing in a log without lines', () => {
    assert.deepEqual(verify([]).head, EMPTY_CHAIN);
  });

  it('names each line that was changed, wherever it was', () => {
    for (let i = 0; i < log.length - 1; i++) {
      const fault = faultOf(changed(i, SIDECAR, 'digits-2'));
      assert.equal(fault?.line, i + 1, `line ${i + 1}: ${fault?.why}`);
    }
  });

  it('names a line of which the hash, or the number, was changed', () => {
    const { prev } = JSON.parse(log[6]!);
    assert.equal(faultOf(changed(6, prev, '0'.repeat(64)))?.line, 7);
    assert.equal(faultOf(changed(6, '"n":7', '"n":8'))?.line, 7);
    assert.equal(faultOf(changed(6, '"n":7', '"n":6'))?.line, 7);
  });

  it('names the place from which lines were removed', () => {
    const fault = faultOf([...log.slice(0, 3), ...log.slice(5)]);
    assert.equal(fault?.line, 4);
    assert.match(fault.why, /numbers 4 to 5 were removed/);
  });

  it('names lines that were moved, repeated or put in', () => {
    const moved = [...log];
    [moved[5], moved[6]] = [moved[6]!, moved[5]!];
    assert.equal(faultOf(moved)?.line, 6);
    assert.match(faultOf([...log.slice(0, 6), log[5]!, ...log.slice(6)])?.why ?? '', /moved or repeated/);
    assert.match(
      faultOf([...log.slice(0, 6), 'not JSON', ...log.slice(6)])?.why ?? '',
      /not a line of an audit log/,
    );
  });

  it('names the next checkpoint where all hashes after a change were made anew', () => {
    const forged = aLog(12, signer, (i) => ({ endpoint: i === 6 ? 'another' : `e${i}` })).texts;
    // The forger has not the key, and keeps the signatures that are there.
    const signatureIn = (text: string) => JSON.parse(text).signature as string;
    let head: ChainHead = EMPTY_CHAIN;
    const texts = forged.map((text, i) => {
      const { n: _n, at, kind, sidecar, prev: _prev, ...fields } = JSON.parse(text);
      if (kind === 'checkpoint') fields.signature = signatureIn(log[i]!);
      const line = nextLine(head, { at, kind, sidecar }, fields);
      head = headAt(head.n + 1, line);
      return line;
    });
    const fault = faultOf(texts);
    assert.equal(fault?.line, 10);
    assert.match(fault.why, /a line since number 6 was changed/);
  });

  it('says that a certificate does not come from the given roots', async () => {
    const other = await TestAuthority.root();
    const fault = faultOf(log, { roots: roots(other) });
    assert.equal(fault?.line, 5);
    assert.match(fault.why, /does not come from the given roots/);
  });

  it('notices a cut tail by an end that was seen elsewhere, and a log that was written anew', () => {
    assert.equal(faultOf(log.slice(0, 10)), undefined, 'the file alone does not show it');
    assert.match(faultOf(log.slice(0, 10), { seen: head })?.why ?? '', /numbers 11 to 12 were removed/);
    const anew = aLog(12, signer, () => ({ endpoint: 'another' })).texts;
    assert.match(faultOf(anew, { seen: head })?.why ?? '', /written anew/);
    assert.match(faultOf(log.slice(6), { seen: headAt(2, log[1]!) })?.why ?? '', /begin with 7/);
  });

  it('begins where older files are missing, and counts what the log could not keep', () => {
    const { first, fault } = verify(log.slice(4));
    assert.deepEqual([first, fault], [5, undefined]);
    const gap = nextLine(EMPTY_CHAIN, { at: AT, kind: 'gap', sidecar: SIDECAR }, { missing: 7 });
    assert.equal(verify([gap]).missing, 7);
  });

  it('counts lines of a checkpoint without a signature as unsigned', () => {
    const line = nextLine(EMPTY_CHAIN, { at: AT, kind: 'checkpoint', sidecar: SIDECAR }, { unsigned: true });
    const { unsigned, checkpoints, fault } = verify([line]);
    assert.deepEqual([unsigned, checkpoints, fault], [1, 0, undefined]);
  });

  it('is not content with a log whose signatures were left out, where roots are given', () => {
    let head: ChainHead = EMPTY_CHAIN;
    const at = { at: AT, sidecar: SIDECAR };
    const texts: string[] = [];
    const add = (kind: string, fields: Record<string, unknown>): void => {
      texts.push(nextLine(head, { ...at, kind }, fields));
      head = headAt(head.n + 1, texts.at(-1)!);
    };
    const why = (): string => faultOf(texts, { roots: roots(root) })?.why ?? '';
    const signed = (): void => add('checkpoint', signatureOf(signer, signedText(head, at)));
    assert.equal(why(), '', 'there is nothing to sign');
    add('drain-began', {});
    assert.match(why(), /no line is signed/);
    add('checkpoint', { unsigned: true });
    assert.match(why(), /no key vouches for numbers 1 to 2/);
    assert.equal(faultOf(texts)?.why, undefined, 'without roots that is a figure of the report');
    signed();
    for (let i = 0; i < 512; i++) add('drain-began', {});
    assert.equal(why(), '', 'so many may wait for a signature');
    add('drain-began', {});
    assert.match(why(), /numbers 4 to 516 are not signed/);
    signed();
    assert.equal(why(), '');
    add('checkpoint', { unsigned: true });
    assert.equal(faultOf(texts, { roots: roots(root) })?.line, 518);
  });

  it('says of half a line that it breaks off', () => {
    assert.match(faultOf([...log.slice(0, 3), log[3]!.slice(0, 40)])?.why ?? '', /breaks off/);
  });

  it('refuses what is no certificate or no signature, and reads keys of other kinds', () => {
    const at = { at: AT, sidecar: SIDECAR };
    const broken = { ...signatureOf(signer, signedText(EMPTY_CHAIN, at)), certificate: 'none' };
    const line = nextLine(EMPTY_CHAIN, { ...at, kind: 'checkpoint' }, broken);
    assert.match(faultOf([line])?.why ?? '', /does not fit/);
    const { privateKey } = generateKeyPairSync('ed25519');
    const keyPem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    assert.ok(signatureOf({ keyPem, certChainPem: '' }, 'text')['signature']);
  });
});
