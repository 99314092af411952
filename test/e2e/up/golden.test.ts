/** A mesh without Consul whose caller checks a model by its name: the sidecar answers for it, from its golden input. */
import assert from 'node:assert/strict';
import { meshFile } from '../../kit/config/mesh-file.js';
import { sumOfSamples } from '../../kit/process/metrics-page.js';
import { admin } from '../../kit/process/outrider.js';
import { until } from '../../kit/process/processes.js';
import { SuiteMesh } from '../../kit/process/suite-mesh.js';

describe('outrider up, and a health check by the name of a model', function () {
  this.timeout(60_000);

  const health = 'health: { service: digits, interval: 200ms }';
  const mesh = new SuiteMesh(meshFile().replace('      routes:', `      ${health}\n      routes:`));

  const sum = async (role: 'caller' | 'replica', metric: string, labels = {}): Promise<number> => {
    const { body } = await admin((role === 'caller' ? mesh.caller : mesh.replicas[0]!).admin, '/metrics');
    return sumOfSamples(body, metric, labels);
  };
  const checks = (result: string) => sum('caller', 'outrider_health_checks_total', { result });
  const healthy = () => sum('caller', 'outrider_endpoint_healthy');

  it('is answered by the sidecar, which sent the golden input less often than it was asked', async () => {
    await until('it has been checked', async () => (await checks('passed')) >= 4);
    assert.equal(await healthy(), 1);
    assert.equal(await sum('replica', 'outrider_model_up'), 1);
    const asked = await sum('replica', 'outrider_model_probes_total', { result: 'passed' });
    assert.ok(asked >= 1 && asked < (await checks('passed')), `${asked}`);
  });

  it('is no while the model is gone, though there are no calls', async () => {
    const { modelPid } = mesh.replicas[0]!;
    process.kill(modelPid!, 'SIGKILL');
    await until('a check says so', async () => (await checks('failed')) > 0);
    await until('it is back', async () => (await healthy()) === 1);
  });
});
