import assert from 'node:assert/strict';
import {
  readEvent,
  readPage,
  readService,
  statusMessage,
} from '../../../../sidecar/core/discovery/watch-event.js';
import { sliceJson, statusJson } from '../../../kit/process/kubernetes-api.js';

const slice = sliceJson('a', { endpoints: [{ address: '10.0.0.1' }] }, 7);
const event = (type: string, object: unknown): string => JSON.stringify({ type, object });

describe('The Kubernetes API', () => {
  it('lists slices, with the revision that a watch goes on from', () => {
    const page = readPage(
      JSON.stringify({ metadata: { resourceVersion: '9', continue: 'x' }, items: [slice] }),
    );
    assert.deepEqual([page.slices.length, page.revision, page.next, page.problem], [1, '9', 'x', undefined]);
    const empty = readPage(JSON.stringify({ metadata: { resourceVersion: '9' }, items: null }));
    assert.deepEqual(empty, { slices: [], revision: '9', next: '', problem: undefined });
  });

  it('lists what is no slice: it is left out, and said', () => {
    const page = readPage(JSON.stringify({ metadata: { resourceVersion: '9' }, items: [{}, slice] }));
    assert.equal(page.slices.length, 1);
    assert.match(page.problem!, /without a name/);
    for (const bad of ['', '[]', '{}', '{"metadata":{}}', 'null']) assert.throws(() => readPage(bad), bad);
  });

  it('tells of changes in lines', () => {
    for (const type of ['ADDED', 'MODIFIED']) {
      const put = readEvent(event(type, slice));
      assert.ok(put.kind === 'put');
      assert.deepEqual([put.slice.name, put.revision], ['a', '7']);
    }
    assert.deepEqual(readEvent(event('DELETED', slice)), { kind: 'delete', name: 'a', revision: '7' });
    const bookmark = event('BOOKMARK', { metadata: { resourceVersion: '12' } });
    assert.deepEqual(readEvent(bookmark), { kind: 'bookmark', revision: '12' });
  });

  it('tells that a revision is too old, which is no other error', () => {
    const status = (code: number) =>
      event('ERROR', JSON.parse(statusJson(code, 'too old\nresource version')));
    assert.deepEqual(readEvent(status(410)), { kind: 'expired', why: 'too old resource version' });
    assert.equal(readEvent(status(500)).kind, 'failed');
  });

  it('tells nothing that can be read: the watch has failed', () => {
    const lines = ['', '{', 'null', '7', event('ADDED', {}), event('ADDED', null), event('WHAT', slice)];
    for (const line of [...lines, event('MODIFIED', { metadata: { resourceVersion: '1' } })])
      assert.equal(readEvent(line).kind, 'failed', line);
  });

  it('says what a Service is', () => {
    const of = (spec: object) => readService(JSON.stringify({ spec }));
    assert.deepEqual(of({ type: 'ExternalName' }), { type: 'ExternalName', hasSelector: false });
    assert.deepEqual(of({ selector: { app: 'a' } }), { type: 'ClusterIP', hasSelector: true });
  });

  it('says what is wrong in a Status, or in other text, on one short line', () => {
    assert.equal(statusMessage(statusJson(403, 'forbidden:\n not you')), 'forbidden: not you');
    assert.equal(statusMessage('<html>\x07'), '<html>?');
    assert.equal(statusMessage('x'.repeat(5_000)).length, 300);
  });
});
