import assert from 'node:assert/strict';
import { EventReader } from '../../../../sidecar/cli/tap/event-stream.js';
import { type TappedCall, tapLine } from '../../../../sidecar/cli/tap/tap-line.js';
import { tapQuery } from '../../../../sidecar/cli/tap/tap-query.js';
import { paletteFor } from '../../../../sidecar/cli/terminal.js';

const PLAIN = paletteFor({ write: () => true }, {});
const CALL: TappedCall = {
  time: '2026-11-27T06:07:08.901Z',
  direction: 'outbound',
  upstream: 'digits',
  method: '/inference.GRPCInferenceService/ModelInfer',
  caller: 'web',
  status: 'OK',
  ms: 22.9,
  requestBytes: 3_175,
  responseBytes: 87,
  attempts: [{ endpoint: '10.0.0.7:9000', ended: 'trailers', status: 'OK', atMs: 0, ms: 22.9 }],
};

describe('a line of outrider tap', () => {
  const line = (over: Partial<TappedCall> = {}) => tapLine('web', { ...CALL, ...over }, PLAIN);

  it('says when, where, what, how it ended and how long it took', () => {
    assert.equal(
      line(),
      '06:07:08.901  web  →  web calls digits  ModelInfer  OK  22.9 ms  3175/87 B  10.0.0.7:9000',
    );
    const inbound = { direction: 'inbound', service: 'digits', attempts: [] } as const;
    assert.match(line(inbound), /← {2}web to digits {2}ModelInfer {2}OK .* no attempt$/);
    const local = { endpoint: 'local', ended: 'trailers', status: 'OK', atMs: 0, ms: 1 };
    assert.match(line({ ...inbound, attempts: [local] }), / B$/, 'the local model goes without saying');
  });

  it('shows every attempt where there were several, or one that failed', () => {
    const attempts = [
      { endpoint: 'a:1', ended: 'trailers', status: 'UNAVAILABLE', reason: 'draining', atMs: 0, ms: 3 },
      { endpoint: 'b:1', ended: 'attempt-timeout', atMs: 4, ms: 100 },
    ];
    const text = line({ status: 'DEADLINE_EXCEEDED', reason: 'attempt-timeout', attempts });
    assert.match(text, /DEADLINE_EXCEEDED \(attempt-timeout\)/);
    assert.match(
      text,
      /\[a:1 UNAVAILABLE, draining, 3 ms from 0\] {2}\[b:1 attempt-timeout, 100 ms from 4\]$/,
    );
  });

  it('says which attempt went on with a stream, and after how many messages', () => {
    const attempts = [
      { endpoint: 'a:1', ended: 'message-timeout', atMs: 0, ms: 900 },
      { endpoint: 'b:1', resumedAfter: 40, ended: 'trailers', status: 'OK', atMs: 900, ms: 100 },
    ];
    assert.match(
      line({ attempts }),
      /\[a:1 message-timeout, 900 ms from 0\] {2}\[b:1 OK, resumed after 40, 100 ms from 900\]$/,
    );
  });

  it('says that an attempt waited for a connection, also where it succeeded alone', () => {
    const waited = { endpoint: 'a:1', waitedMs: 40, ended: 'trailers', status: 'OK', atMs: 0, ms: 43 };
    assert.match(line({ attempts: [waited] }), /\[a:1 OK, waited 40 ms for a connection, 43 ms from 0\]$/);
  });

  it('names endpoints as outrider status does, where they have a name', () => {
    const attempt = { name: 'digits-2', endpoint: 'a:1', ended: 'trailers', status: 'OK', atMs: 0, ms: 3 };
    assert.match(line({ attempts: [attempt] }), / {2}digits-2$/);
    const failed = { ...attempt, status: 'UNAVAILABLE' };
    assert.match(
      line({ attempts: [failed, attempt] }),
      /\[digits-2 UNAVAILABLE, 3 ms from 0\] {2}\[digits-2 OK/,
    );
  });

  it('says that an answer came from a fallback, and that a call is a copy', () => {
    assert.match(line({ degraded: 'last-good', mirrored: true }), /OK \(from last-good, a copy\)/);
  });
});

describe('the filter of outrider tap', () => {
  it('is a query of the admin server', () => {
    const words = ['upstream=digits', 'route=ModelInfer', 'slow=100ms', 'failed', 'outbound'];
    assert.equal(
      String(tapQuery(words, { rate: '5', sample: '0.5' })),
      'service=digits&method=ModelInfer&slow=100ms&failed=&direction=outbound&sample=0.5&rate=5',
    );
  });

  it('is refused where a word is none of its own, with the nearest', () => {
    assert.throws(() => tapQuery(['stauts=14'], {}), /unknown filter "stauts=14"; did you mean status\?/);
    assert.throws(() => tapQuery(['digits'], {}), { exitCode: 2 });
  });
});

describe('server-sent events', () => {
  it('are read in any pieces, without comments', () => {
    const text = 'data: {"a":1}\n\n:\n\nevent: dropped\ndata: 3\n\ndata: x';
    const reader = new EventReader();
    const seen = [...text].flatMap((letter) => reader.read(letter));
    assert.deepEqual(seen, [
      { name: 'message', data: '{"a":1}' },
      { name: 'dropped', data: '3' },
    ]);
    assert.deepEqual(reader.read('y\n\n'), [{ name: 'message', data: 'xy' }]);
  });

  it('that do not end are refused', () => {
    const reader = new EventReader();
    assert.throws(() => {
      for (let i = 0; i < 100; i++) reader.read('x'.repeat(10_000));
    }, /without an end/);
  });
});
