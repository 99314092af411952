/** Files of many kinds: those of the repository and of its packages, and others made by rule from one seed. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import { packageRoot } from '../process/package-root.js';
import { seeded } from '../time/seeded-random.js';

export interface SampleFile {
  /** As magika calls it. */
  readonly kind: string;
  readonly name: string;
  readonly content: Uint8Array;
}

const MADE_OF_EACH = 8;
const FOUND_OF_EACH = 12;
/** Smaller files of the repository tell too little. */
const LEAST_BYTES = 200;

const SUBJECTS = [
  'river',
  'station',
  'invoice',
  'engine',
  'garden',
  'window',
  'market',
  'letter',
  'bridge',
  'school',
];
const VERBS = ['opens', 'holds', 'follows', 'carries', 'meets', 'covers', 'turns', 'keeps'];

/** Chance with words and numbers in it. */
class Words {
  private readonly random: () => number;

  constructor(seed: number) {
    this.random = seeded(seed);
  }

  number(below: number): number {
    return Math.floor(this.random() * below);
  }

  word(): string {
    return SUBJECTS[this.number(SUBJECTS.length)]!;
  }

  sentence(): string {
    const text = `The ${this.word()} ${VERBS[this.number(VERBS.length)]} the ${this.word()} near ${this.number(900)} ${this.word()}s.`;
    return text;
  }

  lines(count: number, line: (i: number) => string): string {
    return Array.from({ length: count }, (_, i) => line(i)).join('\n');
  }
}

/** One function for each kind of text that is made: the whole file. */
const TEXTS: Readonly<Record<string, (w: Words) => string>> = {
  json: (w) =>
    JSON.stringify(
      Array.from({ length: 3 + w.number(20) }, (_, id) => ({
        id,
        name: w.word(),
        price: w.number(9999) / 100,
        tags: [w.word(), w.word()],
        note: null,
      })),
      undefined,
      w.number(2) * 2,
    ),
  yaml: (w) =>
    `# ${w.sentence()}\nname: ${w.word()}\nreplicas: ${w.number(9)}\nservices:\n${w.lines(3 + w.number(9), (i) => `  ${w.word()}-${i}:\n    port: ${8000 + w.number(999)}\n    timeout: ${w.number(30)}s\n    labels: [${w.word()}, ${w.word()}]`)}\n`,
  html: (w) =>
    `<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>${w.word()}</title>\n</head>\n<body>\n<h1>${w.sentence()}</h1>\n${w.lines(4 + w.number(12), () => `<p class="${w.word()}">${w.sentence()} <a href="/${w.word()}">${w.word()}</a></p>`)}\n</body>\n</html>\n`,
  css: (w) =>
    `/* ${w.sentence()} */\n${w.lines(5 + w.number(12), () => `.${w.word()} > .${w.word()}:hover {\n  margin: ${w.number(20)}px auto;\n  color: #${(0x100000 + w.number(0xefffff)).toString(16)};\n  display: flex;\n}`)}\n`,
  python: (w) =>
    `"""${w.sentence()}"""\nimport os\nimport sys\n\n\nclass ${w.word().toUpperCase()}:\n${w.lines(3 + w.number(6), (i) => `    def ${w.word()}_${i}(self, ${w.word()}, limit=${w.number(99)}):\n        if not ${w.word()}:\n            raise ValueError(f"no {self}")\n        return [x for x in range(limit) if x % 2 == 0]\n`)}\n\nif __name__ == "__main__":\n    sys.exit(os.getpid() % 2)\n`,
  csv: (w) =>
    `id,name,city,amount,date\n${w.lines(20 + w.number(60), (i) => `${i},${w.word()},"${w.word()}, ${w.word()}",${w.number(99999) / 100},2024-0${1 + w.number(9)}-1${w.number(9)}`)}\n`,
  xml: (w) =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<catalogue xmlns="urn:example:${w.word()}">\n${w.lines(4 + w.number(20), (i) => `  <item id="${i}" kind="${w.word()}">\n    <title>${w.sentence()}</title>\n    <price currency="EUR">${w.number(9999) / 100}</price>\n  </item>`)}\n</catalogue>\n`,
  svg: (w) =>
    `<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200" viewBox="0 0 200 200">\n${w.lines(5 + w.number(20), () => `  <rect x="${w.number(200)}" y="${w.number(200)}" width="${w.number(90)}" height="${w.number(90)}" fill="#c0${w.number(9)}a1b"/>`)}\n</svg>\n`,
  sql: (w) =>
    `-- ${w.sentence()}\nCREATE TABLE ${w.word()} (\n  id INTEGER PRIMARY KEY,\n  name VARCHAR(80) NOT NULL,\n  amount DECIMAL(10, 2) DEFAULT 0\n);\n${w.lines(4 + w.number(12), (i) => `INSERT INTO ${w.word()} (id, name, amount) VALUES (${i}, '${w.word()}', ${w.number(999)});`)}\nSELECT name, SUM(amount) FROM ${w.word()} WHERE id > ${w.number(9)} GROUP BY name ORDER BY 2 DESC;\n`,
};

/** One function for each binary kind that is made. */
const BINARIES: Readonly<Record<string, (w: Words) => Uint8Array>> = {
  gzip: (w) => gzipSync(w.lines(20 + w.number(200), () => w.sentence())),
  zip: (w) =>
    zipOf(
      Array.from({ length: 1 + w.number(5) }, (_, i) => [
        `${w.word()}-${i}.txt`,
        w.lines(30, () => w.sentence()),
      ]),
    ),
  pdf: (w) => pdfOf(Array.from({ length: 5 + w.number(20) }, () => w.sentence())),
};

/** Where files of a kind lie in the repository and its packages. */
const FOUND: readonly (readonly [kind: string, folder: string, ending: RegExp])[] = [
  ['typescript', 'sidecar', /\.ts$/],
  ['javascript', 'node_modules/mocha/lib', /\.js$/],
  // Pages of packages: those of this repository change.
  ['markdown', 'node_modules', /^[^/]+\/README\.md$/],
  ['png', 'services/digits/samples', /\.png$/],
  ['elf', 'node_modules/onnxruntime-node/bin', /linux.*\.(node|so\.1)$/],
];

/** All of them: the same ones each time, but for Node and the packages. */
export function sampleFiles(): SampleFile[] {
  const node: SampleFile = { kind: 'elf', name: 'node', content: readFileSync(process.execPath) };
  return [...madeFiles(), ...FOUND.flatMap(foundFiles), node];
}

/** Those made by rule, of some kilobytes each. */
export function madeFiles(): SampleFile[] {
  return Object.entries({ ...TEXTS, ...BINARIES }).flatMap(([kind, make], k) =>
    Array.from({ length: MADE_OF_EACH }, (_, i) => {
      const content = make(new Words(1000 * (k + 1) + i));
      return {
        kind,
        name: `${kind} ${i}`,
        content: typeof content === 'string' ? Buffer.from(content) : content,
      };
    }),
  );
}

function foundFiles([kind, folder, ending]: (typeof FOUND)[number]): SampleFile[] {
  const root = join(packageRoot, folder);
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => ending.test(name))
    .sort()
    .map((name) => ({ kind, name: join(folder, name), content: readFileSync(join(root, name)) }))
    .filter(({ content }) => content.length >= LEAST_BYTES)
    .slice(0, FOUND_OF_EACH);
}

/** An archive of deflated files (PKZIP's APPNOTE 4.3.7, 4.3.12, 4.3.16). */
function zipOf(files: readonly (readonly [name: string, text: string])[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, text] of files) {
    const packed = deflateRawSync(text);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt32LE(crc32(text), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(Buffer.byteLength(text), 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    const place = Buffer.alloc(14);
    place.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02\x14\x00'), common, place, Buffer.from(name));
    parts.push(local);
    offset += local.length;
  }
  const list = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(files.length, 8);
  end.writeUInt16LE(files.length, 10);
  end.writeUInt32LE(list.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...parts, list, end]);
}

/** One page of lines (ISO 32000-1, 7.5). */
function pdfOf(lines: readonly string[]): Buffer {
  const text = lines.map((line, i) => `BT /F1 11 Tf 60 ${780 - 14 * i} Td (${line}) Tj ET`).join('\n');
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${text.length} >>\nstream\n${text}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
  ];
  let body = '%PDF-1.4\n';
  const offsets = objects.map((object, i) => {
    const offset = body.length;
    body += `${i + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const rows = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const table = `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}`;
  const trailer = `trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${body.length}\n%%EOF\n`;
  return Buffer.from(body + table + trailer, 'latin1');
}
