/**
 * Clients and a server on grpc-go, with two sidecars and mutual TLS between them: no call may fail. grpc-go measures the
 * bandwidth of a connection with PINGs, one for the DATA of nearly every message, in both roles.
 *
 * OUTRIDER_GO_CALLS: small calls of each run, 1,000 by default; the large ones are a fortieth. The nightly run asks for
 * more, and more of ghz.
 */

import assert from 'node:assert/strict';
import {
  callByGhz,
  callByGo,
  HEALTH_CHECK,
  MODEL_INFER,
  type Outcome,
  type Run,
  SERVER_READY,
  startGoServer,
} from '../kit/interop/go.js';
import { suitePair } from '../kit/interop/suites.js';
import { toolOrSkip } from '../kit/process/tools.js';

const USUAL_CALLS = 1_000;
const SMALL_CALLS = Number(process.env['OUTRIDER_GO_CALLS'] ?? USUAL_CALLS);
const LARGE_CALLS = SMALL_CALLS / 40;
const IS_LONG = SMALL_CALLS > USUAL_CALLS;
const LIMIT_MS = IS_LONG ? 600_000 : 120_000;

const small = (width: number, method = MODEL_INFER): Run => ({
  method,
  calls: SMALL_CALLS,
  width,
  floats: 16,
});
/** 602,112 bytes of payload: one image of 224 × 224. */
const large = (width: number): Run => ({ method: MODEL_INFER, calls: LARGE_CALLS, width, floats: 150_528 });

function title({ method, calls, width, floats }: Run): string {
  const size = floats > 1000 ? ` of ${Math.round((4 * floats) / 1000)} KB` : '';
  return `${calls} calls of ${method.split('/')[1]}${size}, ${width} in flight`;
}

describe('grpc-go on both sides of two sidecars with mutual TLS', () => {
  const start = async (context: Mocha.Context) => startGoServer(await toolOrSkip(context, 'go-client'));
  const suite = suitePair(start, { queue: { concurrency: 512 } });
  before(() => suite.pair.ready());

  /** Every call is OK, and no connection of either sidecar met a limit. */
  async function allServed(run: Run, outcome: Outcome): Promise<void> {
    assert.deepEqual(outcome.byCode, { OK: run.calls }, outcome.samples.join('\n'));
    for (const sidecar of [suite.pair.caller, suite.pair.service])
      assert.equal(await sidecar.metric('outrider_limit_hits_total'), 0, sidecar.output);
  }

  describe('our client', () => {
    const runs = [small(1), small(32), small(256), large(1), large(32), large(256)];
    for (const run of [...runs, small(32, SERVER_READY), small(32, HEALTH_CHECK)]) {
      it(`${title(run)}: none fails`, async function () {
        this.timeout(LIMIT_MS);
        await allServed(run, await callByGo(suite.service.binary, suite.pair.target, run, LIMIT_MS));
      });
    }
  });

  describe('ghz', () => {
    let ghz: string;
    before(async function () {
      ghz = await toolOrSkip(this, 'ghz');
    });
    const slow = IS_LONG ? [small(1), large(1), large(256)] : [];
    for (const run of [...slow, small(32), small(256), large(32), small(32, HEALTH_CHECK)]) {
      it(`${title(run)}: none fails`, async function () {
        this.timeout(LIMIT_MS);
        await allServed(
          run,
          await callByGhz(ghz, suite.pair.target, run, suite.pair.bench.directory, LIMIT_MS),
        );
      });
    }
  });
});
