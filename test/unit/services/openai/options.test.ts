import assert from 'node:assert/strict';
import { readOptions } from '../../../../services/openai/options.js';

const read = (line: string, env = {}) => readOptions(line.split(' ').filter(Boolean), env);

describe('the command line of the OpenAI service', () => {
  it('takes the only upstream of its sidecar', () => {
    assert.equal(read('', { OUTRIDER_UPSTREAM_CHAT: 'unix:/run/chat.sock' }).engine, 'unix:/run/chat.sock');
    assert.throws(
      () => read('', { OUTRIDER_UPSTREAM_A: 'a:1', OUTRIDER_UPSTREAM_B: 'b:1' }),
      /--engine is missing/,
    );
    assert.throws(() => read(''), /--engine is missing/);
  });

  it('listens on loopback only if there are no keys', () => {
    for (const address of ['127.0.0.1:8080', 'localhost:1', '[::1]:8080', '127.9.9.9:0'])
      assert.doesNotThrow(() => read(`--engine e:1 --listen ${address}`), address);
    for (const address of [
      '0.0.0.0:80',
      '[::]:80',
      '10.0.0.1:80',
      'example.com:80',
      '127.0.0.1.example.com:80',
    ])
      assert.throws(() => read(`--engine e:1 --listen ${address}`), /give --keys/, address);
    assert.deepEqual(read('--engine e:1 --listen [::]:80 --keys k').listen, { host: '::', port: 80 });
  });

  it('takes names that clients call it by', () => {
    assert.deepEqual(read('--engine e:1 --host Chat.Example --host other').hosts, ['chat.example', 'other']);
    assert.throws(
      () => read('--engine e:1 --host chat.example:80'),
      /--host chat.example:80: expected a name/,
    );
  });

  it('says which value is wrong', () => {
    assert.throws(() => read('--engine e:1 --listen 8080'), /--listen 8080: expected HOST:PORT/);
    assert.throws(() => read('--engine e:1 --listen 127.0.0.1:70000'), /expected HOST:PORT/);
    assert.throws(() => read('--engine e:1 --max-body-mib 0'), /--max-body-mib 0: expected a whole number/);
    assert.throws(() => read('--engine e:1 --unknown'), /--unknown/);
  });
});
