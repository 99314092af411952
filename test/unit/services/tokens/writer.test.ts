import assert from 'node:assert/strict';
import { Vocabulary } from '../../../../services/tokens/vocabulary.js';
import { type Task, Writer } from '../../../../services/tokens/writer.js';

const vocabulary = Vocabulary.of('ab\n—’');

/** Logits that make a byte all but certain. */
function sure(byte: number): Float32Array {
  const logits = new Float32Array(vocabulary.size);
  logits[vocabulary.bytes.indexOf(byte) + 1] = 50;
  return logits;
}

function writerOf(task: Partial<Task>): Writer {
  return new Writer({ prompt: 'a', maxTokens: 10, seed: 1n, temperature: 0, ...task }, vocabulary);
}

/** Lets the writer take what a network without knowledge says, and returns the characters. */
function writeEvenly(writer: Writer): string[] {
  const characters: string[] = [];
  while (!writer.isDone) {
    const character = writer.take(new Float32Array(vocabulary.size));
    if (character !== undefined) characters.push(character);
  }
  return characters;
}

describe('a writer', () => {
  it('lets the network read the whole prompt before it writes', () => {
    const writer = writerOf({ prompt: 'ab' });
    assert.equal(writer.next, vocabulary.encode('a')[0]);
    assert.equal(writer.take(sure(0x61)), undefined);
    assert.equal(writer.next, vocabulary.encode('b')[0]);
    assert.equal(writer.take(sure(0x61)), 'a');
    assert.equal(writer.next, vocabulary.encode('a')[0]);
  });

  it('begins a paragraph where there is no prompt', () => {
    const writer = writerOf({ prompt: '' });
    assert.equal(writer.next, vocabulary.encode('\n')[0]);
    assert.equal(writer.take(sure(0x61)), undefined);
    assert.equal(writer.take(sure(0x61)), 'a');
  });

  it('gives a character of several bytes once, whole, as one token', () => {
    const writer = writerOf({ maxTokens: 2 });
    const given = [0xe2, 0x80, 0x94, 0x62].map((byte) => writer.take(sure(byte)));
    assert.deepEqual(given, [undefined, undefined, '—', 'b']);
    assert.equal(writer.count, 2);
    assert.ok(writer.isDone);
  });

  it('writes well-formed text and never the unknown, whatever the network says', () => {
    const characters = writeEvenly(writerOf({ temperature: 1, maxTokens: 2000 }));
    assert.equal(characters.length, 2000);
    for (const character of characters) {
      assert.equal([...character].length, 1);
      assert.ok(!character.includes('\ufffd'));
    }
    assert.ok(new Set(characters).size >= 5);
  });

  it('writes the same with the same seed, and something else with another', () => {
    const write = (seed: bigint) => writeEvenly(writerOf({ temperature: 1, maxTokens: 50, seed })).join('');
    assert.equal(write(3n), write(3n));
    assert.notEqual(write(3n), write(4n));
  });
});
