/** The audit log of real sidecars: what they decided under load stands in it, signed, and Consul knows its end. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeAddress } from '../../../sidecar/config/codecs/address.js';
import { certificatesIn, nameOf } from '../../../sidecar/telemetry/audit/signature.js';
import { Load } from '../../drills/faults/load.js';
import { Model } from '../../drills/faults/model.js';
import { ConsulServer, consulOrSkip } from '../../kit/consul/consul.js';
import { httpAsk } from '../../kit/process/http-ask.js';
import { outrider } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SidecarBench, type SidecarProcess } from '../../kit/process/sidecars.js';
import { TestClient } from '../../kit/service/model-server.js';

describe('The audit log of a sidecar', function () {
  this.timeout(60_000);
  let consul: ConsulServer;
  let bench: SidecarBench;
  const models: Model[] = [];
  let digits: SidecarProcess;
  let app: SidecarProcess;
  let load: Load;
  const pathOf = (name: string): string => join(bench.directory, `${name}.jsonl`);

  before(async function () {
    await consulOrSkip(this);
    consul = await ConsulServer.start();
    bench = await SidecarBench.open();
    for (let i = 0; i < 2; i++) models.push(await Model.start({ serviceMs: 1 }));
    digits = await bench.start('digits', {
      service: 'digits',
      identity: await bench.identity('digits'),
      audit: { path: pathOf('digits') },
      inbound: {
        listen: '127.0.0.1:0',
        local: models[0]!.address,
        intentions: [],
        default_intention: 'deny',
      },
    });
    await digits.announced();
    app = await bench.start('app', {
      service: 'app',
      identity: await bench.identity('app'),
      fault_injection: true,
      audit: { path: pathOf('app') },
      consul: { address: consul.url },
      outbound: {
        upstreams: {
          models: {
            listen: '127.0.0.1:0',
            tls: 'plaintext',
            endpoints: models.map(({ address }) => address),
            // The default one avoids a replica that fails, and finds its third fault late.
            balance: { kind: 'round-robin' },
            ejection: { consecutive_faults: 3 },
          },
          digits: { listen: '127.0.0.1:0', endpoints: [writeAddress(digits.address('inbound'))] },
        },
      },
    });
    await app.announced();
    const target = writeAddress(app.address('upstream models'));
    load = await Load.start({ target, perSecond: 100, deadlineMs: 5_000 });
  });

  after(async () => {
    await load?.stop();
    await bench?.close();
    for (const model of models) model.kill();
    await consul?.stop();
  });

  const entries = (name: string): { kind: string; [field: string]: unknown }[] =>
    readFileSync(pathOf(name), 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
  const kinds = (name: string) => entries(name).map(({ kind }) => kind);
  const verify = (...args: readonly string[]) => outrider(['audit', 'verify', ...args]);

  it('has what the sidecars decided under load, signed with their keys, and Consul has its end', async () => {
    await models[1]!.behave({ does: 'fail', code: 14, form: 'trailers-only' });
    await until('one is ejected', () => kinds('app').includes('endpoint-ejected'), 20_000);
    const path = '/faults?upstream=models&delay=1ms&ratio=0.01&for=1s';
    const { status, text } = await httpAsk(app.address('admin'), { path, method: 'POST' });
    assert.equal(status, 201, text);
    // The intentions of digits let nothing in.
    const client = new TestClient(writeAddress(app.address('upstream digits')));
    for (let i = 0; i < 20; i++)
      await assert.rejects(client.infer({ model_name: 'digits' }), /PERMISSION_DENIED/);
    client.close();
    await until('it is written', () => kinds('digits').includes('call-denied'), 20_000);
    assert.ok((await app.metric('outrider_audit_lines_total')) >= 3);
    await load.stop();
    await Promise.all([app.stop(20_000), digits.stop(20_000)]);
    for (const kind of ['config-applied', 'endpoint-ejected', 'fault-injected', 'drain-began', 'checkpoint'])
      assert.ok(kinds('app').includes(kind), `${kind} of ${kinds('app')}`);
    const denials = entries('digits').filter(({ kind }) => kind === 'call-denied');
    assert.ok(denials.length <= 3, 'repetitions are a number');
    const { roots } = await bench.identity('app');
    const signer = entries('app').findLast(({ kind }) => kind === 'checkpoint')!['certificate'] as string;
    const idOf = (service: string) =>
      nameOf(certificatesIn(signer)[0]!).replace(/\/svc\/app$/, `/svc/${service}`);
    const { code, stdout } = await verify(
      pathOf('app'),
      '--roots',
      roots,
      '--id',
      idOf('app'),
      '--seen',
      await seen(),
    );
    assert.equal(code, 0, stdout);
    const foreign = await verify(pathOf('app'), '--roots', roots, '--id', idOf('digits'));
    assert.equal(foreign.code, 1, 'another sidecar of the mesh has signed');
    assert.match(stdout, /checkpoints signed by spiffe:\/\/.*\/svc\/app; 0 lines after the last one/);
  });

  it('shows a changed line, and a cut tail by what Consul has', async () => {
    const copy = join(bench.directory, 'copy.jsonl');
    copyFileSync(pathOf('app'), copy);
    writeFileSync(copy, readFileSync(copy, 'utf8').replace(models[1]!.address, models[0]!.address));
    const changed = await verify(copy);
    assert.equal(changed.code, 1);
    const line = entries('app').findIndex((entry) => JSON.stringify(entry).includes(models[1]!.address)) + 1;
    assert.match(changed.stdout, new RegExp(`copy.jsonl:${line}: it was changed`));
    const lines = readFileSync(pathOf('app'), 'utf8').trimEnd().split('\n');
    writeFileSync(copy, `${lines.slice(0, -2).join('\n')}\n`);
    assert.equal((await verify(copy)).code, 0, 'the file alone does not show it');
    const cut = await verify(copy, '--seen', await seen());
    assert.equal(cut.code, 1);
    assert.match(cut.stdout, /were removed/);
  });

  /** What Consul has of the end of the app's log. */
  async function seen(): Promise<string> {
    const [entry] = await consul.api<{ Value: string }[]>('GET', '/kv/outrider/audit/app/app-1');
    return Buffer.from(entry!.Value, 'base64').toString();
  }
});
