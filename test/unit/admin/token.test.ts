import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { AdminToken, readToken } from '../../../sidecar/admin/token.js';
import { scratchForEach } from '../../kit/mocha/scratch.js';

const TOKEN = 'b4Xk2-9sQ_aaLmPz';

describe('the token of the admin port', () => {
  const scratch = scratchForEach();

  it('is the text of its file without the white space around it', () => {
    assert.equal(readToken(scratch.write('token', `  ${TOKEN}\n`)), TOKEN);
  });

  it('is refused when its file is missing, short, long or of several words', () => {
    assert.throws(() => AdminToken.open(`${scratch.path}/none`), /ENOENT/);
    for (const text of ['', 'short', 'x'.repeat(513), `${TOKEN} ${TOKEN}`, `${TOKEN}\n${TOKEN}`])
      assert.throws(() => AdminToken.open(scratch.write('token', text)), /holds no token: 16 to 512/, text);
  });

  it('lets through the header that has it, and no other', () => {
    const token = AdminToken.open(scratch.write('token', TOKEN));
    for (const header of [`Bearer ${TOKEN}`, `bearer  ${TOKEN}`])
      assert.equal(token.refusal(header), undefined, header);
    for (const header of [`Bearer ${TOKEN}x`, `Bearer ${TOKEN.slice(1)}`])
      assert.equal(token.refusal(header), 'the token is another one', header);
    for (const header of [undefined, '', TOKEN, `Basic ${TOKEN}`, 'Bearer'])
      assert.match(token.refusal(header)!, /is missing \(admin_token_file\)/, header);
  });

  it('follows its file, and lets nothing through while that is gone', () => {
    const token = AdminToken.open(scratch.write('token', TOKEN));
    scratch.write('token', `${TOKEN}-new`);
    assert.equal(token.refusal(`Bearer ${TOKEN}`), 'the token is another one');
    assert.equal(token.refusal(`Bearer ${TOKEN}-new`), undefined);
    rmSync(join(scratch.path, 'token'));
    assert.match(token.refusal(`Bearer ${TOKEN}-new`)!, /cannot be read/);
  });
});
