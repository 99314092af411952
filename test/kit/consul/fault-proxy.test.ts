import assert from 'node:assert/strict';
import { until } from '../process/processes.js';
import { ConsulServer, consulOrSkip } from './consul.js';
import { FaultProxy, isOpen } from './fault-proxy.js';

describe('a proxy that spoils what Consul says', function () {
  this.timeout(60_000);
  let consul: ConsulServer;
  let proxy: FaultProxy;

  before(async function () {
    await consulOrSkip(this);
    consul = await ConsulServer.start();
  });

  after(() => consul?.stop());
  beforeEach(async () => {
    proxy = await FaultProxy.start(consul);
  });
  afterEach(() => proxy.stop());

  const get = (path: string, signal?: AbortSignal) =>
    fetch(`${proxy.url}/v1${path}`, signal === undefined ? {} : { signal });
  const indexOf = (response: Response) => response.headers.get('x-consul-index');
  const serialOf = async (response: Response) =>
    ((await response.json()) as { SerialNumber: string }).SerialNumber;
  const LEAF = '/agent/connect/ca/leaf/digits';
  const leafSerial = async () => serialOf(await get(LEAF));
  /** A read that is held open: it waits for what comes after `index`. */
  const blocks = async (path: string, index: string | null, signal?: AbortSignal) => {
    const blocked = get(`${path}?index=${index}&wait=60s`, signal);
    await until('it blocks', () => proxy.waiting === 1);
    return { blocked };
  };

  it('passes reads and writes, and counts them', async () => {
    const put = await fetch(`${proxy.url}/v1/kv/a`, { method: 'PUT', body: 'x' });
    assert.equal(await put.json(), true);
    assert.equal(await (await get('/kv/a?raw')).text(), 'x');
    const counts = [proxy.count('/v1/kv/'), proxy.busiestSecond('/v1/kv/'), proxy.count('/v1/catalog')];
    assert.deepEqual(counts, [2, 2, 0]);
  });

  it('passes blocking queries, and ends them at the agent when the client gives up', async () => {
    const index = indexOf(await get('/kv/b'));
    const { blocked } = await blocks('/kv/b', index);
    await consul.api('PUT', '/kv/b', 'y');
    assert.notEqual(indexOf(await blocked), index);
    const abort = new AbortController();
    const given = get(`/kv/none?index=999999&wait=60s`, abort.signal).catch(() => 'given up');
    await until('it blocks', () => proxy.waiting === 1);
    abort.abort();
    assert.equal(await given, 'given up');
    await until('it is gone', () => proxy.waiting === 0);
  });

  it('answers what hangs when a fault is set, and forwards it when it is over', async () => {
    const index = indexOf(await get('/kv/c'));
    const { blocked } = await blocks('/kv/c', index);
    await proxy.set({ kind: 'status', status: 500 });
    assert.equal((await blocked).status, 500);
    await proxy.set({ kind: 'hang' }, (path) => path.startsWith('/v1/kv'));
    assert.equal((await get('/status/leader')).status, 200);
    const hanging = get('/kv/c');
    await until('it hangs', () => proxy.waiting === 1);
    await proxy.set({ kind: 'none' });
    assert.equal((await hanging).status, 404);
  });

  it('says garbage, too much, and indexes that lead nowhere', async () => {
    await proxy.set({ kind: 'garbage' });
    await assert.rejects((await get('/catalog/nodes')).json());
    await proxy.set({ kind: 'bytes', bytes: 3_000_000 });
    assert.equal((await (await get('/catalog/nodes')).arrayBuffer()).byteLength, 3_000_000);
    await proxy.set({ kind: 'index', index: 'rising' });
    const first = Number(indexOf(await get('/catalog/nodes')));
    assert.equal(Number(indexOf(await get(`/catalog/nodes?index=${first}&wait=60s`))), first + 1);
    await proxy.set({ kind: 'index', index: 'zero' });
    assert.equal(indexOf(await get('/catalog/nodes?index=99999&wait=60s')), '0');
    await proxy.set({ kind: 'index', index: 'absent' });
    assert.equal(indexOf(await get('/catalog/nodes')), null);
  });

  it('cuts connections, refuses them, and takes them again on the same port', async () => {
    await proxy.set({ kind: 'drop' });
    await assert.rejects(get('/status/leader'));
    const { address } = proxy;
    await proxy.set({ kind: 'refuse' });
    assert.equal(await isOpen(address), false);
    await proxy.set({ kind: 'none' });
    assert.equal(proxy.address, address);
    assert.equal((await get('/status/leader')).status, 200);
  });

  it('makes the agent mint leaf certificates, and answers queries that wait for the next one', async () => {
    const first = await leafSerial();
    assert.equal(await leafSerial(), first);
    const index = indexOf(await get(LEAF));
    const { blocked } = await blocks(LEAF, index);
    proxy.mintLeaves();
    const woken = await blocked;
    assert.ok(Number(indexOf(woken)) > Number(index), `${indexOf(woken)} after ${index}`);
    assert.notEqual(await serialOf(woken), first);
    assert.notEqual(await leafSerial(), first);
  });

  it('cuts the connection when there is no agent', async () => {
    const none = await FaultProxy.start({ address: '127.0.0.1:1' });
    await assert.rejects(fetch(`${none.url}/v1/status/leader`));
    await none.stop();
  });
});
