/** The identity from a SPIFFE Workload API on a real socket, by real gRPC, and TLS with what it gives. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { createServer as createHttp2Server, type ServerHttp2Stream } from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import type tls from 'node:tls';
import { status } from '@grpc/grpc-js';
import { framed } from '../../../sidecar/codec/grpc-message.js';
import { MappedIds } from '../../../sidecar/identity/mapped-ids.js';
import { SpireIdentitySource } from '../../../sidecar/identity/spire/spire-source.js';
import { type WorkloadEvents, WorkloadSocket } from '../../../sidecar/identity/spire/workload-api.js';
import { verifyPeerSocket } from '../../../sidecar/identity/tls/peer-verification.js';
import { TlsRotation } from '../../../sidecar/identity/tls/rotation.js';
import { serverTlsOptions } from '../../../sidecar/identity/tls/tls-options.js';
import { TestAuthority, TRUST_DOMAIN } from '../../kit/identity/certificates.js';
import { TlsHarness } from '../../kit/identity/tls-harness.js';
import {
  bundleOf,
  type ServedSvids,
  svidOf,
  WorkloadApiServer,
} from '../../kit/identity/workload-api-server.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { scratchForTest } from '../../kit/mocha/scratch.js';
import { until } from '../../kit/process/processes.js';
import { ManualClock } from '../../kit/time/manual-clock.js';
import { seeded } from '../../kit/time/seeded-random.js';

const PARTNER = 'partner.example';
const LONG = { notBeforeMs: Date.UTC(2025, 0, 1), notAfterMs: Date.UTC(2036, 0, 1) };

describe('the SPIFFE Workload API', () => {
  const harness = new TlsHarness();
  let root: TestAuthority;
  let partner: TestAuthority;
  before(async () => {
    root = await TestAuthority.root(LONG);
    partner = await TestAuthority.root({ ...LONG, commonName: 'Partner', uris: [`spiffe://${PARTNER}`] });
  });
  afterEach(() => harness.close());

  /** A path for a socket that only this user can replace. */
  function socketPath(): string {
    const { path } = scratchForTest();
    chmodSync(path, 0o700);
    return join(path, 'agent.sock');
  }

  async function serving(
    answer: WorkloadApiServer['answer'],
    path = socketPath(),
  ): Promise<WorkloadApiServer> {
    const server = new WorkloadApiServer(path, answer);
    await server.start();
    afterTest(() => server.stop());
    return server;
  }

  function source(path: string, over: { readonly hint?: string; readonly ids?: MappedIds } = {}) {
    // The sockets are real; time passes when the test says so.
    const clock = new ManualClock();
    const problems: string[] = [];
    const identity = new SpireIdentitySource({
      ...{ api: new WorkloadSocket(path, undefined, clock), where: `unix:${path}` },
      ...{ trustDomain: TRUST_DOMAIN, service: 'web', clock, timers: clock, random: seeded(1), ...over },
      onProblem: (problem) => problems.push(problem),
    });
    afterTest(() => identity.close());
    return { identity, clock, problems };
  }

  const svids = async (...more: ServedSvids['svids']): Promise<ServedSvids> => ({
    svids: [svidOf(await root.leaf(LONG)), ...more],
  });

  it('gives an identity, with the security header, and a new one by the same call', async () => {
    const server = await serving(await svids());
    const { identity } = source(server.path);
    const first = await until('an SVID', () => identity.current());
    assert.equal(first.id.service, 'web');
    assert.deepEqual(server.headers, ['true']);
    server.push(await svids());
    await until('another one', () => identity.current()!.serial !== first.serial);
    assert.equal(server.calls, 1);
  });

  it('gives intermediates with the leaf, and all roots', async () => {
    const issuer = await root.intermediate(LONG);
    const leaf = await issuer.leaf(LONG);
    const next = await TestAuthority.root({ ...LONG, commonName: 'Next' });
    const server = await serving({ svids: [svidOf(leaf, { bundle: bundleOf(root, next) })] });
    const { identity } = source(server.path);
    const found = await until('an SVID', () => identity.current());
    assert.equal(found.certChainPem, leaf.certChainPem);
    assert.equal(found.rootsPem, root.pem + next.pem);
  });

  it('keeps the identity over a restart of the agent, and has its next one', async () => {
    const server = await serving(await svids());
    const { identity, clock, problems } = source(server.path);
    const first = await until('an SVID', () => identity.current());
    server.stop();
    await until('it is noticed', () => problems.length > 0);
    assert.equal(identity.current(), first);
    assert.equal(identity.status().problem, undefined);
    clock.advance(2_000);
    const again = new WorkloadApiServer(server.path, await svids());
    await again.start();
    afterTest(() => again.stop());
    await until('the next SVID', () => {
      clock.advance(1_000);
      return identity.current()!.serial !== first.serial;
    });
  });

  it('is asked again after it refused', async () => {
    const server = await serving({ code: status.PERMISSION_DENIED, details: 'no identity issued' });
    const { identity, clock, problems } = source(server.path);
    await until('it is refused', () => problems.length > 0);
    assert.match(identity.status().problem!, /PERMISSION_DENIED: no identity issued/);
    server.answer = await svids();
    await until('an SVID', () => {
      clock.advance(1_000);
      return identity.current();
    });
  });

  it('is given up where it hangs: with an open call, and without HTTP/2', async () => {
    const server = await serving('hang');
    const silent = socketPath();
    const listener = net.createServer(() => {}).listen(silent);
    afterTest(() => listener.close());
    for (const path of [server.path, silent]) {
      const { identity, clock, problems } = source(path);
      // The call has to be there before it can be given up.
      if (path === server.path) await until('a call', () => server.openCalls === 1);
      clock.advance(31_000);
      assert.match(problems[0]!, /has not answered within 30 s/);
      assert.equal(identity.current(), undefined);
      identity.close();
    }
    await until('its end is told', () => server.openCalls === 0);
  });

  it('is no Workload API where the socket is missing, talks otherwise or has no such method', async () => {
    const http = socketPath();
    const listener = net
      .createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
      .listen(http);
    afterTest(() => listener.close());
    const other = await serving({ code: status.UNIMPLEMENTED, details: '' });
    for (const [path, problem] of [
      [socketPath(), /cannot be reached: connect ENOENT/],
      [http, /cannot be reached: /],
      [other.path, /is no SPIFFE Workload API \(UNIMPLEMENTED\)/],
    ] as const) {
      const { problems } = source(path);
      await until('it is told', () => problems.length > 0);
      assert.match(problems[0]!, problem);
    }
  });

  it('is not asked at a socket that anybody can replace', async () => {
    const path = socketPath();
    await serving(await svids(), path);
    chmodSync(join(path, '..'), 0o777);
    const { identity, problems } = source(path);
    assert.match(problems[0]!, /every user can write into its directory.*identity.spire_owner/);
    assert.equal(identity.current(), undefined);
  });

  it('gives several SVIDs, of which the service or the hint chooses', async () => {
    const other = svidOf(await root.leaf({ ...LONG, service: 'other' }), {
      spiffe_id: `spiffe://${TRUST_DOMAIN}/ns/default/dc/dc1/svc/other`,
    });
    const plain = svidOf(await root.leaf(LONG));
    const internal = svidOf(await root.leaf(LONG), { hint: 'internal' });
    const second = svidOf(await root.leaf(LONG), { hint: 'internal' });
    const server = await serving({ svids: [other, plain, internal, second] });
    const derOf = (pem: string) => Buffer.from(pem.replace(/-----.*?-----|\s/g, ''), 'base64');
    const byService = source(server.path).identity;
    const byHint = source(server.path, { hint: 'internal' }).identity;
    const without = source(server.path, { hint: 'external' });
    assert.deepEqual(derOf((await until('one', () => byService.current())).certChainPem), plain.x509_svid);
    assert.deepEqual(derOf((await until('one', () => byHint.current())).certChainPem), internal.x509_svid);
    await until('it is told', () => without.problems.length > 0);
    assert.match(without.problems[0]!, /no SVID has the hint "external"; found .*\("internal"\)/);
  });

  describe('byte by byte', () => {
    /** A call at an agent that sends what the test writes. */
    async function raw(over: Partial<WorkloadEvents> = {}) {
      const path = socketPath();
      const streams: ServerHttp2Stream[] = [];
      const server = createHttp2Server();
      server.on('stream', (stream) => {
        stream.on('error', () => {});
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        streams.push(stream);
      });
      await new Promise<void>((resolve) => server.listen(path, resolve));
      afterTest(() => server.close());
      const clock = new ManualClock();
      const messages: string[] = [];
      const ends: string[] = [];
      const cancel = new WorkloadSocket(path, undefined, clock).fetch({
        message: (bytes) => messages.push(bytes.toString()),
        end: ({ message }) => ends.push(message),
        ...over,
      });
      afterTest(cancel);
      const stream = await until('a call', () => streams[0]);
      return { stream, clock, messages, ends };
    }

    it('a message is read however it is cut, and has no limit once it is whole', async () => {
      const { stream, clock, messages, ends } = await raw();
      const bytes = Buffer.concat(['one', '', 'three'].map((text) => framed(Buffer.from(text))));
      for (const byte of bytes) {
        stream.write(Buffer.from([byte]));
        await new Promise(setImmediate);
      }
      await until('all are read', () => messages.length === 3);
      stream.write(bytes);
      await until('all are read again', () => messages.length === 6);
      assert.deepEqual(messages, ['one', '', 'three', 'one', '', 'three']);
      assert.equal(clock.pending(), 0);
      clock.advance(3_600_000);
      assert.deepEqual(ends, []);
    });

    it('a message that stops half-way ends the call', async () => {
      const { stream, clock, messages, ends } = await raw();
      stream.write(framed(Buffer.from('first')));
      await until('the first', () => messages.length === 1);
      stream.write(framed(Buffer.from('second')).subarray(0, 8));
      await until('a limit', () => clock.pending() === 1);
      clock.advance(9_000);
      assert.deepEqual(ends, []);
      clock.advance(1_000);
      assert.deepEqual(ends, ['a message has not ended within 10 s']);
    });

    it('a message whose use fails ends the call, not the process', async () => {
      const ends: string[] = [];
      const { stream } = await raw({
        message: () => {
          throw new Error('asn1 encoding');
        },
        end: ({ message }) => ends.push(message),
      });
      stream.write(framed(Buffer.from('first')));
      await until('the end', () => ends.length > 0);
      assert.deepEqual(ends, ['its response cannot be used: asn1 encoding']);
    });
  });

  describe('with a federated bundle', () => {
    const ids = new MappedIds({ [`spiffe://${PARTNER}/ns/ml/sa/web`]: 'partner-web' });
    const answer = async (bundles: Record<string, Buffer>): Promise<ServedSvids> => ({
      ...(await svids()),
      federated_bundles: bundles,
    });
    const ofPartner = (path: string, from = partner) =>
      from.leaf({ ...LONG, uris: [`spiffe://${PARTNER}${path}`] });

    /** What our server sees of a client with this leaf. */
    async function seen(rotation: TlsRotation, leaf: Awaited<ReturnType<typeof ofPartner>>) {
      const client = {
        ...{ cert: leaf.certChainPem, key: leaf.keyPem },
        ...{ rejectUnauthorized: false, ALPNProtocols: ['h2'] },
      };
      const judgeClient = (socket: tls.TLSSocket) => verifyPeerSocket(socket, rotation.trust!, Date.now());
      const server = serverTlsOptions(rotation.identity);
      return (await harness.handshake({ server, client, judgeClient })).server;
    }

    it('peers of the other trust domain are services by identity.ids, and by nothing else', async () => {
      const server = await serving(await answer({ [`spiffe://${PARTNER}`]: bundleOf(partner) }));
      const { identity } = source(server.path, { ids });
      await until('an SVID', () => identity.current());
      const rotation = new TlsRotation(identity, Date.now);
      afterTest(() => rotation.close());
      assert.deepEqual(await seen(rotation, await ofPartner('/ns/ml/sa/web')), { service: 'partner-web' });
      for (const path of ['/ns/ml/sa/other', '/ns/default/dc/dc1/svc/web'])
        assert.deepEqual(await seen(rotation, await ofPartner(path)), { reason: 'unmapped-id' }, path);
      // Each authority is trusted for its own domain: theirs not for ours, ours not for theirs.
      assert.deepEqual(await seen(rotation, await partner.leaf(LONG)), { reason: 'untrusted' });
      assert.deepEqual(await seen(rotation, await ofPartner('/ns/ml/sa/web', root)), { reason: 'untrusted' });
    });

    it('that is taken back, its peers are refused, and open connections are judged again', async () => {
      const server = await serving(await answer({ [`spiffe://${PARTNER}`]: bundleOf(partner) }));
      const { identity } = source(server.path, { ids });
      await until('an SVID', () => identity.current());
      const rotation = new TlsRotation(identity, Date.now);
      afterTest(() => rotation.close());
      const changes: boolean[] = [];
      rotation.subscribe(({ rootsChanged }) => changes.push(rootsChanged));
      const { svids: same } = server.answer as ServedSvids;
      server.push({ svids: same });
      await until('it is heard', () => changes.length > 0);
      assert.deepEqual(changes, [true]);
      const found = await seen(rotation, await ofPartner('/ns/ml/sa/web'));
      assert.ok('reason' in found && ['untrusted', 'wrong-trust-domain'].includes(found.reason));
    });

    it('that cannot be read takes nothing else away', async () => {
      const bundles = {
        [`spiffe://${PARTNER}`]: bundleOf(partner),
        'spiffe://broken.example': Buffer.from('garbage'),
        'no id': bundleOf(partner),
        [`spiffe://${TRUST_DOMAIN}`]: bundleOf(partner),
      };
      const server = await serving(await answer(bundles));
      const { identity, problems } = source(server.path, { ids });
      const { federatedPem, rootsPem } = await until('an SVID', () => identity.current());
      assert.deepEqual([...federatedPem!], [[PARTNER, partner.pem]]);
      assert.equal(rootsPem, root.pem);
      assert.match(problems[0]!, /the bundle of .* is left out/);
    });
  });
});
