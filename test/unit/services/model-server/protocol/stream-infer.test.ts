import assert from 'node:assert/strict';
import { status } from '@grpc/grpc-js';
import type { ModelInferRequest, ModelStreamInferResponse } from '../../../../../proto/messages.js';
import type { Model } from '../../../../../services/model-server/models/model.js';
import { ModelTable } from '../../../../../services/model-server/models/model-table.js';
import type { StreamCall } from '../../../../../services/model-server/protocol/call.js';
import type { Serving } from '../../../../../services/model-server/protocol/serving.js';
import { modelStreamInfer } from '../../../../../services/model-server/protocol/stream-infer.js';
import type { RpcError } from '../../../../../services/model-server/rpc.js';
import type { Job } from '../../../../../services/model-server/runs/job.js';
import { Sequences } from '../../../../../services/model-server/runs/sequences.js';
import { Gate, QueueBench, runnerOf } from '../../../../kit/service/queue-jobs.js';

/** A caller of ModelStreamInfer that reads, or does not. */
class Call implements StreamCall<ModelStreamInferResponse> {
  /** Wall-clock ms. */
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly written: ModelStreamInferResponse[] = [];
  cancelled = false;
  writable = true;
  paused = false;
  held = 0;
  /** undefined: it goes on; null: it has ended well. */
  end_: RpcError | null | undefined;
  private onGone: () => void = () => {};
  private listeners: (() => void)[] = [];

  constructor(private readonly headers: Readonly<Record<string, string>> = {}) {}

  header = (name: string) => this.headers[name];
  onCancelled = (listener: () => void) => {
    this.onGone = listener;
  };
  onWritable = (listener: () => void) => void this.listeners.push(listener);
  announce = () => {};
  write = (response: ModelStreamInferResponse) => void this.written.push(response);
  pause = () => {
    this.paused = true;
  };
  resume = () => {
    this.paused = false;
  };
  hold = (bytes: number) => {
    this.held = bytes;
  };

  end(error?: RpcError): void {
    this.end_ = error ?? null;
  }

  reads(): void {
    this.writable = true;
    for (const listener of this.listeners.splice(0)) listener();
  }

  cancel(): void {
    this.cancelled = true;
    this.onGone();
  }
}

function stream(call: Call, gate?: Gate, more: object = {}) {
  const bench = new QueueBench();
  const FP32 = { datatype: 'FP32', shape: [-1], symbols: [undefined] } as const;
  const runner = runnerOf({
    execute: async (jobs) => {
      await gate?.wait();
      return jobs.map(({ inputs }) => ({ outputs: [inputs[0]!] }));
    },
  });
  const model = Object.assign(runner, {
    version: '1',
    state: 'ready',
    inputs: [{ name: 'x', ...FP32 }],
    outputs: [{ name: 'y', ...FP32 }],
    takesParameters: false,
    isDecoupled: false,
    ...more,
  });
  const serving = {
    models: new ModelTable([model as unknown as Model]),
    queue: bench.queue,
    runNow: () => bench.clock.now(),
  } as unknown as Serving;
  const receiver = modelStreamInfer(serving)(call);
  const send = (id: string, value: number, model_name = 'm', parameters = {}, bytes = 100) => {
    const request: ModelInferRequest = {
      model_name,
      id,
      parameters,
      inputs: [{ name: 'x', datatype: 'FP32', shape: [1] }],
      raw_input_contents: [new Uint8Array(Float32Array.of(value).buffer)],
    };
    receiver.request(request, bytes);
  };
  const ids = () =>
    call.written.map(
      ({ infer_response, error_message }) => `${infer_response!.id}${error_message ? '!' : ''}`,
    );
  return { bench, receiver, send, ids, stats: runner.stats };
}

describe('ModelStreamInfer', () => {
  it('reads no more while its requests hold 32 MiB, and says what they hold until they are answered', async () => {
    const call = new Call();
    const gate = new Gate();
    const { bench, send, ids } = stream(call, gate);
    const LARGE = 20 * 1024 * 1024;
    send('a', 1, 'm', {}, LARGE);
    assert.deepEqual([call.paused, call.held], [false, LARGE]);
    send('b', 2, 'm', {}, LARGE);
    assert.deepEqual([call.paused, call.held], [true, 2 * LARGE]);
    for (let run = 0; run < 2; run++) {
      gate.release();
      await bench.settle();
    }
    assert.deepEqual([ids(), call.paused, call.held], [['a', 'b'], false, 0]);
    send('c', 3, 'unknown', {}, LARGE);
    assert.equal(call.held, 0, 'what was refused is not held');
    call.cancel();
    assert.equal(call.held, 0);
  });

  it('ends with the status of a deadline that has passed, which is no message about one request', async () => {
    const call = new Call();
    const gate = new Gate();
    const { bench, send, ids } = stream(call, gate);
    call.deadlineMs = bench.clock.wallNow() + 1_000;
    send('a', 1);
    send('b', 2);
    await bench.settle();
    bench.clock.advance(1_001);
    gate.release();
    await bench.settle();
    assert.equal(call.end_?.code, status.DEADLINE_EXCEEDED);
    assert.ok(!ids().some((id) => id.endsWith('!')), `${ids()}`);
  });

  it('answers each request, a wrong one with a message, and ends when the last has been answered', async () => {
    const call = new Call();
    const { bench, receiver, send, ids } = stream(call);
    send('a', 1);
    send('b', 1, 'unknown');
    send('c', 3);
    receiver.end();
    assert.equal(call.end_, undefined);
    await bench.settle();
    assert.deepEqual(ids().sort(), ['a', 'b!', 'c']);
    assert.equal(call.end_, null);
  });

  it('ends with the status of a wrong request where the caller wants that, and answers nothing more', async () => {
    const call = new Call({ triton_grpc_error: 'true' });
    const { bench, send, stats } = stream(call, new Gate());
    send('a', 1);
    send('b', 1, 'unknown');
    send('c', 1);
    await bench.settle();
    assert.equal(call.end_?.code, status.NOT_FOUND);
    assert.deepEqual([call.written, stats.pending], [[], 1], 'what runs goes on, and is not told');
  });

  it('reads no further request while 64 wait, and reads on when some are answered', async () => {
    const call = new Call();
    const gate = new Gate();
    const { bench, send } = stream(call, gate);
    for (let i = 0; i < 63; i++) send(String(i), i);
    assert.equal(call.paused, false);
    send('63', 63);
    assert.equal(call.paused, true);
    await bench.settle();
    gate.release();
    await bench.settle();
    assert.deepEqual([call.written.length, call.paused], [1, false]);
  });

  it('reads no further request while the caller does not read, wrong ones included', async () => {
    for (const model of ['m', 'unknown']) {
      const call = new Call();
      const { bench, send } = stream(call);
      call.writable = false;
      send('a', 1, model);
      await bench.settle();
      assert.deepEqual([call.written.length, call.paused], [1, true], model);
      call.reads();
      assert.equal(call.paused, false, model);
    }
  });

  it('withdraws what waits when the caller goes', async () => {
    const call = new Call();
    const gate = new Gate();
    const { bench, send, stats } = stream(call, gate);
    for (const id of ['a', 'b', 'c']) send(id, 1);
    await bench.settle();
    call.cancel();
    gate.release();
    await bench.settle();
    assert.deepEqual([call.written, stats.cancelled, stats.pending], [[], 2, 0]);
  });

  it('tells a run that its caller has gone, also one that asks only afterwards', async () => {
    const call = new Call();
    const gate = new Gate();
    const told: string[] = [];
    const { bench, send } = stream(call, undefined, {
      execute: async ([job]: Job[]) => {
        job!.onCancelled!(() => told.push('before'));
        await gate.wait();
        job!.onCancelled!(() => told.push('afterwards'));
        return [{ outputs: [job!.inputs[0]!] }];
      },
    });
    send('a', 1);
    await bench.settle();
    call.cancel();
    gate.release();
    await bench.settle();
    assert.deepEqual(told, ['before', 'afterwards']);
  });

  it('keeps no place in a sequence for a request that the stream refuses', async () => {
    const call = new Call({ 'outrider-resume-after': '2' });
    const sequences = new Sequences('m', { idleMs: 10, max: 1000 }, () => 0);
    const { bench, send, ids } = stream(call, undefined, { sequences, card: { resumable: true } });
    const start = { sequence_id: { int64_param: '7' }, sequence_start: { bool_param: true } };
    send('a', 1);
    send('b', 1, 'm', start);
    await bench.settle();
    assert.deepEqual([ids(), sequences.size], [['b!'], 0]);
  });

  it('skips no error of a stream that goes on: only answers are what the caller has', async () => {
    const call = new Call({ 'outrider-resume-after': '2' });
    const { bench, send, ids } = stream(call, undefined, {
      card: { resumable: true },
      execute: async () => {
        throw new Error('out of memory');
      },
    });
    send('a', 1);
    await bench.settle();
    assert.deepEqual(ids(), ['a!']);
  });

  it('does not end well before it has given as many answers as the caller has', async () => {
    for (const [after, ends] of [
      ['1', null],
      ['2', /cannot be resumed: this time it has 1 answers fewer than the caller has/],
    ] as const) {
      const call = new Call({ 'outrider-resume-after': after });
      const { bench, receiver, send, ids } = stream(call, undefined, { card: { resumable: true } });
      send('a', 1);
      receiver.end();
      await bench.settle();
      assert.deepEqual(ids(), []);
      if (ends === null) assert.equal(call.end_, null);
      else assert.match(call.end_!.message, ends);
    }
  });

  it('ends well after an error that it told in the place of an answer', async () => {
    const call = new Call({ 'outrider-resume-after': '2' });
    const { bench, receiver, send, ids } = stream(call, undefined, {
      card: { resumable: true },
      execute: async () => {
        throw new Error('out of memory');
      },
    });
    send('a', 1);
    receiver.end();
    await bench.settle();
    assert.deepEqual([ids(), call.end_], [['a!'], null]);
  });
});
