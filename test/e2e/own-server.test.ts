/** docs/OWN-SERVER.md as it is written: a server that knows nothing of Outrider, behind two sidecars, and one of its processes killed. */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { REPOSITORY } from '../kit/process/outrider.js';
import { blocksOf, IS_UP, pageText, shellLines } from '../kit/process/page-lines.js';
import { ScratchDirectory } from '../kit/process/scratch-directory.js';

const PAGE = pageText('OWN-SERVER.md');

describe('the page about a gRPC server of your own', function () {
  this.timeout(120_000);
  let place: ScratchDirectory;
  before(() => {
    place = new ScratchDirectory();
    symlinkSync(join(REPOSITORY, 'node_modules'), join(place.path, 'node_modules'));
    const [server, client] = blocksOf(PAGE, 'js');
    place.scratch.write('text.proto', blocksOf(PAGE, 'proto')[0]!);
    place.scratch.write('server.mjs', server!);
    place.scratch.write('client.mjs', client!);
    place.scratch.write('text.yaml', blocksOf(PAGE, 'yaml')[0]!);
  });
  after(() => place?.close());

  it('has command lines that work as they stand: the server is called, one process killed, and called again', async () => {
    const [install, up, call, kill, again, status, ...rest] = shellLines(PAGE);
    assert.match(install!, /^npm install /); // linked above, without the network
    await place.start(up!, IS_UP);
    assert.equal(await place.shell(call!), 'AHOY\n');
    assert.match(kill!, /^kill -9 /);
    await place.shell(kill!);
    assert.equal(await place.shell(again!), 'AHOY\n');
    assert.match(await place.shell(status!), /text-2 +eligible/);
    assert.deepEqual(rest, []);
  });
});
