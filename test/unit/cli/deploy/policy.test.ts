import assert from 'node:assert/strict';
import { type PolicyFlags, policyCommand } from '../../../../sidecar/cli/deploy/policy.js';
import { chain, resolver } from '../../../kit/consul/chains.js';
import { LoopbackAgent } from '../../../kit/consul/loopback-agent.js';
import { afterTest } from '../../../kit/mocha/after-test.js';
import { scratchForTest } from '../../../kit/mocha/scratch.js';

const REGISTRATION = {
  ID: 'web1-proxy',
  Kind: 'connect-proxy',
  Service: 'web-sidecar-proxy',
  Port: 21_000,
  Proxy: {
    DestinationServiceName: 'web',
    DestinationServiceID: 'web1',
    LocalServicePort: 8_001,
    Upstreams: [{ DestinationName: 'digits', LocalBindPort: 18_800 }],
  },
};

describe('outrider consul policy', () => {
  /** What it prints for a file that adopts the registration of an agent. */
  const printed = async (adopt: string, status = 200): Promise<string> => {
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    agent.handler = ({ url = '' }, response) => {
      const isThere = url.startsWith('/v1/agent/service/web1-proxy');
      response.statusCode = status === 200 && !isThere ? 404 : status;
      response.end(JSON.stringify(REGISTRATION));
    };
    const audit = 'audit: { path: a.jsonl }';
    const consul = `consul: { token_file: not/yet, adopt: { ${adopt} } }`;
    const file = scratchForTest().write('adopted.yaml', `${consul}\n${audit}\n`);
    let text = '';
    const flags = { consul: `http://127.0.0.1:${agent.port}` };
    await policyCommand(file, flags, (more) => {
      text += more;
    });
    return text;
  };

  it('of a file that adopts a registration names the service and the upstreams of that registration', async () => {
    const rules = await printed('proxy: web1-proxy');
    for (const rule of [
      'service "web" { policy = "write" }',
      'service "web-sidecar-proxy" { policy = "write" }',
      'service "digits" { policy = "read" }',
      'key_prefix "outrider/audit/web/" { policy = "write" }',
    ])
      assert.ok(rules.includes(`\n${rule}\n`), rules);
    assert.doesNotMatch(rules, /adopted/);
  });

  it('names the services that rules in Consul lead to where an agent is named, and says that it has not looked elsewhere', async () => {
    const agent = await LoopbackAgent.start();
    afterTest(() => agent.stop());
    let isDenied = false;
    agent.handler = ({ url = '' }, response) => {
      const isRedirected = url === '/v1/discovery-chain/digits';
      response.statusCode = isDenied ? 403 : isRedirected ? 200 : 404;
      response.end(
        chain([resolver('digits-v2', { failover: ['spare'] })], { 'digits-v2': {}, spare: {} }, 'digits'),
      );
    };
    const upstream = (name: string, consul: string, port: number) =>
      `${name}: { listen: "127.0.0.1:${port}", consul: ${consul} }`;
    const upstreams = [upstream('digits', '{}', 18_800), upstream('words', '{ tags: [a] }', 18_801)];
    const text = (rules: boolean) =>
      `service: web\nconsul: { rules: ${rules} }\noutbound: { upstreams: { ${upstreams.join(', ')} } }\n`;
    const rulesOf = async (flags: PolicyFlags, rules = true): Promise<string> => {
      let printed = '';
      await policyCommand(
        scratchForTest().write('web.yaml', text(rules)),
        flags,
        (more) => (printed += more),
      );
      return printed;
    };
    const here = { consul: `http://127.0.0.1:${agent.port}` };
    const read = (policy: string) => policy.match(/(?<=^service ")[^"]+(?=" { policy = "read)/gm);
    const services = (...names: string[]) => names.flatMap((name) => [name, `${name}-sidecar-proxy`]);
    const asked = await rulesOf(here);
    assert.deepEqual(read(asked), services('digits', 'digits-v2', 'spare', 'words'));
    assert.doesNotMatch(asked, /--consul/);
    assert.deepEqual(
      agent.asked.map(({ url }) => url),
      ['/v1/discovery-chain/digits'],
    );
    const unasked = await rulesOf({});
    assert.deepEqual(read(unasked), services('digits', 'words'));
    assert.match(unasked, /^# If rules in Consul lead calls to other services.*--consul ADDR/m);
    assert.doesNotMatch(await rulesOf({}, false), /--consul/);
    isDenied = true;
    await assert.rejects(
      rulesOf(here),
      /web\.yaml: the traffic rules of its upstreams .* cannot be read: .*CONSUL_HTTP_TOKEN needs a token/,
    );
  });

  it('prints nothing where the registration cannot be read, and says why', async () => {
    await assert.rejects(
      printed('proxy: gone'),
      /adopted\.yaml: consul\.adopt: the agent has no registration "gone"/,
    );
    await assert.rejects(
      printed('proxy: web1-proxy', 403),
      /consul\.adopt: .* cannot be read: .*CONSUL_HTTP_TOKEN needs a token with service "NAME"/,
    );
    const file = scratchForTest().write('adopted.yaml', 'consul: { adopt: { proxy: a } }\n');
    const print = () => assert.fail('nothing is known');
    await assert.rejects(
      policyCommand(file, { consul: 'http://127.0.0.1:1' }, print),
      /cannot be read: .*does an agent run/,
    );
  });
});
