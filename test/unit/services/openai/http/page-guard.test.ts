import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { pageRefusal } from '../../../../../services/openai/http/page-guard.js';

const NAMES = new Set(['chat.example']);

function refusalOf(headers: Record<string, string>, hosts = [headers['host'] ?? '127.0.0.1:8080']) {
  const { host = hosts[0]!, ...others } = headers;
  const request = { headers: { host, ...others }, headersDistinct: { host: hosts } };
  return pageRefusal(request as unknown as IncomingMessage, NAMES);
}

describe('a web page before a service without keys', () => {
  for (const [title, headers] of [
    ['a name that resolves to this machine', { host: 'evil.example' }],
    ['such a name with a port', { host: 'evil.example:8080' }],
    ['a name that begins as an address', { host: '[::1]evil.example' }],
    ['a name that begins as localhost', { host: 'localhost.evil.example' }],
    ['a page of another name', { origin: 'http://evil.example' }],
    ['a page without origin', { origin: 'null' }],
    ['a page on another port', { host: '127.0.0.1:8080', origin: 'http://127.0.0.1:3000' }],
    ['what a browser says is cross-site', { 'sec-fetch-site': 'cross-site' }],
  ] as const)
    it(`is refused: ${title}`, () => assert.ok(refusalOf(headers)));

  it('is refused with two Host headers', () => {
    assert.match(refusalOf({}, ['localhost', 'evil.example'])!, /more than one Host/);
  });

  it('is not one that calls by an address, localhost or a known name', () => {
    for (const host of [
      '127.0.0.1',
      'localhost:1234',
      '[::1]:80',
      'Chat.Example',
      'chat.example:80',
      '10.1.2.3',
    ]) {
      assert.equal(refusalOf({ host }), undefined, host);
      assert.equal(refusalOf({ host, origin: `http://${host}` }), undefined, host);
      assert.equal(
        refusalOf({ host, origin: `https://${host}`, 'sec-fetch-site': 'same-origin' }),
        undefined,
      );
    }
  });
});
