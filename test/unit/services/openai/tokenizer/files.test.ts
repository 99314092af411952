import assert from 'node:assert/strict';
import { zipArchive } from '../../../../../services/engine/zip-archive.js';
import { ArchiveParts, filesOfArchive, readParts } from '../../../../../services/openai/tokenizer/files.js';

const filesOf = (files: Readonly<Record<string, unknown>>) =>
  new Map(
    Object.entries(files).map(([name, content]) => [
      name,
      Buffer.from(typeof content === 'string' ? content : JSON.stringify(content)),
    ]),
  );

describe('the files of a tokenizer', () => {
  it('are taken out of an archive as far as they are known', () => {
    const archive = zipArchive(
      ['tokenizer.json', '../tokenizer.json', 'model.safetensors'].map((name) => ({
        name,
        content: Buffer.from('{}'),
      })),
    );
    assert.deepEqual([...filesOfArchive(archive).keys()], ['tokenizer.json']);
  });

  it('have the chat template in a file of its own, in the configuration, or in chat_template.json', () => {
    const template = (files: object) => readParts(filesOf({ 'tokenizer.json': {}, ...files })).chatTemplate;
    const config = { 'tokenizer_config.json': { chat_template: 'in the configuration' } };
    assert.equal(template({ 'chat_template.jinja': 'of its own', ...config }), 'of its own');
    assert.equal(template(config), 'in the configuration');
    assert.equal(template({ 'chat_template.json': { chat_template: 'old' } }), 'old');
    assert.equal(template({}), undefined);
  });

  it('may have several chat templates by name', () => {
    const chat_template = [
      { name: 'tool_use', template: 'tools' },
      { name: 'default', template: 'plain' },
    ];
    const files = filesOf({ 'tokenizer.json': {}, 'tokenizer_config.json': { chat_template } });
    assert.equal(readParts(files).chatTemplate, 'plain');
  });

  it('name special tokens as text or as an object', () => {
    const files = filesOf({
      'tokenizer.json': {},
      'special_tokens_map.json': { eos_token: '</s>', pad_token: '<pad>' },
      'tokenizer_config.json': { bos_token: { content: '<s>' }, eos_token: '<|end|>', unk_token: null },
    });
    assert.deepEqual(readParts(files).specialTokens, {
      eos_token: '<|end|>',
      pad_token: '<pad>',
      bos_token: '<s>',
    });
  });

  it('must have a tokenizer.json, and it must be JSON', () => {
    assert.throws(() => readParts(filesOf({})), /there is no tokenizer.json/);
    assert.throws(() => readParts(filesOf({ 'tokenizer.json': '{' })), /tokenizer.json is no JSON/);
  });

  it('are given up when an engine sends more than 128 MiB', () => {
    const parts = new ArchiveParts();
    const part = Buffer.alloc(64 * 1024 * 1024);
    parts.add(part);
    parts.add(part);
    assert.throws(() => parts.add(Buffer.alloc(1)), /more than/);
  });
});
