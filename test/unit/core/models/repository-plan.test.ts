/** What is loaded and unloaded when a repository changes. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { LoadState } from '../../../../sidecar/core/models/load-state.js';
import {
  type HeldRevision,
  planRepository,
  wantedRevisions,
} from '../../../../sidecar/core/models/repository-plan.js';
import type { Revision } from '../../../../sidecar/core/models/settled-listing.js';

describe('the plan of a repository', () => {
  /** `digits/2a`: version 2 with the fingerprint `a`. */
  const revision = (text: string): Revision => {
    const [, name = '', version = '', fingerprint = ''] = /^(\w+)\/(\d+)(\w*)$/.exec(text) ?? [];
    return { name, version, fingerprint };
  };
  const held = (text: string, kind: LoadState['kind'] = 'ready'): HeldRevision => ({
    ...revision(text),
    state: { kind, why: '' } as LoadState,
  });
  const said = ({ name, version, fingerprint }: Revision) => `${name}/${version}${fingerprint}`;
  const plan = (wanted: readonly string[], ...all: readonly HeldRevision[]) => {
    const { load, unload } = planRepository(wanted.map(revision), all);
    return { load: load.map(said), unload: unload.map(said) };
  };
  const NOTHING = { load: [], unload: [] };

  it('wants of each model what the policy chooses', () => {
    const listed = ['digits/1a', 'digits/2a', 'lite/7a'].map(revision);
    assert.deepEqual(wantedRevisions(listed, { kind: 'latest', count: 1 }).map(said), [
      'digits/2a',
      'lite/7a',
    ]);
    assert.deepEqual(wantedRevisions(listed, { kind: 'specific', versions: ['1'] }).map(said), ['digits/1a']);
  });

  it('loads what is new, and keeps the old until that is ready', () => {
    assert.deepEqual(plan(['d/2a'], held('d/1a')), { load: ['d/2a'], unload: [] });
    assert.deepEqual(plan(['d/2a'], held('d/1a'), held('d/2a', 'loading')), NOTHING);
    assert.deepEqual(plan(['d/2a'], held('d/1a'), held('d/2a')), { load: [], unload: ['d/1a'] });
  });

  it('keeps the old when the new one fails, and does not load that again until it changes', () => {
    assert.deepEqual(plan(['d/2a'], held('d/1a'), held('d/2a', 'failed')), NOTHING);
    const changed = plan(['d/2b'], held('d/1a'), held('d/2a', 'failed'));
    assert.deepEqual(changed, { load: ['d/2b'], unload: ['d/2a'] });
  });

  it('replaces a version whose files have changed by itself', () => {
    assert.deepEqual(plan(['d/1b'], held('d/1a')), { load: ['d/1b'], unload: [] });
    assert.deepEqual(plan(['d/1b'], held('d/1a'), held('d/1b')), { load: [], unload: ['d/1a'] });
  });

  it('gives up a load that is overtaken', () => {
    const overtaken = plan(['d/3a'], held('d/1a'), held('d/2a', 'loading'));
    assert.deepEqual(overtaken, { load: ['d/3a'], unload: ['d/2a'] });
  });

  it('unloads a model of which nothing is wanted', () => {
    assert.deepEqual(plan([], held('d/1a'), held('d/2a', 'loading')), { load: [], unload: ['d/1a', 'd/2a'] });
  });

  it('loads again what is being unloaded and wanted once more', () => {
    assert.deepEqual(plan(['d/1a'], held('d/1a', 'unloading')), { load: ['d/1a'], unload: [] });
  });

  it('keeps apart the models', () => {
    assert.deepEqual(plan(['d/2a', 'e/1a'], held('d/1a'), held('e/1a')), { load: ['d/2a'], unload: [] });
  });

  it('never unloads the last ready revision of a model that is wanted', () => {
    const kinds = fc.constantFrom('loading', 'ready', 'unavailable', 'failed', 'unloading');
    const one = fc.tuple(fc.constantFrom('d/1a', 'd/2a', 'd/2b', 'd/3a'), kinds);
    const wants = fc.uniqueArray(fc.constantFrom('d/1a', 'd/2b', 'd/3a'), { minLength: 1 });
    fc.assert(
      fc.property(wants, fc.uniqueArray(one, { selector: ([text]) => text }), (wanted, all) => {
        const held_ = all.map(([text, kind]) => held(text, kind as LoadState['kind']));
        const { unload } = planRepository(wanted.map(revision), held_);
        const ready = held_.filter(({ state }) => state.kind === 'ready');
        return ready.length === 0 || ready.some((each) => !unload.includes(each));
      }),
    );
  });
});
