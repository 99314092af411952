/** Statistics of model processes, read over real sockets on a manual clock. */
import assert from 'node:assert/strict';
import type { ModelHost } from '../../../../sidecar/app/model-host.js';
import { StatisticsReader } from '../../../../sidecar/app/models/statistics-reader.js';
import { encodeStatistics } from '../../../../sidecar/codec/statistics.js';
import type { Address } from '../../../../sidecar/config/model.js';
import { grpcMessage } from '../../../kit/http2/h2-frames.js';
import { anAppContext } from '../../../kit/stack/app-context.js';
import { SidecarInMemory, until } from '../../../kit/stack/sidecar-in-memory.js';
import { type Backend, Stack } from '../../../kit/stack/stack.js';

describe('the reader of statistics', () => {
  let bench: SidecarInMemory;
  let stack: Stack;
  let hosts: ModelHost[];
  let reader: StatisticsReader;

  beforeEach(() => {
    bench = new SidecarInMemory();
    stack = new Stack();
    hosts = [];
    reader = new StatisticsReader(() => hosts, anAppContext(stack));
  });
  afterEach(async () => {
    reader.stop();
    await bench.close();
  });

  /** A model server that says it has run so often. */
  const serve = async (
    runs: number,
  ): Promise<{ backend: Backend; report: { pid: number; state: string } }> => {
    const { backend, address } = await bench.server('model');
    says(backend, runs);
    const report = { pid: hosts.length + 1, state: 'ready', why: '', restarts: 0 };
    hosts.push({ address: address as Address, report: () => report } as unknown as ModelHost);
    return { backend, report };
  };
  const says = (backend: Backend, runs: number): void => {
    const counts = new Map([['execution_count', runs]]);
    const model = { name: 'digits', version: '2', lastInferenceMs: runs, counts, memoryBytes: 1_000 };
    backend.answer = (stream) => void stream.reply(grpcMessage(encodeStatistics([model])));
  };
  const runs = (): number | undefined => reader.statistics()[0]?.counts.get('execution_count');

  it('adds up the instances of a version', async () => {
    await serve(3);
    await serve(4);
    await reader.read();
    const [only, ...others] = reader.statistics();
    assert.deepEqual([runs(), only!.lastInferenceMs, only!.memoryBytes, others.length], [7, 4, 2_000, 0]);
    assert.deepEqual(
      reader.memory().map(({ bytes }) => bytes),
      [1_000, 1_000],
    );
  });

  it('goes on from what a process had counted when it is started again, or is gone', async () => {
    const { backend, report } = await serve(3);
    await reader.read();
    report.pid = 77;
    says(backend, 1);
    await reader.read();
    assert.equal(runs(), 4);
    hosts.pop();
    await reader.read();
    assert.deepEqual([runs(), reader.memory()], [4, []]);
  });

  it('counts the memory of a process with what it serves, for as long as it is there', async () => {
    const { backend } = await serve(3);
    await reader.read();
    const next = { name: 'digits', version: '3', lastInferenceMs: 0, counts: new Map(), memoryBytes: 500 };
    backend.answer = (stream) => void stream.reply(grpcMessage(encodeStatistics([next])));
    const memory = (): unknown[] => reader.statistics().map((each) => [each.version, each.memoryBytes]);
    await reader.read();
    assert.deepEqual(memory(), [
      ['2', 0],
      ['3', 500],
    ]);
    hosts.pop();
    await reader.read();
    assert.deepEqual(memory(), [
      ['2', 0],
      ['3', 0],
    ]);
  });

  it('asks every five seconds, and only what serves', async () => {
    const { backend, report } = await serve(3);
    reader.start();
    stack.clock.advance(4_900);
    assert.equal(backend.requests.length, 0);
    stack.clock.advance(200);
    await until('it is asked', () => runs() === 3);
    report.state = 'starting';
    await reader.read();
    assert.equal(backend.requests.length, 1);
  });

  it('leaves alone a process that does not know the method, until another is in its place', async () => {
    const { backend, report } = await serve(3);
    backend.answer = (stream) => void stream.fail(12);
    await reader.read();
    await reader.read();
    assert.deepEqual([backend.requests.length, reader.statistics()], [1, []]);
    report.pid = 77;
    says(backend, 5);
    await reader.read();
    assert.equal(runs(), 5);
  });

  it('keeps the last counts of a process that does not answer', async () => {
    const { backend } = await serve(3);
    await reader.read();
    backend.answer = () => {};
    const silent = reader.read();
    await until('it is asked', () => backend.requests.length === 2);
    stack.clock.advance(2_000);
    await silent;
    assert.equal(runs(), 3);
  });

  describe('of versions that have ended', () => {
    const versions = (): string[] =>
      reader
        .statistics()
        .map(({ version }) => version)
        .sort((a, b) => Number(a) - Number(b));
    /** The server says that it serves these versions, each as often run as its number. */
    const saysVersions = (backend: Backend, from: number, to: number): void => {
      const models = Array.from({ length: to - from + 1 }, (_, i) => {
        const counts = new Map([['execution_count', from + i]]);
        return { name: 'digits', version: `${from + i}`, lastInferenceMs: 0, counts, memoryBytes: 0 };
      });
      backend.answer = (stream) => void stream.reply(grpcMessage(encodeStatistics(models)));
    };
    const numbers = (from: number, to: number): string[] =>
      Array.from({ length: to - from + 1 }, (_, i) => `${from + i}`);
    const last32 = numbers(8, 39);

    it('keeps the last 32 of a process, and what it serves', async () => {
      const { backend } = await serve(0);
      saysVersions(backend, 1, 39);
      await reader.read();
      assert.equal(versions().length, 39);
      saysVersions(backend, 40, 40);
      await reader.read();
      assert.deepEqual(versions(), [...last32, '40']);
    });

    it('keeps the last 32 of processes that are gone, and drops none that another process serves', async () => {
      const { backend } = await serve(0);
      saysVersions(backend, 1, 1);
      for (const [from, to] of [
        [1, 20],
        [21, 39],
      ] as const) {
        const other = await serve(0);
        saysVersions(other.backend, from, to);
        await reader.read();
        hosts.pop();
        await reader.read();
      }
      assert.deepEqual(versions(), ['1', ...last32]);
      const first = reader.statistics().find(({ version }) => version === '1');
      assert.equal(first!.counts.get('execution_count'), 2, 'what both have counted');
    });

    it('takes nothing from the sum of a version that has ended at one process and is served by another', async () => {
      const [one, other] = [await serve(0), await serve(0)];
      saysVersions(one.backend, 1, 40);
      saysVersions(other.backend, 1, 1);
      await reader.read();
      saysVersions(one.backend, 41, 41);
      await reader.read();
      assert.deepEqual(versions(), ['1', ...numbers(9, 41)]);
      const first = reader.statistics().find(({ version }) => version === '1');
      assert.equal(first!.counts.get('execution_count'), 2);
    });

    it('drops the one that was served longest ago, not the one that was seen first', async () => {
      const { backend } = await serve(0);
      for (const [from, to] of [
        [1, 33],
        [1, 1],
        [34, 34],
      ] as const) {
        saysVersions(backend, from, to);
        await reader.read();
      }
      assert.deepEqual(versions(), ['1', ...numbers(3, 34)]);
    });

    it('drops it at every process at once, also at those that are gone', async () => {
      const [{ backend }, gone] = [await serve(0), await serve(0)];
      for (const each of [backend, gone.backend]) saysVersions(each, 1, 1);
      await reader.read();
      hosts.pop();
      for (const [from, to] of [
        [2, 33],
        [34, 34],
      ] as const) {
        saysVersions(backend, from, to);
        await reader.read();
      }
      assert.deepEqual(versions(), numbers(2, 34));
    });
  });
});
