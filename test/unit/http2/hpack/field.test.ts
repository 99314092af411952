import assert from 'node:assert/strict';
import { MetadataKey } from '../../../../sidecar/core/metadata-key.js';
import { FieldError, type HeaderField, makeField } from '../../../../sidecar/http2/hpack/field.js';
import { STATIC_FIELDS } from '../../../../sidecar/http2/hpack/static-table.js';
import { isOwnToken, TOKEN_BY_NAME, Token, tokenOf } from '../../../../sidecar/http2/hpack/tokens.js';
import { decode, fieldsOf, literal, newDecoder, pair } from '../../../kit/http2/hpack-blocks.js';

/** The same field by every way there is: made, and decoded as each kind of literal. */
function everyWay(name: string, value: string): HeaderField[] {
  const decoded = [0x00, 0x10, 0x40].flatMap((first) =>
    [false, true].flatMap((huffman) =>
      fieldsOf(decode(newDecoder(), literal({ first, name, value, huffman }))),
    ),
  );
  return [makeField(name, value), makeField(name, value, true), ...decoded];
}

function assertFault(name: string, value: string, fault: number): void {
  for (const field of everyWay(name, value)) {
    assert.equal(field.error, fault, `${JSON.stringify(name)}: ${JSON.stringify(value)}`);
    assert.deepEqual([field.name, field.value], [name, value]);
    assert.equal(field.size, name.length + value.length + 32);
  }
}

describe('the errors of a field', () => {
  it('are none for valid ones', () => {
    for (const [name, value] of [
      ['x-plain', ''],
      ['x-plain', 'a b\tc'],
      ['x_under.score-bin', 'AAEC'],
      ["!#$%&'*+-.^_`|~09az", '\x01\x7f\x80\xff'],
      ['te', 'trailers'],
      [':path', '/a/b'],
      ['traceparent', '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'],
    ] as const)
      assertFault(name, value, FieldError.ok);
  });

  it('name every byte that is invalid in a header name', () => {
    const allowed = new Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz");
    for (let byte = 0; byte < 256; byte++) {
      const char = String.fromCharCode(byte);
      const field = makeField(`x${char}y`, 'v');
      assert.equal(field.error, allowed.has(char) ? FieldError.ok : FieldError.name, `byte ${byte}`);
    }
    for (const name of ['', 'Te', 'x:y', 'x y', 'ab\0', '\xe9', 'TE'])
      assertFault(name, 'v', FieldError.name);
  });

  it('name blanks at either end of the value of a pseudo-header, and of what we make ourselves', () => {
    for (const value of blanks) {
      assertFault(':path', value, FieldError.whitespace);
      assert.equal(makeField('x-plain', value).error, FieldError.whitespace);
    }
  });

  it('are none for blanks around received metadata, which are stripped', () => {
    for (const name of ofValues)
      for (const value of blanks)
        for (const field of everyWay(name, value).slice(2))
          assert.deepEqual([field.error, field.value], [FieldError.ok, value.trim()], `${name}: "${value}"`);
    for (const field of everyWay('te', ' trailers').slice(2)) assert.equal(field.error, FieldError.ok);
  });

  const around = (char: string): string[] => [char, `a${char}`, `${char}a`, `a${char}b`, ` ${char}`];
  const blanks = [' ', '\t', ' a', 'a ', '\ta', 'a\t', ' \t a b\t ', 'a'.repeat(300).concat(' ')];
  const breaks = [...'\0\r\n'].flatMap(around);
  const ofValues = ['x-plain', 'authorization', 'traceparent', 'tracestate', 'user-agent'];
  const encodings = ['', 'gzip', 'Trailers', 'trailers, gzip', 't'.repeat(400)];
  const pseudo = [':', ':protocol', ':Path', ':path ', '::path'];
  const ofHttp1 = ['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'];
  for (const [title, names, values, fault] of [
    ['name NUL, CR and LF anywhere in a value, also in one that varies', ofValues, breaks, FieldError.value],
    ['name fields about an HTTP/1 connection', ofHttp1, ['x'], FieldError.connection],
    ['name te other than trailers', ['te'], encodings, FieldError.te],
    ['name undefined pseudo-headers', pseudo, ['x'], FieldError.pseudo],
  ] as const)
    it(title, () => {
      for (const name of names) for (const value of values) assertFault(name, value, fault);
    });
});

describe('makeField', () => {
  it('refuses text that is not bytes', () => {
    assert.throws(() => makeField('x-plain', '\u0100'), RangeError);
    assert.throws(() => makeField('x-\u20ac', 'a'), RangeError);
  });

  it('keeps the never-indexed mark', () => {
    assert.equal(makeField('x-secret', 'a', true).neverIndexed, true);
    assert.equal(makeField('x-secret', 'a').neverIndexed, false);
  });
});

describe('tokens', () => {
  it('are one for each known name, and one for all that begin with outrider-', () => {
    const tokens = [...TOKEN_BY_NAME.values()];
    assert.equal(new Set(tokens).size, tokens.length);
    for (const token of tokens) assert.ok(token > 0 && token < Object.keys(Token).length);
    assert.equal(TOKEN_BY_NAME.get(':path'), Token.path);
    assert.equal(TOKEN_BY_NAME.get('x-forwarded-client-cert'), Token.xForwardedClientCert);
    assert.equal(tokenOf('grpc-timeout'), Token.grpcTimeout);
    assert.equal(tokenOf('outrider-reason'), Token.outrider);
    assert.equal(tokenOf('outrider'), Token.other);
    // Every key of ours has a token of ours, whatever else it is.
    for (const name of Object.values(MetadataKey)) assert.ok(isOwnToken(tokenOf(name)), name);
    assert.equal(isOwnToken(Token.grpcTimeout), false);
    // As servers read them that know no difference between a hyphen and an underscore.
    for (const name of ['outrider_caller', 'outrider_Caller', 'outrider.caller', 'outrider_'])
      assert.equal(tokenOf(name), Token.outrider, name);
    for (const name of ['outriders', 'outrider2', 'x-outrider-caller', 'x_outrider'])
      assert.equal(tokenOf(name), Token.other, name);
    for (const name of ['x-forwarded-client-cert', 'x_forwarded_client_cert', 'x_forwarded-client.cert'])
      assert.equal(tokenOf(name), Token.xForwardedClientCert, name);
    // gRPC's own names mean something to us: nothing else is taken for them.
    assert.equal(tokenOf('grpc_timeout'), Token.other);
    assert.equal(tokenOf('Te'), Token.other);
    assert.equal(Math.max(...Object.values(Token)), Object.keys(Token).length - 1);
  });

  it('come with decoded fields', () => {
    for (const [name, token] of TOKEN_BY_NAME) {
      const [field] = fieldsOf(decode(newDecoder(), literal({ name, value: 'v', huffman: true })));
      assert.equal(field!.token, token);
    }
  });
});

describe('the static table', () => {
  it('has the entries of appendix A at their indexes', () => {
    assert.equal(STATIC_FIELDS.length, 62);
    for (const [index, name, value] of [
      [1, ':authority', ''],
      [2, ':method', 'GET'],
      [3, ':method', 'POST'],
      [7, ':scheme', 'https'],
      [8, ':status', '200'],
      [14, ':status', '500'],
      [16, 'accept-encoding', 'gzip, deflate'],
      [23, 'authorization', ''],
      [28, 'content-length', ''],
      [31, 'content-type', ''],
      [32, 'cookie', ''],
      [50, 'range', ''],
      [58, 'user-agent', ''],
      [61, 'www-authenticate', ''],
    ] as const)
      assert.deepEqual(pair(STATIC_FIELDS[index]!), [name, value]);
  });
});
