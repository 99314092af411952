import assert from 'node:assert/strict';
import { parseSidecarFile } from '../../../../sidecar/config/file/parse.js';
import { stringifySidecar } from '../../../../sidecar/config/stringify.js';
import { refusing, sidecarConfig, sidecarProblems } from '../../../kit/config/problems-of.js';

const file = (identity: string) => `service: digits
trust_domain: mesh.example
identity: ${identity}
outbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1"]}}}`;
const SOCKET = 'spire: "unix:///run/spire/agent.sock"';
const ID = '"spiffe://partner.example/ns/default/dc/dc1/svc/web"';

describe('identity', () => {
  it('is the socket of a SPIRE agent, with what belongs to it', () => {
    assert.deepEqual(sidecarConfig(file(`{${SOCKET}}`)).identity, {
      kind: 'spire',
      spire: { kind: 'unix', path: '/run/spire/agent.sock' },
    });
    const all = sidecarConfig(
      file(`{${SOCKET}, spire_owner: 990, hint: internal, ids: {${ID}: partner-web}}`),
    );
    assert.deepEqual(all.identity, {
      kind: 'spire',
      spire: { kind: 'unix', path: '/run/spire/agent.sock' },
      spireOwner: 990,
      hint: 'internal',
      ids: { 'spiffe://partner.example/ns/default/dc/dc1/svc/web': 'partner-web' },
    });
  });

  it('is written as it was read', () => {
    const config = sidecarConfig(file(`{${SOCKET}, hint: internal}`));
    const again = parseSidecarFile(stringifySidecar(config), '/etc/mesh/s.yaml');
    assert.ok(again.ok, JSON.stringify(again));
    assert.deepEqual(again.config.identity, config.identity);
  });

  it('needs all of the files where there is no agent', () => {
    const problems = sidecarProblems(file('{}'));
    for (const key of ['cert', 'key', 'roots'])
      assert.ok(
        problems.some((each) => each.includes(`identity.${key}: missing`)),
        key,
      );
  });

  refusing(sidecarProblems)('files beside the agent', file(`{${SOCKET}, cert: c}`))
    .because(/identity\.cert: found beside spire, which gives it; expected one of the two/)
    .also('half of the files', file('{cert: c, key: k}'))
    .because(/identity\.roots: missing; expected the path of the root certificates/)
    .also('a hint without the agent', file('{cert: c, key: k, roots: r, hint: internal}'))
    .because(/identity\.hint: found without spire/)
    .also('an agent at a port', file('{spire: "127.0.0.1:8081"}'))
    .because(/identity\.spire: found "127\.0\.0\.1:8081"; expected the socket of a SPIRE agent/);
});
