/**
 * Writes the sample pages: `npx tsx services/ocr/print/samples.ts`. The fonts come from a package by checksum, into
 * `.cache/packages`; a second run writes the same bytes.
 */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { encodeGreyPng } from '../../digits/png.js';
import { bringPackage } from '../../fetch/packages.js';
import { FONTS, fontsIn } from './fonts.js';
import { PLAIN, type PrintedLine, printPage } from './page.js';

const INVOICE = [
  ['DejaVuSans-Bold', 32, 'Brook & Daughters, Printers'],
  ['DejaVuSerif', 24, 'Invoice No. 48151623'],
  ['DejaVuSerif', 24, '12 March 2026'],
  ['DejaVuSans', 24, '400 business cards'],
  ['DejaVuSans', 24, '25 posters, folded once'],
  ['DejaVuSansMono', 24, 'Total 1249.50 EUR'],
  ['DejaVuSerif', 24, 'Please pay within 30 days.'],
] as const;
/** Two labels of a parcel, one of them stuck on the wrong way round. */
const PARCEL = [
  ['DejaVuSans-Bold', 30, 'Fragile: do not drop'],
  ['DejaVuSans', 26, 'Gross weight 12 kg'],
  ['DejaVuSans-Bold', 30, 'Keep this side up', 'upside down'],
  ['DejaVuSans', 26, 'Store in a dry place', 'upside down'],
] as const;

const { values } = parseArgs({ options: { out: { type: 'string', default: 'services/ocr/samples' } } });
const fonts = fontsIn(await bringPackage(FONTS, '.cache/packages'));
mkdirSync(values.out, { recursive: true });
for (const [name, lines] of Object.entries({ invoice: INVOICE, parcel: PARCEL })) {
  const printed = lines.map(
    ([font, size, text, turn]): PrintedLine => ({
      text,
      size,
      font: fonts.get(font)!,
      isUpsideDown: turn !== undefined,
    }),
  );
  const { width, height, rgb } = printPage(printed, PLAIN);
  const grey = rgb.filter((_, i) => i % 3 === 0); // black on white: the three are the same
  writeFileSync(join(values.out, `${name}.png`), encodeGreyPng(width, height, grey));
}
