/** The port of the scaler on real sockets: what it takes at most, and how its streams end. */
import assert from 'node:assert/strict';
import { Client, type ClientReadableStream, credentials, type ServiceError } from '@grpc/grpc-js';
import { ScalerMethod } from '../../../sidecar/codec/external-scaler.js';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import type { UpstreamConfig } from '../../../sidecar/config/model.js';
import { data, ErrorCode, Flag, FrameType, grpcMessage } from '../../kit/http2/h2-frames.js';
import { openRequest, rawClient } from '../../kit/http2/raw-client.js';
import { afterTest } from '../../kit/mocha/after-test.js';
import { KubernetesApiServer } from '../../kit/process/kubernetes-api.js';
import { scalerService } from '../../kit/service/scaler-client.js';
import { ANY, SidecarInMemory, until, upstreamAt, withUpstreams } from '../../kit/stack/sidecar-in-memory.js';

const asIs = (bytes: Buffer): Buffer => bytes;
/** No discovery, and no endpoint: nothing has to be asked for its load. */
const EMPTY = { endpoints: [], tls: 'mesh', loadReports: { intervalMs: 1_000, forward: false } } as const;

describe('The scaler of a sidecar', () => {
  let bench: SidecarInMemory;
  const clients: Client[] = [];
  let address = '';
  beforeEach(() => {
    bench = new SidecarInMemory();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.close();
    await bench.close();
  });

  const request = scalerService().IsActive.requestSerialize({
    ...{ name: 'x', namespace: 'y' },
    scalerMetadata: { service: 'one', target: '1' },
  });
  const start = async (over: Partial<UpstreamConfig> = {}) => {
    const { upstreams } = withUpstreams({ ...upstreamAt(ANY, 'one'), ...EMPTY, ...over }).outbound!;
    const config = { ...withUpstreams(...upstreams), scaler: { listen: ANY } };
    const sidecar = await bench.sidecar(config);
    address = writeAddress(sidecar.addresses.scaler!);
    return sidecar;
  };
  /** With a connection of its own. */
  const connect = (): Client => {
    const options = { 'grpc.use_local_subchannel_pool': 1 };
    clients.push(new Client(address, credentials.createInsecure(), options));
    return clients.at(-1)!;
  };
  /** A stream, and how it stands. */
  const open = (client = connect(), body = request) => {
    const stream: ClientReadableStream<Buffer> = client.makeServerStreamRequest(
      ScalerMethod.streamIsActive,
      asIs,
      asIs,
      body,
    );
    const seen = { told: 0, code: -1 };
    stream.on('data', () => void seen.told++);
    stream.on('error', ({ code }: ServiceError) => {
      seen.code = code;
    });
    return { stream, seen };
  };

  it('takes so many streams and no more, and the next one once one has ended', async () => {
    await start();
    const busy = [connect(), connect(), connect(), connect()];
    const all = Array.from({ length: 256 }, (_, i) => open(busy[i % 4]));
    await until('all are told', () => all.every(({ seen }) => seen.told === 1));
    const more = open();
    await until('the next one is refused', () => more.seen.code === 8);
    all[0]!.stream.cancel();
    await until('one has ended', () => all[0]!.seen.code === 1);
    let next = open();
    await until('there is a place', () => {
      if (next.seen.code === 8) next = open();
      return next.seen.told === 1;
    });
  });

  it('takes no request that is too long, and waits for none that does not end', async () => {
    await start();
    const long = open(connect(), Buffer.alloc(20_000));
    await until('the long one is refused', () => long.seen.code === 8);
    const slow = connect().makeClientStreamRequest(ScalerMethod.isActive, asIs, asIs, () => {});
    let code = -1;
    slow.on('status', (status) => {
      code = status.code;
    });
    slow.write(request.subarray(0, 4));
    await until('it is there', () => {
      bench.clock.advance(1_000);
      return code === 4;
    });
  });

  it('resets a request that does not end once it is answered, so that it holds no stream', async () => {
    const sidecar = await start();
    const peer = await rawClient(sidecar.addresses.scaler!);
    const resets = () => peer.frames.filter(({ type }) => type === FrameType.rstStream);
    const places = 256;
    for (let i = 0; i < places; i++) peer.send(openRequest(2 * i + 1, ScalerMethod.isActive));
    await until('all are here', () => {
      bench.clock.advance(1_000);
      return resets().length === places;
    });
    assert.ok(resets().every(({ payload }) => payload.readUInt32BE(0) === ErrorCode.noError));
    const id = 2 * places + 1;
    peer.send(openRequest(id, ScalerMethod.isActive), data(id, grpcMessage(request), Flag.endStream));
    await peer.waitFor('an answer', ({ streamId, type }) => streamId === id && type === FrameType.data);
    peer.close();
  });

  it('keeps a stream open while nothing is known, as KEDA comes back late to one that ended', async () => {
    const dns = {
      name: 'digits.invalid',
      port: 1,
      refreshMs: 5_000,
      family: 'all',
      servers: [{ kind: 'tcp', host: '127.0.0.1', port: 9 }],
    } as const;
    await start({ dns });
    const client = connect();
    const { seen } = open(client);
    let code = -1;
    client.makeUnaryRequest(ScalerMethod.isActive, asIs, asIs, request, (error) => {
      code = error?.code ?? 0;
    });
    await until('a question of one answer is refused', () => code === 14);
    assert.deepEqual(seen, { told: 0, code: -1 });
  });

  it('says nothing of a Service whose port it does not find, and 0 once it has no pod', async () => {
    const api = await KubernetesApiServer.start();
    afterTest(() => api.stop());
    const ports = [{ name: 'grpc', port: 9443 }];
    api.put('s', { ports, endpoints: [{ address: '127.0.0.1', pod: 'a' }] });
    const kubernetes = { service: 'digits.models', port: 'peers', family: 'any', server: api.url } as const;
    await start({ kubernetes });
    const client = connect();
    let said: ServiceError | Buffer | undefined;
    const ask = () =>
      client.makeUnaryRequest(ScalerMethod.isActive, asIs, asIs, request, (error, answer) => {
        said = error ?? answer;
      });
    await until('it is refused for the port', () => {
      ask();
      return said instanceof Error && /expected one with the name "peers"/.test(said.message);
    });
    await until('it is watched', () => api.watches === 1);
    api.put('s', { ports, endpoints: [] });
    await until('there is no pod', () => {
      ask();
      return Buffer.isBuffer(said);
    });
  });

  it('ends the stream about an upstream that the file has no more, with its status', async () => {
    const sidecar = await start();
    const { seen } = open();
    await until('it is told', () => seen.told === 1);
    const others = withUpstreams({ ...upstreamAt(ANY, 'two'), ...EMPTY });
    await sidecar.reload({ ...others, scaler: { listen: ANY } });
    await until('it has ended', () => {
      bench.clock.advance(1_000);
      return seen.code >= 0;
    });
    assert.equal(seen.code, 5);
  });

  it('ends the stream about an upstream that is not asked for its load any more', async () => {
    const sidecar = await start();
    const { seen } = open();
    await until('it is told', () => seen.told === 1);
    const loadReports = { intervalMs: 0, forward: false };
    const silent = withUpstreams({ ...upstreamAt(ANY, 'one'), ...EMPTY, loadReports });
    await sidecar.reload({ ...silent, scaler: { listen: ANY } });
    await until('it has ended', () => {
      bench.clock.advance(1_000);
      return seen.code >= 0;
    });
    assert.equal(seen.code, 9);
  });

  it('ends its streams as the sidecar drains, so that the client asks elsewhere', async () => {
    const sidecar = await start();
    const { seen } = open();
    await until('it is told', () => seen.told === 1);
    const drained = sidecar.drain();
    await until('it has ended', () => seen.code === 14);
    await drained;
  });
});
