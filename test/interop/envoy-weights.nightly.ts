/**
 * Envoy with `client_side_weighted_round_robin`, dialling four inbound sidecars by mutual TLS, one before a slow model: it reads
 * our load reports in trailers, and after its blackout of 3 s keeps calls away from the slow one, as round robin does not. Not
 * in `npm test`: it takes most of a minute (`.ci/nightly`).
 */
import assert from 'node:assert/strict';
import { callUnary, clientOf } from '../../sidecar/cli/chaos/protocol/call.js';
import { writeAddress } from '../../sidecar/config/codecs/address.js';
import type { Address } from '../../sidecar/config/model.js';
import { Model } from '../drills/faults/model.js';
import { ONCE } from '../drills/faults/model-protocol.js';
import { clientResources, Envoy, weightedByReports } from '../kit/interop/envoy.js';
import type { Leaf } from '../kit/interop/mesh.js';
import type { Program } from '../kit/interop/programs.js';
import { Scratch } from '../kit/process/outrider.js';
import { until } from '../kit/process/processes.js';
import { SidecarBench } from '../kit/process/sidecars.js';
import { toolOrSkip } from '../kit/process/tools.js';

const PLACES = 2;
const SERVICE_MS = 20;
const SLOW = 20;
/** Calls per second; a quarter of them is 1.6 times what the slow replica can serve. */
const PER_SECOND = 32;
/** Those of the last two seconds count. A blackout begins a second or two after the first call, and weights follow it a second later. */
const FOR_MS = 11_000;
const COUNTED_MS = 2_000;

describe('Load reports, read by Envoy', function () {
  this.timeout(120_000);
  const programs: Program[] = [];
  let scratch: Scratch;
  let bench: SidecarBench;
  let models: Model[] = [];
  let peers: readonly Address[];
  let binary = '';
  let leaf: Leaf;

  before(async function () {
    binary = await toolOrSkip(this, 'envoy');
    scratch = new Scratch();
    bench = await SidecarBench.open();
    models = await Promise.all(
      Array.from({ length: 4 }, () => Model.start({ serviceMs: SERVICE_MS, places: PLACES })),
    );
    const sidecars = await bench.startReplicas(
      models.map(({ address }) => address),
      { queue: { concurrency: PLACES, max_waiting: 1_000 }, load_report: { trailers: true } },
    );
    peers = sidecars.map((each) => each.address('inbound'));
    await models[0]!.behave({ does: 'slow', factor: SLOW });
    const { ca, key, cert } = await bench.material('app');
    const uri = 'spiffe://outrider.local/ns/default/dc/dc1/svc/app';
    leaf = { uri, cert: `${cert}`, key: `${key}`, roots: `${ca}` };
  });
  after(async () => {
    for (const program of programs) await program.stop();
    await Promise.all(models.map((model) => model.kill()));
    await bench?.close();
    scratch?.remove();
  });

  /** Mean time of the calls of the last seconds, ms, by a fresh Envoy. */
  const meanMs = async (name: string, balancing = {}): Promise<number> => {
    const home = {
      file: async (file: string, text: string) => scratch.write(file, text),
      own: <P extends Program>(program: P): P => {
        programs.push(program);
        return program;
      },
    };
    const names = { sni: (service: string) => `${service}.default.dc1.internal.outrider.local` };
    const resources = clientResources('http', names, leaf, 'model', peers, balancing);
    const envoy = await Envoy.start(home, binary, name, resources);
    const client = clientOf(writeAddress(envoy.address));
    const tookMs: number[] = [];
    const failures: string[] = [];
    let [open, sent] = [0, 0];
    const startMs = performance.now();
    const send = (): void => {
      open += 1;
      const sentMs = performance.now();
      callUnary(client, ONCE, { request: Buffer.from(`${sent}`), deadlineMs: 25_000 }, (error) => {
        open -= 1;
        if (error) failures.push(error.message);
        else if (sentMs >= startMs + FOR_MS - COUNTED_MS) tookMs.push(performance.now() - sentMs);
      });
    };
    const timer = setInterval(() => {
      for (const due = ((performance.now() - startMs) * PER_SECOND) / 1_000; sent < due; sent += 1) send();
    }, 4);
    await until('the calls have been sent', () => performance.now() - startMs >= FOR_MS, FOR_MS + 10_000);
    clearInterval(timer);
    await until('every call has ended', () => open === 0, 30_000);
    client.close();
    await envoy.stop();
    assert.deepEqual(failures, []);
    return tookMs.reduce((sum, ms) => sum + ms, 0) / tookMs.length;
  };

  it('calls take half as long as by round robin once the blackout is over', async function () {
    const inTurn = await meanMs('in-turn');
    const weighted = await meanMs('weighted', weightedByReports());
    this.test!.title += `: ${weighted.toFixed(0)} ms in the mean, ${inTurn.toFixed(0)} ms by round robin`;
    assert.ok(weighted < inTurn / 2, `${inTurn} and ${weighted}`);
  });
});
