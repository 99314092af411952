import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EnvoyProcess, servesAs } from '../../../../../sidecar/cli/chaos/arms/envoy-process.js';

describe('a process of Envoy and the one that follows it', () => {
  const info = (state: string, epoch: number) =>
    JSON.stringify({ state, command_line_options: { restart_epoch: epoch } });

  it('serves when the admin port is its own and says so, and not while it is that of its predecessor', () => {
    assert.equal(servesAs(info('LIVE', 1), 1), true);
    assert.equal(servesAs(info('LIVE', 0), 1), false);
    assert.equal(servesAs(info('PRE_INITIALIZING', 1), 1), false);
    assert.equal(servesAs('{"state":"LIVE"}', 0), true, 'a number of 0 may be left out');
    assert.equal(servesAs('', 0), false);
  });

  it('that does not start says why: by its last line, or by how it ended', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'outrider-envoy-'));
    try {
      const program = join(dir, 'envoy');
      const start = async (script: string) => {
        writeFileSync(program, `#!/bin/sh\n${script}\nexit 3\n`);
        chmodSync(program, 0o755);
        await new EnvoyProcess({ program, file: 'envoy.json', dir, info: async () => '' }).start();
      };
      await assert.rejects(start(''), /^CommandFailure: envoy does not start: exited with code 3$/);
      await assert.rejects(start('echo reading >&2\necho no such field >&2'), /start: no such field$/);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
