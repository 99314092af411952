import assert from 'node:assert/strict';
import { refusing, sidecarConfig, sidecarProblems } from '../../../kit/config/problems-of.js';

const file = (ids: string) => `service: digits
trust_domain: mesh.example
identity: {cert: c, key: k, roots: r, ids: ${ids}}
outbound: {upstreams: {u: {listen: "127.0.0.1:1", endpoints: ["10.0.0.1:1"]}}}`;
const one = (id: string) => file(`{"${id}": digits}`);

describe('identity.ids', () => {
  it('is a map from ids to services', () => {
    const { identity } = sidecarConfig(
      file('{"spiffe://mesh.example/ns/ml/sa/digits": digits, "spiffe://mesh.example/ns/web/sa/*": web}'),
    );
    assert.deepEqual(identity.kind === 'files' && identity.ids, {
      'spiffe://mesh.example/ns/ml/sa/digits': 'digits',
      'spiffe://mesh.example/ns/web/sa/*': 'web',
    });
  });

  it('may have a narrow and a wide pattern, and two alike for one service', () => {
    const ids =
      '{"spiffe://mesh.example/a/*": web, "spiffe://mesh.example/a/b": digits, "spiffe://mesh.example/*/b": web}';
    assert.ok(sidecarConfig(file(ids)));
  });

  it('may have the id that names the same service, as during a migration', () => {
    assert.ok(sidecarConfig(one('spiffe://mesh.example/ns/default/dc/dc1/svc/digits')));
    assert.ok(sidecarConfig(one('spiffe://mesh.example/ns/default/dc/*/svc/digits')));
  });

  refusing(sidecarProblems)('another trust domain', one('spiffe://other.example/ns/ml/sa/digits'))
    .because(/found an id of the trust domain other.example; expected one of mesh.example/)
    .also('an id that names a service', one('spiffe://mesh.example/ns/default/dc/dc1/svc/web'))
    .because(/found an id that says what it is/)
    .also('the id of an agent', one('spiffe://mesh.example/agent/server/dc/dc1'))
    .because(/found an id that says what it is/)
    .also('a pattern within a segment', one('spiffe://mesh.example/ns/ml/sa/digits-*'))
    .because(/found this as a name; expected a SPIFFE id such as/)
    .also('an id without a path', one('spiffe://mesh.example'))
    .because(/found this as a name; expected a SPIFFE id/)
    .also('a wildcard as the trust domain', one('spiffe://*/ns/ml/sa/digits'))
    .because(/found this as a name; expected a SPIFFE id/)
    .also('an escape', one('spiffe://mesh.example/ns/ml/sa/%64igits'))
    .because(/found this as a name; expected a SPIFFE id/)
    .also(
      'two patterns for one id',
      file('{"spiffe://mesh.example/a/*": web, "spiffe://mesh.example/*/b": digits}'),
    )
    .because(/found beside spiffe:\/\/mesh.example\/a\/\*, and an id may match both/);
});
