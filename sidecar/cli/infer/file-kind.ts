/** What kind of file some bytes are, by their first ones. */

/** Kinds that are read here. */
export type FileKind = 'PNG' | 'NumPy' | 'WAV';

type Mark = readonly [at: number, bytes: string];

interface Known {
  readonly kind: string;
  /** What stands where, bytes as latin1 text. */
  readonly marks: readonly Mark[];
}

const READ: readonly (Known & { readonly kind: FileKind })[] = [
  { kind: 'PNG', marks: [[0, '\x89PNG\r\n\x1a\n']] },
  { kind: 'NumPy', marks: [[0, '\x93NUMPY']] },
  {
    kind: 'WAV',
    marks: [
      [0, 'RIFF'],
      [8, 'WAVE'],
    ],
  },
];

/** A row for each of several marks of a kind. */
const kindOf = (kind: string, ...marks: readonly Mark[]): Known[] =>
  marks.map((mark) => ({ kind, marks: [mark] }));

/**
 * Not read here: a decoder of one of these formats is larger than all of this command, and what is given to it may come from
 * anywhere. The commands in the messages are those of ImageMagick 7 and ffmpeg.
 */
const PICTURES: readonly Known[] = [
  ...kindOf('JPEG', [0, '\xff\xd8\xff']),
  ...kindOf('GIF', [0, 'GIF87a'], [0, 'GIF89a']),
  ...kindOf('WebP', [8, 'WEBPVP8']),
  ...kindOf('TIFF', [0, 'II*\0'], [0, 'MM\0*']),
  {
    kind: 'BMP',
    marks: [
      [0, 'BM'],
      [6, '\0\0\0\0'],
    ],
  },
  ...kindOf('HEIF', [4, 'ftypheic'], [4, 'ftypheix'], [4, 'ftypmif1'], [4, 'ftypavif']),
];
const SOUNDS: readonly Known[] = [
  ...kindOf('MP3', [0, 'ID3'], [0, '\xff\xfb'], [0, '\xff\xf3'], [0, '\xff\xf2']),
  ...kindOf('FLAC', [0, 'fLaC']),
  ...kindOf('Ogg', [0, 'OggS']),
  ...kindOf('MPEG-4', [4, 'ftypM4A '], [4, 'ftypisom'], [4, 'ftypmp42']),
];

/** How many bytes tell the kind. */
const HEAD_BYTES = 16;

/** The kind of the file; undefined: none of those that are read here. */
export function fileKind(bytes: Buffer): FileKind | undefined {
  return find(READ, bytes)?.kind;
}

/** For a picture or a sound of a format that is not read: which, and how to make one that is. undefined: it is neither. */
export function unreadKind(bytes: Buffer): string | undefined {
  const picture = find(PICTURES, bytes)?.kind;
  if (picture !== undefined)
    return `found a ${picture} picture, expected a PNG; make one, as with: magick FILE picture.png`;
  const sound = find(SOUNDS, bytes)?.kind;
  if (sound === undefined) return undefined;
  return `found ${sound} sound, expected a WAV file; make one, as with: ffmpeg -i FILE -ac 1 -ar 16000 sound.wav`;
}

function find<Kind extends Known>(kinds: readonly Kind[], bytes: Buffer): Kind | undefined {
  const head = bytes.toString('latin1', 0, HEAD_BYTES);
  return kinds.find(({ marks }) => marks.every(([at, bytes]) => head.startsWith(bytes, at)));
}
