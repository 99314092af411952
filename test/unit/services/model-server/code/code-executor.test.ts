import assert from 'node:assert/strict';
import { CodeExecutor } from '../../../../../services/model-server/code/code-executor.js';
import type {
  ModelAnswer,
  ModelCode,
  ModelRequest,
} from '../../../../../services/model-server/code/model-code.js';
import type { ExecutedJob } from '../../../../../services/model-server/runs/executor.js';
import { column } from '../../../../kit/service/queue-jobs.js';

const X = { name: 'x', datatype: 'FP32', shape: [-1, 1] } as const;
const numberOf = ({ inputs }: ModelRequest) => Number(inputs['x']!.data[0]);

/** An executor around code that takes `x` and gives it back, unless `code` says otherwise. */
function executor(code: Partial<ModelCode> = {}, released: string[] = []) {
  const echo = async (requests: readonly ModelRequest[]): Promise<ModelAnswer[]> =>
    requests.map(({ inputs }) => ({ outputs: { x: inputs['x']! } }));
  return new CodeExecutor(
    { inputs: [X], outputs: [X], execute: echo, ...code },
    { name: 'm', now: () => 0, wallNow: () => 1000, release: async () => void released.push('networks') },
  );
}

const sequenceOf = (id: string) => {
  return {
    id,
    state: undefined as unknown,
    ending: false,
    pending: 1,
    busy: true,
    caller: '',
    key: 'k',
    hasRun: true,
    lostWhy: '',
    lastMs: 0,
  };
};

function job(value: number, more: Partial<ExecutedJob> = {}): ExecutedJob {
  return {
    inputs: [column(value)],
    wanted: [0],
    parameters: {},
    deadlineMs: Number.POSITIVE_INFINITY,
    sequenceFlags: { id: 'q', start: false, end: false },
    ...more,
  };
}

describe('a model in code', () => {
  it('adds nothing to the state of a sequence by a batch that failed: each request runs again alone', async () => {
    const sequences = [sequenceOf('a'), sequenceOf('b')];
    const jobs = [job(1, { sequence: sequences[0] }), job(-1, { sequence: sequences[1] })];
    const counts = executor({
      execute: async (requests) => {
        for (const { sequence } of requests) sequence!.state = Number(sequence!.state ?? 0) + 1;
        if (requests.some((request) => numberOf(request) < 0)) throw new Error('below zero');
        return requests.map(({ inputs }) => ({ outputs: { x: inputs['x']! } }));
      },
    });
    await assert.rejects(counts.execute(jobs), /below zero/);
    assert.deepEqual(
      sequences.map(({ state }) => state),
      [undefined, undefined],
    );
    await counts.execute(jobs.slice(0, 1));
    await assert.rejects(counts.execute(jobs.slice(1)), /below zero/);
    assert.deepEqual(
      sequences.map(({ state }) => state),
      [1, 1],
    );
  });

  it('is told the form of an answer where it gives its outputs alone', async () => {
    const bare = executor({ execute: async () => [{ x: column(1) } as unknown as ModelAnswer] });
    const { answers } = await bare.execute([job(1)]);
    assert.match(
      String(answers[0]),
      /gave an answer without outputs, expected \{ outputs: \{ NAME: tensor \} \}/,
    );
  });

  it('sees that its caller has gone though it looks only afterwards', async () => {
    const seen: boolean[] = [];
    const looks = executor({
      execute: async (requests) => {
        for (const { signal } of requests) seen.push(signal.aborted);
        return requests.map(({ inputs }) => ({ outputs: { x: inputs['x']! } }));
      },
    });
    const onCancelled = (listener: () => void) => listener();
    await looks.execute([job(1, { onCancelled, deadlineMs: 2000 }), job(1), job(1, { deadlineMs: 1000 })]);
    assert.deepEqual(seen, [true, false, true], 'gone, there, and out of time');
  });

  it('gives its networks back although it cannot be closed, and says why', async () => {
    const released: string[] = [];
    const close = async () => {
      throw new Error('a file is gone');
    };
    await assert.rejects(executor({ close }, released).release(), /a file is gone/);
    assert.deepEqual(released, ['networks']);
  });
});
