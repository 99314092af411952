import assert from 'node:assert/strict';
import { AskedAgent } from '../../../../sidecar/cli/consul/asked-agent.js';
import { catalogInstances } from '../../../../sidecar/cli/status/catalog.js';
import { LoopbackAgent } from '../../../kit/consul/loopback-agent.js';
import { afterTest } from '../../../kit/mocha/after-test.js';

describe('the sidecars in the catalogue', () => {
  it('are those with our tag, with the state of their worst check and what it says', async () => {
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    const Node = { Node: 'n1', Address: '10.0.0.1' };
    const Service = {
      ID: 'digits-1',
      Address: '',
      Port: 9000,
      Meta: { outrider: '0.1.0', models: 'a:1,2 b:-', 'outrider-observe': '9464' },
    };
    const check = (Status: string, Output: string) => ({ Status, Output, Name: 'check' });
    agent.handler = ({ url = '' }, response) => {
      const entries = [
        {
          Node,
          Service,
          Checks: [check('passing', 'fine'), check('warning', 'slow\nvery'), check('critical', '')],
        },
        { Node, Service: { ...Service, ID: 'digits-2', Meta: null }, Checks: [check('warning', 'slow')] },
        {
          Node,
          Service: { ...Service, ID: 'digits-3', Meta: { 'outrider-observe': '[::1]:9000' } },
          Checks: [check('passing', '')],
        },
      ];
      const services = {
        consul: [],
        digits: ['outrider'],
        'digits-sidecar-proxy': ['outrider'],
        web: ['other'],
      };
      response.end(JSON.stringify(url.startsWith('/v1/catalog/services') ? services : entries));
    };
    const asked = AskedAgent.open(`127.0.0.1:${agent.port}`);
    afterTest(() => asked.close());
    const found = await catalogInstances(asked);
    const common = { service: 'digits', node: 'n1', address: '10.0.0.1:9000' };
    assert.deepEqual(Object.fromEntries(found), {
      'digits-1': {
        ...common,
        version: '0.1.0',
        status: 'critical',
        models: ['a:1,2', 'b:-'],
        observe: '10.0.0.1:9464',
        why: 'slow; check',
      },
      'digits-2': { ...common, version: '', status: 'warning', models: [], why: 'slow' },
      'digits-3': { ...common, version: '', status: 'passing', models: [], observe: '[::1]:9000', why: '' },
    });
    assert.deepEqual(
      agent.asked.map(({ url }) => url),
      ['/v1/catalog/services', '/v1/health/service/digits?tag=outrider'],
    );
  });
});
