import assert from 'node:assert/strict';
import { Serving } from '../../../../sidecar/codec/health.js';
import { AskedHealth, MAX_ASKED } from '../../../../sidecar/health/model/asked-health.js';
import type { UnaryAnswer } from '../../../../sidecar/health/model/grpc-client.js';
import { ManualClock } from '../../../kit/time/manual-clock.js';

const said = (...bytes: number[]): UnaryAnswer => ({ kind: 'message', message: Buffer.from(bytes) });
const status = (code: number): UnaryAnswer => ({ kind: 'status', status: code, message: '' });

describe('AskedHealth', () => {
  let clock: ManualClock;
  let answer: UnaryAnswer;
  let asked: string[];
  let idle: number;
  let health: AskedHealth;

  beforeEach(() => {
    clock = new ManualClock();
    answer = said(0x08, 1);
    asked = [];
    idle = 0;
    const ask = (service: string): Promise<UnaryAnswer> => {
      asked.push(service);
      return Promise.resolve(answer);
    };
    health = new AskedHealth(ask, clock, () => void idle++);
  });

  /** The next question is asked and answered. */
  const next = async (): Promise<void> => {
    clock.advance(2_000);
    await Promise.resolve();
  };

  it('asks for a service while it is watched, once for all who watch it', async () => {
    assert.ok(health.begin('a') && health.begin('a'));
    assert.equal(health.statusOf('a'), undefined);
    await next();
    assert.equal(health.statusOf('a'), Serving.SERVING);
    await next();
    const before = asked.length;
    health.end('a');
    await next();
    assert.equal(asked.length, before + 1);
    health.end('a');
    assert.deepEqual([health.statusOf('a'), idle, clock.pending()], [undefined, 1, 0]);
    await next();
    assert.equal(asked.length, before + 1);
  });

  it('knows what the answers say, and keeps what it knew where they say nothing', async () => {
    health.begin('a');
    const { SERVING, NOT_SERVING, SERVICE_UNKNOWN, UNKNOWN } = Serving;
    for (const [given, expected] of [
      [said(0x08, 2), NOT_SERVING],
      [{ kind: 'silent', why: 'no answer' }, NOT_SERVING],
      [status(8), NOT_SERVING],
      [said(0x08, 1), SERVING],
      [status(14), SERVING],
      [said(), UNKNOWN],
      [status(5), SERVICE_UNKNOWN],
      [status(12), SERVING],
      [said(0x08), SERVING],
    ] as const) {
      answer = given;
      await next();
      await next();
      assert.equal(health.statusOf('a'), expected, JSON.stringify(given));
    }
    health.end('a');
  });

  it('drops an answer that comes after the last who watched has left', async () => {
    health.begin('a');
    health.end('a');
    health.begin('a');
    await next();
    assert.equal(health.statusOf('a'), Serving.SERVING);
    health.end('a');
    assert.equal(clock.pending(), 0);
  });

  it('asks for so many services at once and no more', () => {
    for (let i = 0; i < MAX_ASKED; i++) assert.ok(health.begin(`${i}`));
    assert.equal(health.begin('one more'), false);
    assert.ok(health.begin('0'));
    health.end('1');
    assert.ok(health.begin('one more'));
  });
});
