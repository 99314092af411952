import assert from 'node:assert/strict';
import type { ChaosHistory } from '../../../../../sidecar/cli/chaos/history/record.js';
import {
  historyChunks,
  parseHistory,
  roundedHistory,
} from '../../../../../sidecar/cli/chaos/report/stored-history.js';
import { madeHistory, madeRun } from '../../../../kit/chaos/made-history.js';
import { constant, seeded } from '../../../../kit/time/seeded-random.js';

const textOf = (history: ChaosHistory): string => [...historyChunks(history)].join('');

describe('a stored history', () => {
  it('is read as it was written; times are rounded to the microsecond before', () => {
    const history = madeHistory([
      madeRun({ random: constant(0.25), callsPerSecond: 150 }),
      madeRun({ random: constant(0.5), arm: 'envoy', seconds: 1 }),
    ]);
    assert.deepEqual(parseHistory(textOf(history)), JSON.parse(JSON.stringify(history)));
    const [run] = roundedHistory(madeHistory([madeRun({ random: seeded(1) })])).runs;
    assert.match(String(run!.calls[1]!.endMs), /^\d+\.\d{1,3}$/);
  });

  it('may hold nothing, and has a record on each line', () => {
    const empty = madeHistory([]);
    assert.deepEqual(parseHistory(textOf(empty)), JSON.parse(JSON.stringify(empty)));
    const run = madeRun({ random: constant(0.5), seconds: 2 });
    const lines = textOf(madeHistory([run])).split('\n');
    assert.equal(lines.filter((line) => line.startsWith('{"id":')).length, run.calls.length);
  });

  it('is refused with the place of the first part that is wrong', () => {
    const valid = JSON.parse(textOf(madeHistory([madeRun({ random: constant(0.5), seconds: 1 })])));
    const wrong = (change: (history: typeof valid) => void): string => {
      const copy = structuredClone(valid);
      change(copy);
      try {
        parseHistory(JSON.stringify(copy));
      } catch (error) {
        return (error as Error).message;
      }
      return 'taken';
    };
    assert.equal(
      wrong(() => {}),
      'taken',
    );
    assert.equal(
      wrong((history) => {
        history.format = 2;
      }),
      'format: found 2; expected 1',
    );
    assert.equal(
      wrong((history) => {
        history.runs[0].calls[17].status = 'OK';
      }),
      'runs[0].calls[17].status: found "OK"; expected a number',
    );
    assert.equal(
      wrong((history) => {
        delete history.runs[0].marks;
      }),
      'runs[0].marks: found nothing; expected a list',
    );
    assert.equal(
      wrong((history) => {
        history.runs[0].arm = 'nginx';
      }),
      'runs[0].arm: found "nginx"; expected one of outrider, pick-first, round-robin, envoy',
    );
    assert.equal(
      wrong((history) => {
        history.about.versions.node = 22;
      }),
      'about.versions.node: found 22; expected a text',
    );
    assert.equal(
      wrong((history) => {
        history.runs[0].calls[3].degraded = 1;
      }),
      'runs[0].calls[3].degraded: found 1; expected true or false',
    );
    assert.equal(
      wrong((history) => {
        history.runs[0].calls[3].endpoint = 4;
      }),
      'runs[0].calls[3].endpoint: found 4; expected a text',
    );
    assert.equal(
      wrong((history) => {
        history.drills = [null];
      }),
      'drills[0]: found null; expected an object',
    );
    assert.throws(() => parseHistory('[]'), { message: 'the file: found []; expected an object' });
    assert.throws(() => parseHistory('{"a":'), SyntaxError);
  });
});
