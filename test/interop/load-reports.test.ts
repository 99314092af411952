/**
 * Stock grpc-js with `weighted_round_robin` (gRFC A58), dialling four inbound sidecars by mutual TLS: it reads our load reports, in
 * trailers and out of band, and keeps calls away from a slow replica, as round robin does not.
 */
import assert from 'node:assert/strict';
import { Client, credentials, type StatusObject } from '@grpc/grpc-js';
import { callUnary, LOCAL_CHANNEL } from '../../sidecar/cli/chaos/protocol/call.js';
import { OwnMetric, readLoadReport } from '../../sidecar/codec/orca.js';
import { writeAddress } from '../../sidecar/config/codecs/address.js';
import { Model } from '../drills/faults/model.js';
import { ONCE } from '../drills/faults/model-protocol.js';
import { until } from '../kit/process/processes.js';
import { SidecarBench } from '../kit/process/sidecars.js';

const PLACES = 2;
const SERVICE_MS = 20;
const SLOW = 20;
/** Calls per second; a quarter of them is three times what the slow replica can serve. */
const PER_SECOND = 60;
const ROUNDS = 3;
/** A58 waits 10 s before it believes a weight; the short one shows the same sooner. */
const SHORT = { blackout_period: '0.5s', weight_update_period: '0.1s' };

describe('Load reports, read by grpc-js', function () {
  this.timeout(60_000);
  let bench: SidecarBench;
  let models: Model[] = [];
  let target = '';
  let channel: ReturnType<typeof credentials.createSsl>;

  before(async () => {
    bench = await SidecarBench.open();
    models = await Promise.all(
      Array.from({ length: 4 }, () => Model.start({ serviceMs: SERVICE_MS, places: PLACES })),
    );
    const sidecars = await bench.startReplicas(
      models.map(({ address }) => address),
      { queue: { concurrency: PLACES, max_waiting: 1_000 }, load_report: { trailers: true } },
    );
    await models[0]!.behave({ does: 'slow', factor: SLOW });
    target = `ipv4:${sidecars.map((each) => writeAddress(each.address('inbound'))).join(',')}`;
    const { ca, key, cert } = await bench.material('app');
    // A SPIFFE id is no host name.
    const verified = { checkServerIdentity: () => undefined };
    channel = credentials.createSsl(Buffer.from(ca!), Buffer.from(key!), Buffer.from(cert!), verified);
  });
  after(async () => {
    await Promise.all(models.map((model) => model.kill()));
    await bench.close();
  });

  /** Mean time of the calls that are sent in the last second of `forMs`, ms. */
  async function meanMs(policy: object, forMs: number): Promise<number> {
    const client = new Client(target, channel, {
      ...LOCAL_CHANNEL,
      'grpc.service_config': JSON.stringify({ loadBalancingConfig: [policy] }),
    });
    let open = 0;
    const failures: string[] = [];
    const startMs = performance.now();
    const tookMs: number[] = [];
    const send = (n: number): void => {
      open += 1;
      const sentMs = performance.now();
      callUnary(client, ONCE, { request: Buffer.from(`${n}`), deadlineMs: 20_000 }, (error) => {
        open -= 1;
        if (sentMs >= startMs + forMs - 1_000) tookMs.push(performance.now() - sentMs);
        if (error) failures.push(error.message);
      });
    };
    let sent = 0;
    const timer = setInterval(() => {
      const due = ((performance.now() - startMs) * PER_SECOND) / 1_000;
      for (; sent < due; sent += 1) send(sent);
    }, 4);
    await until('the calls have been sent', () => performance.now() - startMs >= forMs, forMs + 10_000);
    clearInterval(timer);
    await until('every call has ended', () => open === 0, 25_000);
    client.close();
    assert.deepEqual(failures, []);
    return tookMs.reduce((sum, ms) => sum + ms, 0) / tookMs.length;
  }

  it('out of band: calls take half as long as by round robin, which sends a quarter of them to the slow replica', async () => {
    const oob = { ...SHORT, enable_oob_load_report: true, oob_load_reporting_period: '0.2s' };
    const rounds: string[] = [];
    // Where other work takes the machine for a second, one of the two means tells of that.
    for (let round = 0; round < ROUNDS; round++) {
      const inTurn = await meanMs({ round_robin: {} }, 1_200);
      const weighted = await meanMs({ weighted_round_robin: oob }, 2_500);
      if (weighted < inTurn / 2) return;
      rounds.push(`${inTurn} and ${weighted}`);
    }
    assert.fail(rounds.join('; '));
  });

  it('in trailers: a call of the same client, and its report', async () => {
    // Few: grpc-js 1.14.7 compiles the messages anew for each report in trailers.
    const client = new Client(target, channel, {
      ...LOCAL_CHANNEL,
      'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ weighted_round_robin: SHORT }] }),
    });
    for (let n = 0; n < 4; n += 1) {
      const ended = await new Promise<StatusObject | Error>((resolve) => {
        const call = callUnary(client, ONCE, { request: Buffer.from('1'), deadlineMs: 10_000 }, (error) => {
          if (error) resolve(error);
        });
        call.on('status', resolve);
      });
      assert.ok(!(ended instanceof Error), `${ended}`);
      const [report] = ended.metadata.get('endpoint-load-metrics-bin');
      const { named } = readLoadReport(report as Buffer, (fault) => assert.fail(fault))!;
      assert.equal(named.get(OwnMetric.concurrency), PLACES);
    }
    client.close();
  });
});
