/** Peers ask the inbound side how its model is: what is known is answered here, what is not, by the model. */
import assert from 'node:assert/strict';
import { healthQuestion } from '../../../sidecar/codec/health.js';
import { AskedHealth } from '../../../sidecar/health/model/asked-health.js';
import type { UnaryAnswer } from '../../../sidecar/health/model/grpc-client.js';
import { HealthResponder } from '../../../sidecar/health/model/responder.js';
import { MAX_WATCHES_PER_CALLER } from '../../../sidecar/inbound/health-watches.js';
import { Flag, Setting } from '../../kit/http2/h2-frames.js';
import type { PeerStream } from '../../kit/http2/scripted-peer.js';
import { assertEnd } from '../../kit/stack/call-ends.js';
import { ModelStack } from '../../kit/stack/model-stack.js';

const CHECK = '/grpc.health.v1.Health/Check';
const WATCH = '/grpc.health.v1.Health/Watch';
const SERVING = '00000000020801';
const NOT_SERVING = '00000000020802';
const SERVICE_UNKNOWN = '00000000020803';

describe('Questions about health, inbound,', () => {
  let stack: ModelStack;
  let known: Record<string, boolean | undefined>;

  beforeEach(() => {
    stack = new ModelStack({ queue: { concurrency: 1, maxWaiting: 1 } });
    known = { '': true, digits: true };
    stack.side.inbound.state.health = new HealthResponder((service) => known[service]);
    stack.model.answer = (stream) => stream.reply(Buffer.from('the model'));
  });

  const ask = (service: string, path = CHECK, from = stack.peer): PeerStream =>
    stack.call({ path, body: healthQuestion(service) }, from);
  const answer = (service: string): string => ask(service).body.toString('hex');

  it('a health check is answered from what is known, and the model is not asked', () => {
    for (const service of ['', 'digits']) {
      const asked = ask(service);
      assert.deepEqual([asked.status, asked.body.toString('hex')], [0, SERVING]);
      assert.equal(asked.header('content-type'), 'application/grpc');
    }
    known['digits'] = false;
    assert.deepEqual([answer('digits'), stack.requests.length], [NOT_SERVING, 0]);
    const tally = stack.context.stats.calls.reduce((sum, { started }) => sum + started, 0);
    assert.equal(tally, 3, 'they are calls of peers like others');
  });

  it('a health check goes to the model where nothing is known, and where it cannot be read', () => {
    assert.equal(ask('letters').body.toString(), 'the model');
    const odd = stack.peer.call({ path: CHECK, body: Buffer.from([1, 0, 0, 0, 0]) });
    const empty = stack.peer.call({ path: CHECK, body: Buffer.alloc(0) });
    const large = stack.call({ path: CHECK, body: Buffer.alloc(40_000, 1) });
    for (const each of [odd, empty, large]) assert.equal(each.body.toString(), 'the model');
    assert.deepEqual(
      stack.requests.map(({ body }) => body.length),
      [healthQuestion('letters').length, 5, 0, 40_000],
    );
  });

  it('a health check is answered however its bytes are split', () => {
    const asked = stack.peer.call({ path: CHECK, body: null });
    const bytes = healthQuestion('digits');
    for (let i = 0; i < bytes.length; i++) {
      stack.settle(asked.data(bytes.subarray(i, i + 1), i === bytes.length - 1 ? Flag.endStream : 0));
    }
    assert.equal(asked.body.toString('hex'), SERVING);
    const begun = stack.peer.call({ path: CHECK, body: null, timeout: '1S' });
    stack.advance(1100);
    assert.equal(begun.status, 4, 'a question that is never asked');
  });

  it('a health check is answered while the model is busy, without the queue', () => {
    stack.model.answer = () => {};
    const calls = [stack.peer.call(), stack.peer.call()];
    stack.run();
    assert.equal(answer(''), SERVING);
    for (const each of stack.requests) each.reply();
    stack.run();
    for (const each of stack.requests) if (each.lists.length > 0 && each.chunks.length > 0) each.reply();
    stack.advance(20_000);
    assert.ok(calls.every(({ isOver }) => isOver));
  });

  it('a health check is answered while the model is away or starts', () => {
    known[''] = false;
    stack.side.instance.setState({ kind: 'away', why: 'it crashed' });
    assert.equal(answer(''), NOT_SERVING);
    assertEnd(ask('letters'), [14, 'model-unavailable']);
    stack.side.instance.setState({ kind: 'starting' });
    assert.equal(answer(''), NOT_SERVING);
  });

  it('a health check needs an intention like any other call', () => {
    assertEnd(ask('', CHECK, stack.caller('stranger')), [7, 'not-allowed']);
  });

  describe('a Watch', () => {
    const watch = (service = '', from = stack.peer): PeerStream => ask(service, WATCH, from);
    const told = ({ body }: PeerStream): string[] => body.toString('hex').match(/.{14}/g) ?? [];
    const watches = (): number => stack.side.inbound.state.watches.size;

    it('is answered from what is known, again at each change, and takes no stream of the model', () => {
      const [server, digits] = [watch(), watch('digits')];
      assert.deepEqual([told(server), told(digits)], [[SERVING], [SERVING]]);
      known['digits'] = false;
      stack.advance(300);
      assert.deepEqual([told(server), told(digits)], [[SERVING], [SERVING, NOT_SERVING]]);
      known['digits'] = true;
      stack.advance(3_600_000);
      assert.deepEqual([told(server), told(digits)], [[SERVING], [SERVING, NOT_SERVING, SERVING]]);
      assert.deepEqual(
        [server.isOver, digits.isOver, stack.requests.length, watches()],
        [false, false, 0, 2],
      );
      for (const each of [server, digits]) stack.settle(each.reset());
      assert.equal(watches(), 0);
      stack.assertIdle();
    });

    it('says nothing until something is known, and asks no model meanwhile', () => {
      known[''] = undefined;
      const call = watch();
      assert.deepEqual([call.lists.length, told(call), stack.requests.length], [1, [], 0]);
      known[''] = true;
      stack.advance(300);
      assert.deepEqual(told(call), [SERVING]);
    });

    it('of a caller that does not read gets what is so by then', () => {
      const app = stack.caller('app', { settings: [[Setting.initialWindowSize, 0]] });
      const call = watch('digits', app);
      known['digits'] = false;
      stack.advance(300);
      stack.settle(call.credit(7));
      assert.deepEqual(told(call), [SERVING]);
      stack.advance(300);
      stack.settle(call.credit(1_000));
      assert.deepEqual(told(call), [SERVING, NOT_SERVING]);
    });

    it('ends with its deadline, with its permission, and with the retirement of its connection', () => {
      const short = stack.call({ path: WATCH, body: healthQuestion(''), timeout: '1S' });
      stack.advance(1_100);
      assertEnd(short, [4, 'deadline-exceeded']);
      const call = watch();
      stack.reload({ intentions: [{ from: 'app', to: 'digits', action: 'deny' }] });
      assertEnd(call, [7, 'not-allowed']);
      stack.reload({});
      const last = watch();
      stack.settle(stack.side.listener.retireSessions());
      stack.advance(300);
      assertEnd(last, [14, 'draining']);
      assert.equal(watches(), 0);
    });

    it('of a service that only the model knows is answered by asking the model once for all', async () => {
      let answer: UnaryAnswer = { kind: 'message', message: Buffer.from([0x08, 1]) };
      const asked: string[] = [];
      const askModel = (service: string): Promise<UnaryAnswer> => {
        asked.push(service);
        return Promise.resolve(answer);
      };
      const others = new AskedHealth(askModel, stack.clock);
      stack.side.inbound.state.health = new HealthResponder((name) => known[name], undefined, others);
      const calls = [watch('letters'), watch('letters')];
      const turn = async (): Promise<void> => {
        stack.advance(2_300);
        await Promise.resolve();
        stack.advance(300);
      };
      await turn();
      for (const call of calls) assert.deepEqual(told(call), [SERVING]);
      answer = { kind: 'status', status: 5, message: 'unknown service' };
      await turn();
      for (const call of calls) assert.deepEqual(told(call).at(-1), SERVICE_UNKNOWN);
      assert.ok(asked.length <= 4, `${asked}`);
      const before = asked.length;
      for (const call of calls) stack.settle(call.reset());
      await turn();
      await turn();
      assert.deepEqual([asked.length, stack.requests.length], [before, 0]);
    });

    it('beyond those of one caller is refused, and its other calls and those of others are not', () => {
      const intentions = ['app', 'other'].map((from) => ({ from, to: 'digits', action: 'allow' }) as const);
      stack.reload({ intentions, queue: { concurrency: 1, maxWaiting: 1 } });
      for (let i = 0; i < MAX_WATCHES_PER_CALLER; i += 200) {
        const app = stack.caller('app');
        for (let n = i; n < Math.min(i + 200, MAX_WATCHES_PER_CALLER); n++)
          app.call({ path: WATCH, body: healthQuestion('') });
        stack.run();
      }
      assert.equal(watches(), MAX_WATCHES_PER_CALLER);
      const refused = watch();
      assertEnd(refused, [8, 'too-many-streams'], {
        'grpc-message': /app: it has 1024 health watches open, the most that one caller may have/,
        'outrider-unprocessed': undefined,
      });
      assert.equal(answer(''), SERVING);
      assert.deepEqual(told(watch('', stack.caller('other'))), [SERVING]);
      assert.equal(stack.call().body.toString(), 'the model');
    });
  });
});
