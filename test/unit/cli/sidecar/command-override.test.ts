import assert from 'node:assert/strict';
import { inPlace } from '../../../../sidecar/cli/sidecar/command-override.js';
import { loadSidecarFile } from '../../../../sidecar/config/file/load.js';

describe('inPlace', () => {
  const config = (name: string) => {
    const file = loadSidecarFile(name);
    assert.ok(file.ok);
    return file.config;
  };

  it('takes instance and registered address from the environment, and leaves the rest of the file', () => {
    const before = config('mesh-config/sidecar-on-consul.yaml');
    const after = inPlace(before, { OUTRIDER_INSTANCE: 'digits-7', OUTRIDER_ADDRESS: '10.1.2.3' });
    assert.equal(after.instance, 'digits-7');
    assert.deepEqual(after.consul?.registration, { ...before.consul?.registration, address: '10.1.2.3' });
    assert.deepEqual(after.inbound, before.inbound);
  });

  it('changes nothing for absent and empty variables, and has no place for an address without Consul', () => {
    const alone = config('mesh-config/sidecar.yaml');
    assert.equal(inPlace(alone, { OUTRIDER_INSTANCE: '', OUTRIDER_ADDRESS: undefined }), alone);
    assert.equal(inPlace(alone, { OUTRIDER_ADDRESS: '10.1.2.3' }), alone);
  });
});
