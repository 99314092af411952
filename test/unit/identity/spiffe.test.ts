import assert from 'node:assert/strict';
import fc from 'fast-check';
import { formatSpiffeId, isProblem, parseSpiffeId } from '../../../sidecar/identity/spiffe.js';
import { anyCharacter } from '../../kit/config/any-character.js';

function parsed(uri: string) {
  const id = parseSpiffeId(uri);
  if (isProblem(id)) throw new Error(`${uri}: ${id.problem}`);
  return id;
}

function faultOf(uri: string): string {
  const id = parseSpiffeId(uri);
  return isProblem(id) ? id.problem : `none: ${id.service}`;
}

describe('a SPIFFE id', () => {
  it('in the form of Consul names trust domain, namespace, datacenter and service', () => {
    const uri = 'spiffe://a.consul/ns/default/dc/dc1/svc/web';
    const names = { trustDomain: 'a.consul', partition: 'default', namespace: 'default', datacenter: 'dc1' };
    assert.deepEqual(parsed(uri), { ...names, service: 'web', uri });
  });

  it('may name a partition', () => {
    assert.equal(parsed('spiffe://a.consul/ap/billing/ns/default/dc/dc1/svc/web').partition, 'billing');
  });

  it('is matched raw and unescaped once', () => {
    assert.equal(parsed('spiffe://a.consul/ns/default/dc/dc1/svc/web%2Fadmin').service, 'web/admin');
    assert.equal(parsed('spiffe://a.consul/ns/default/dc/dc1/svc/web%252Fadmin').service, 'web%2Fadmin');
    assert.match(faultOf('spiffe://a.consul/ns/default/dc/dc1%2Fsvc%2Fweb'), /does not name a service/);
  });

  it('has its trust domain compared in lower case', () => {
    assert.equal(parsed('spiffe://A.CONSUL/ns/default/dc/dc1/svc/web').trustDomain, 'a.consul');
  });

  it('of another kind is named as what it is', () => {
    assert.match(faultOf('spiffe://a.consul/agent/client/dc/dc1/id/n1'), /client agent/);
    assert.match(faultOf('spiffe://a.consul/agent/server/dc/dc1'), /server agent/);
    assert.match(faultOf('spiffe://a.consul/gateway/mesh/dc/dc1'), /gateway/);
    assert.match(faultOf('spiffe://a.consul/ap/p/gateway/mesh/dc/dc1'), /gateway/);
  });

  it('with anything around it is refused, with a reason', () => {
    const good = 'spiffe://a.consul/ns/default/dc/dc1/svc/web';
    const bad: ReadonlyArray<readonly [string, RegExp]> = [
      ['', /scheme/],
      [good.toUpperCase(), /scheme/],
      [` ${good}`, /scheme/],
      [`${good}\n`, /illegal/],
      [`${good}?`, /query/],
      [`${good}#`, /fragment/],
      ['spiffe:///ns/default/dc/dc1/svc/web', /trust domain/],
      ['spiffe://ä.consul/ns/default/dc/dc1/svc/web', /trust domain/],
      ['spiffe://u@a.consul/ns/default/dc/dc1/svc/web', /user information/],
      ['spiffe://a.consul:443/ns/default/dc/dc1/svc/web', /port/],
      ['spiffe://a.consul/ns//dc/dc1/svc/web', /does not name/],
      ['spiffe://a.consul/x/ns/default/dc/dc1/svc/web', /does not name/],
      ['spiffe://a.consul/ns/default/dc/dc1/svc/wéb', /illegal/],
      ['spiffe://a.consul/ns/default/dc/dc1/svc/%7f', /illegal/],
      ['spiffe://a.consul/ns/default/dc/dc1/svc/..', /illegal/],
      [`spiffe://a.consul/ns/default/dc/dc1/svc/${'w'.repeat(2100)}`, /2048/],
    ];
    for (const [uri, reason] of bad) assert.match(faultOf(uri), reason, uri);
  });

  it('survives formatting and parsing for every printable name', () => {
    const name = fc
      .string({ unit: anyCharacter, minLength: 1, maxLength: 40 })
      // Control characters and dot segments are refused on purpose.
      .filter((text) => !/\p{Cc}/u.test(text) && text !== '.' && text !== '..');
    fc.assert(
      fc.property(name, name, (service, datacenter) => {
        const id = parsed(formatSpiffeId({ trustDomain: 'a.consul', datacenter, service }));
        assert.equal(id.service, service);
        assert.equal(id.datacenter, datacenter);
      }),
    );
  });

  it('of any other text is a fault and never an exception', () => {
    const marks = ['%2F', '%', '@', ':'];
    const part = fc.constantFrom(
      'spiffe://',
      'a.consul',
      '/ns/',
      'default',
      '/dc/',
      '/svc/',
      'web',
      ...marks,
    );
    fc.assert(fc.property(fc.array(part), (parts) => void parseSpiffeId(parts.join(''))));
    fc.assert(fc.property(fc.string({ unit: anyCharacter }), (text) => isProblem(parseSpiffeId(text))));
  });
});
