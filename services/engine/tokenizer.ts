/**
 * The tokenizer of the fake engine, as Hugging Face writes one: a token for each byte, some words, and made-up words for the rest of the
 * vocabulary, so that answers look like text; and a template for chats.
 */
import { createHash } from 'node:crypto';
import { END_OF_SEQUENCE, VOCABULARY } from './greedy-model.js';
import { zipArchive } from './zip-archive.js';

/** Begins a prompt. */
export const BEGIN_OF_SEQUENCE = 1;
/** The token of byte 0. */
const FIRST_BYTE = 3;
const RULE = '='.repeat(64);
const WORDS = [RULE, 'hello', ' world', ' the', 'ing'];

/** A token with much text. */
export const LONG_TOKEN = { id: FIRST_BYTE + 256 + RULE.length - 2, text: RULE };

const TEMPLATE = [
  '{{ bos_token }}',
  "{% for message in messages %}{% if message.content == 'refuse' %}{{ raise_exception('no such content') }}{% endif %}",
  '<{{ message.role }}>{{ message.content }}</{{ message.role }}>{% endfor %}',
  '{% if add_generation_prompt %}<assistant>{% endif %}',
].join('');

/** How byte-level tokenizers of GPT-2's kind write a byte: as a printable character. */
function letterOf(byte: number): string {
  const isPrintable = (value: number) =>
    (value >= 0x21 && value <= 0x7e) || (value >= 0xa1 && value <= 0xac) || (value >= 0xae && value <= 0xff);
  if (isPrintable(byte)) return String.fromCharCode(byte);
  let others = 0;
  for (let each = 0; each < byte; each++) if (!isPrintable(each)) others++;
  return String.fromCharCode(0x100 + others);
}

const CONSONANTS = 'bcdfghjklmnprstvwxyz';
const VOWELS = 'aeiou';

/** A word for each number below a million: three syllables. */
function madeUpWord(number: number): string {
  const syllable = (digit: number) => `${CONSONANTS[digit % 20]}${VOWELS[Math.floor(digit / 20) % 5]}`;
  return ` ${syllable(number % 100)}${syllable(Math.floor(number / 100) % 100)}${syllable(Math.floor(number / 10_000))}`;
}

const written = (text: string): string => [...Buffer.from(text)].map(letterOf).join('');

/** Tokens of a text, byte by byte. */
export const byteTokens = (text: string): number[] => [...Buffer.from(text)].map((byte) => FIRST_BYTE + byte);

function tokenizer(): object {
  const special = ['<unk>', '<s>', '</s>'];
  if (special[END_OF_SEQUENCE] !== '</s>') throw new Error('the end is another token');
  const bytes = Array.from({ length: 256 }, (_, byte) => letterOf(byte));
  const vocabulary = [...special, ...bytes];
  const merges: string[] = [];
  const known = new Set(vocabulary);
  for (const word of WORDS) {
    const letters = [...written(word)];
    for (let length = 2; length <= letters.length; length++) {
      const merged = letters.slice(0, length).join('');
      if (known.has(merged)) continue;
      merges.push(`${letters.slice(0, length - 1).join('')} ${letters[length - 1]}`);
      known.add(merged);
      vocabulary.push(merged);
    }
  }
  for (let number = 0; vocabulary.length < VOCABULARY; number++) vocabulary.push(written(madeUpWord(number)));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const begin = { SpecialToken: { id: '<s>', type_id: 0 } };
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: special.map((content, id) => ({ id, content, ...flags })),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: {
      type: 'TemplateProcessing',
      single: [begin, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [begin, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }],
      special_tokens: { '<s>': { id: '<s>', ids: [BEGIN_OF_SEQUENCE], tokens: ['<s>'] } },
    },
    decoder: byteLevel,
    model: {
      ...{ type: 'BPE', dropout: null, unk_token: null, continuing_subword_prefix: null },
      ...{ end_of_word_suffix: null, fuse_unk: false, byte_fallback: false, ignore_merges: false },
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges,
    },
  };
}

/** Its files by name. */
export const tokenizerFiles = (): Readonly<Record<string, Buffer>> => ({
  'tokenizer.json': Buffer.from(JSON.stringify(tokenizer())),
  'tokenizer_config.json': Buffer.from(
    JSON.stringify({ tokenizer_class: 'PreTrainedTokenizerFast', bos_token: '<s>', eos_token: '</s>' }),
  ),
  'chat_template.jinja': Buffer.from(TEMPLATE),
});

export const tokenizerArchive = (): Buffer =>
  zipArchive(Object.entries(tokenizerFiles()).map(([name, content]) => ({ name, content })));

/** Of vLLM's GetTokenizer. */
const PART = 64 * 1024;

/** The messages of GetTokenizer. */
export function* tokenizerChunks(archive: Buffer): Generator<{ data: Buffer; sha256: string }> {
  for (let at = 0; at < archive.length; at += PART) {
    const isLast = at + PART >= archive.length;
    const sha256 = isLast ? createHash('sha256').update(archive).digest('hex') : '';
    yield { data: archive.subarray(at, at + PART), sha256 };
  }
}
