import assert from 'node:assert/strict';
import { explained, foundOf, listed } from '../../../../sidecar/cli/explain/explain.js';
import { lookUp, REASON_NAMES } from '../../../../sidecar/cli/explain/lookup.js';
import { paletteFor } from '../../../../sidecar/cli/terminal.js';

const plain = paletteFor({ write: () => {} }, {});

describe('outrider explain', () => {
  it('finds a reason in any spelling, with its status and whether the model saw the call', () => {
    for (const word of ['queue-expired', 'QUEUE_EXPIRED', ' queue-expired ']) {
      const found = lookUp(word);
      assert.equal(found.kind, 'outrider-reason');
      if (found.kind !== 'outrider-reason') continue;
      assert.deepEqual(
        [found.name, found.statuses, found.isUnprocessed],
        ['queue-expired', ['DEADLINE_EXCEEDED'], true],
      );
    }
  });

  it('knows the several statuses of one reason', () => {
    const found = lookUp('repository');
    assert.ok(found.kind === 'outrider-reason' && found.statuses.length > 2);
  });

  it('finds the reasons of a gRPC status, by name and number, and says when a sidecar never gives it', () => {
    for (const word of ['UNAVAILABLE', 'unavailable', '14']) {
      const found = lookUp(word);
      assert.ok(found.kind === 'grpc-status' && found.reasons.includes('no-endpoint'), word);
      assert.ok(!found.reasons.includes('overloaded'));
    }
    const found = lookUp('ABORTED');
    assert.ok(found.kind === 'grpc-status');
    assert.match(explained(found, plain), /never gives this status by itself/);
  });

  it('finds why a certificate was refused, and outputs of checks in Consul', () => {
    assert.equal(lookUp('clock-expired').kind, 'handshake');
    for (const [word, shown] of [
      ['draining', undefined], // also a reason, which goes first
      ['TTL expired (last output before timeout follows): starting', 'TTL expired'],
      ['golden output differs: scores[3] is 0.1, expected 0.9', '… golden …'],
      ['the model does not answer', 'the model does not answer'],
    ] as const) {
      const found = lookUp(word);
      if (shown === undefined) assert.equal(found.kind, 'outrider-reason');
      else assert.ok(found.kind === 'consul-check' && found.name === shown, word);
    }
  });

  it('offers the nearest of what it does not know, where one is near', () => {
    assert.deepEqual(lookUp('overload'), { kind: 'unknown', word: 'overload', near: 'overloaded' });
    assert.deepEqual(lookUp('xyzzy'), { kind: 'unknown', word: 'xyzzy' });
    assert.deepEqual(lookUp('constructor'), { kind: 'unknown', word: 'constructor' });
  });

  it('takes several words for one output of a check, or each for itself', () => {
    const names = (...words: string[]) => foundOf(words).map(({ name }) => name);
    assert.deepEqual(names('overloaded', 'queue-expired'), ['overloaded', 'queue-expired']);
    assert.deepEqual(names('the', 'model', 'does', 'not', 'answer'), ['the model does not answer']);
    assert.throws(
      () => names('overloaded', 'overload'),
      /unknown reason "overload"; did you mean overloaded/,
    );
  });

  it('prints each part of an entry', () => {
    const found = lookUp('overloaded');
    assert.ok(found.kind === 'outrider-reason');
    const text = explained(found, plain);
    assert.match(text, /^overloaded {2}RESOURCE_EXHAUSTED\. The model has not seen the call/);
    for (const title of ['likely causes', 'where to look', 'remedy', 'options'])
      assert.ok(text.includes(`\n  ${title}\n    `), title);
  });

  it('lists every reason on a line', () => {
    const lines = listed(plain).split('\n\n')[0]!.split('\n');
    for (const name of REASON_NAMES)
      assert.equal(lines.filter((line) => line.startsWith(`${name} `)).length, 1, name);
  });
});
