import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { webcrypto } from 'node:crypto';
import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Identity, IdentityFeed, IdentityParts } from '../../../../sidecar/identity/identity.js';
import { FileIdentitySource, IdentityFilesError } from '../../../../sidecar/identity/sources/file-source.js';
import {
  selfSignedLeaf,
  TestAuthority,
  type TestLeaf,
  TRUST_DOMAIN,
} from '../../../kit/identity/certificates.js';
import { scratchForEach } from '../../../kit/mocha/scratch.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const HOUR_MS = 3_600_000;
const POLL_MS = 10_000;

describe('an identity in files', () => {
  let root: TestAuthority;
  let good: TestLeaf;
  const scratch = scratchForEach();
  let clock: ManualClock;
  let problems: string[];
  let source: FileIdentitySource | undefined;

  before(async () => {
    root = await TestAuthority.root();
    good = await root.leaf();
  });
  beforeEach(() => {
    clock = new ManualClock(0, Date.now());
    problems = [];
  });
  afterEach(() => {
    source?.close();
    source = undefined;
  });

  const path = (name: string) => join(scratch.path, name);

  /** Writes in the given order, each file in place. */
  function put(parts: Partial<IdentityParts>): void {
    if (parts.certChainPem !== undefined) writeFileSync(path('cert.pem'), parts.certChainPem);
    if (parts.keyPem !== undefined) writeFileSync(path('key.pem'), parts.keyPem, { mode: 0o600 });
    if (parts.rootsPem !== undefined) writeFileSync(path('roots.pem'), parts.rootsPem);
  }

  function open(more: { readonly service?: string; readonly feed?: IdentityFeed } = {}): FileIdentitySource {
    const paths = { cert: path('cert.pem'), key: path('key.pem'), roots: path('roots.pem') };
    const onProblem = (problem: string) => void problems.push(problem);
    const rest = { trustDomain: TRUST_DOMAIN, clock, timers: clock, onProblem };
    source = new FileIdentitySource({ paths, service: 'web', ...rest, ...more });
    return source;
  }
  const chainOf = (files: FileIdentitySource) => files.current().certChainPem;

  /** Opens over the good set and collects what is announced. */
  function opened(): { files: FileIdentitySource; announced: Identity[] } {
    put(good);
    const files = open();
    const announced: Identity[] = [];
    files.subscribe((identity) => announced.push(identity));
    return { files, announced };
  }

  function assertRefused(pattern: RegExp, service = 'web'): void {
    assert.throws(
      () => open({ service }),
      (error) =>
        error instanceof IdentityFilesError &&
        pattern.test(error.message) &&
        !/PRIVATE KEY/.test(error.message),
    );
    assert.equal(clock.pending(), 0);
  }

  describe('at the start', () => {
    it('is read and checked', () => {
      const { files } = opened();
      assert.equal(files.current().id.service, 'web');
      assert.equal(files.current().notAfterMs, good.notAfterMs);
      assert.deepEqual(files.status(), { notAfterMs: good.notAfterMs });
    });

    it('is refused when others may read the key', () => {
      for (const mode of [0o640, 0o604, 0o660, 0o644, 0o610]) {
        put(good);
        chmodSync(path('key.pem'), mode);
        assertRefused(new RegExp(`key\\.pem: the private key has mode 0${mode.toString(8)};.*chmod 600`));
      }
      chmodSync(path('key.pem'), 0o400);
      assert.equal(open().current().id.service, 'web');
    });

    it('is refused when the key is another one', async () => {
      put({ ...good, keyPem: (await root.leaf()).keyPem });
      assertRefused(/key: does not belong to the certificate/);
    });

    it('is refused when a part is missing, empty, garbage or no file', () => {
      const cases: ReadonlyArray<readonly [() => void, RegExp]> = [
        [() => rmSync(path('cert.pem')), /cert\.pem: no such file/],
        [() => put({ certChainPem: '' }), /certificate: no certificate found/],
        [() => put({ certChainPem: good.certChainPem.slice(0, 300) }), /certificate: no certificate found/],
        [
          () => put({ certChainPem: good.certChainPem.replace(/[A-Z]{3}/, 'AAA') }),
          /^identity: .*cert\.pem: certificate/,
        ],
        [() => put({ keyPem: '' }), /key: not a private key/],
        [() => put({ keyPem: good.keyPem.replace(/.{30}\n/, '\n') }), /key: not a private key/],
        [() => put({ rootsPem: '' }), /roots: no root certificate/],
        [() => put({ rootsPem: good.certChainPem }), /root 1: not a CA/],
        [() => writeFileSync(path('roots.pem'), Buffer.alloc(2_000_000)), /roots\.pem: larger than/],
      ];
      for (const [spoil, pattern] of cases) {
        put(good);
        spoil();
        assertRefused(pattern);
      }
    });

    it('is refused, and does not hang, when a FIFO stands in place of the key', () => {
      put(good);
      rmSync(path('key.pem'));
      execFileSync('mkfifo', ['-m', '600', path('key.pem')]);
      assertRefused(/not a regular file/);
    });

    it('is refused when peers would refuse it', async () => {
      const now = Date.now();
      put({ ...(await root.leaf({ notBeforeMs: now - 3 * HOUR_MS, notAfterMs: now - HOUR_MS })) });
      assertRefused(/valid until .*clock-expired/);
      put(await root.leaf({ trustDomain: 'other.consul' }));
      assertRefused(/wrong-trust-domain/);
      put({ ...(await selfSignedLeaf()), rootsPem: root.pem });
      assertRefused(/untrusted/);
      put(good);
      assertRefused(/expected the service "billing".*wrong-service/, 'billing');
    });

    it('is refused when OpenSSL finds the key too weak', async () => {
      const rsa = { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256', publicExponent: new Uint8Array([1, 0, 1]) };
      const usages = ['sign', 'verify'] as const;
      const keys = await webcrypto.subtle.generateKey({ ...rsa, modulusLength: 512 }, true, usages);
      put(await root.leaf({ keys }));
      assertRefused(/refused by OpenSSL \(ERR_SSL_EE_KEY_TOO_SMALL\)/);
    });

    it('is refused when the roots are those of another trust domain', async () => {
      const other = await TestAuthority.root({ uris: ['spiffe://other.consul'] });
      put({ ...good, rootsPem: root.pem + other.pem });
      assertRefused(/root 2: belongs to the trust domain other\.consul/);
    });
  });

  describe('that changes', () => {
    it('is taken over whole and announced once', async () => {
      const { files, announced } = opened();
      const next = await root.leaf();
      put(next);
      clock.advance(3 * POLL_MS);
      assert.equal(announced.length, 1);
      assert.equal(chainOf(files), next.certChainPem);
      assert.deepEqual(problems, []);
    });

    it('is noticed by the watch, before any poll', async () => {
      const { announced } = opened();
      put(await root.leaf());
      // The event comes from the operating system: turns of the event loop pass until the debounce is armed.
      while (clock.nextDueMs() > POLL_MS / 2) await new Promise(setImmediate);
      clock.advance(200);
      assert.equal(announced.length, 1);
    });

    it('half is left alone until the other half is there', async () => {
      const { files, announced } = opened();
      const next = await root.leaf();
      put({ certChainPem: next.certChainPem.slice(0, 400) });
      files.refresh();
      put({ certChainPem: next.certChainPem });
      files.refresh();
      clock.advance(1_000);
      assert.equal(chainOf(files), good.certChainPem);
      assert.deepEqual([announced.length, files.status().problem], [0, undefined]);
      put({ keyPem: next.keyPem });
      files.refresh();
      assert.equal(chainOf(files), next.certChainPem);
      clock.advance(POLL_MS);
      assert.deepEqual([announced.length, problems], [1, []]);
    });

    it('for the worse keeps the old set, says so once, and recovers', async () => {
      const { files, announced } = opened();
      const next = await root.leaf();
      put({ keyPem: next.keyPem });
      clock.advance(5 * POLL_MS);
      assert.equal(files.current().keyPem, good.keyPem);
      assert.equal(problems.length, 1);
      assert.match(problems[0]!, /old ones stay in use: .*key\.pem: key: does not belong/);
      // The old ones are good for long: nothing is kept from being ready.
      assert.deepEqual([files.status().failure, files.status().problem], [problems[0], undefined]);
      put({ certChainPem: next.certChainPem });
      clock.advance(POLL_MS);
      assert.deepEqual([announced.length, files.status().failure], [1, undefined]);
    });

    it('back to the old set after a bad one is no change, and no problem any more', async () => {
      const { files, announced } = opened();
      put({ rootsPem: '' });
      clock.advance(2 * POLL_MS);
      assert.match(files.status().failure ?? '', /no root certificate/);
      put(good);
      clock.advance(POLL_MS);
      assert.deepEqual([announced.length, files.status().problem], [0, undefined]);
    });

    it('to a key that others may read is refused', async () => {
      const { files } = opened();
      put(await root.leaf());
      chmodSync(path('key.pem'), 0o644);
      clock.advance(2 * POLL_MS);
      assert.match(files.status().failure ?? '', /mode 0644/);
      assert.equal(chainOf(files), good.certChainPem);
    });

    it('by whole directories, behind a replaced parent, is found by the poll', async () => {
      const { files, announced } = opened();
      const next = await root.leaf();
      renameSync(scratch.path, `${scratch.path}.old`);
      clock.advance(POLL_MS + 3_000);
      assert.match(files.status().failure ?? '', /no such file/);
      renameSync(`${scratch.path}.old`, scratch.path);
      put(next);
      clock.advance(POLL_MS);
      assert.deepEqual([announced.length, files.status().failure], [1, undefined]);
    });

    it('in roots alone is a change', async () => {
      const { files, announced } = opened();
      const other = await TestAuthority.root({ commonName: 'Next root' });
      put({ rootsPem: root.pem + other.pem });
      clock.advance(POLL_MS);
      assert.equal(announced.length, 1);
      assert.equal(files.current().serial, announced[0]?.serial);
    });
  });

  it('that ages unrenewed is reported at a fifth of its life, and as expired at its end, but stays current', () => {
    const { files } = opened();
    clock.advance(30 * 60_000);
    assert.equal(files.status().problem, undefined);
    clock.advance(10 * 60_000);
    assert.match(files.status().warning ?? '', /our certificate expires in \d+ s; its files hold no new one/);
    assert.equal(files.status().problem, undefined, 'it still works');
    clock.advance(25 * 60_000);
    assert.match(files.status().problem ?? '', /our certificate expired at .*Z; its files hold no new one/);
    assert.equal(chainOf(files), good.certChainPem);
  });

  it('leaves no timer and no watch behind when closed', async () => {
    const { files, announced } = opened();
    put({ keyPem: 'x' });
    files.refresh();
    files.close();
    assert.equal(clock.pending(), 0);
    put(good);
    await new Promise(setImmediate);
    assert.equal(clock.pending(), 0);
    assert.equal(announced.length, 0);
  });

  describe('that the issuing process brings as well', () => {
    /** What came by the other way. */
    class Feed {
      private readonly listeners: ((parts: IdentityParts) => void)[] = [];
      constructor(public parts?: IdentityParts) {}
      current(): IdentityParts | undefined {
        return this.parts;
      }
      subscribe(listener: (parts: IdentityParts) => void): void {
        this.listeners.push(listener);
      }
      bring(parts: IdentityParts): void {
        for (const listener of this.listeners) listener(parts);
      }
    }

    it('takes a set that its files do not hold, until they change', async () => {
      put(good);
      const feed = new Feed();
      const files = open({ feed });
      const brought = await root.leaf();
      feed.bring(brought);
      assert.equal(chainOf(files), brought.certChainPem);
      clock.advance(POLL_MS);
      assert.equal(chainOf(files), brought.certChainPem, 'the old files had their say');
      const later = await root.leaf();
      put(later);
      clock.advance(POLL_MS);
      assert.equal(chainOf(files), later.certChainPem);
    });

    it('starts with the set that was brought, though the files hold none', () => {
      put({ ...good, certChainPem: 'nothing' });
      const files = open({ feed: new Feed(good) });
      assert.equal(chainOf(files), good.certChainPem);
    });

    it('keeps its identity when what is brought is not usable, and says why', () => {
      put(good);
      const feed = new Feed();
      const files = open({ feed });
      feed.bring({ ...good, certChainPem: 'nothing' });
      assert.equal(chainOf(files), good.certChainPem);
      assert.match(problems[0] ?? '', /no certificate found/);
    });
  });
});
