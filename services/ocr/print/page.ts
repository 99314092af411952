import { type Picture, turned } from '../picture.js';
import { type Coverage, drawGlyph } from './raster.js';
import type { TrueTypeFont } from './truetype.js';

/** One line of a page. */
export interface PrintedLine {
  readonly text: string;
  readonly font: TrueTypeFont;
  /** Pixels per em. */
  readonly size: number;
  /** Turned by 180 degrees in its place. Default: upright. */
  readonly isUpsideDown?: boolean;
}

/** How a page looks. Colours are red, green, blue. */
export interface Layout {
  readonly margin: number;
  /** From one line to the next, in heights of a line. */
  readonly spacing: number;
  readonly paper: readonly [number, number, number];
  readonly ink: readonly [number, number, number];
}

/** Black on white, as a printer does it. */
export const PLAIN: Layout = { margin: 40, spacing: 1.4, paper: [255, 255, 255], ink: [0, 0, 0] };

/** A page with lines below each other, as wide as its longest line. */
export function printPage(lines: readonly PrintedLine[], layout: Layout): Picture {
  const strips = lines.map((line) => printLine(line, layout));
  const width = Math.max(...strips.map((strip) => strip.width)) + 2 * layout.margin;
  const tops: number[] = [];
  let height = layout.margin;
  for (const strip of strips) {
    tops.push(height);
    height += Math.round(strip.height * layout.spacing);
  }
  height += layout.margin;
  const rgb = new Uint8Array(3 * width * height);
  for (let at = 0; at < rgb.length; at += 3) rgb.set(layout.paper, at);
  strips.forEach((strip, i) => {
    for (let y = 0; y < strip.height; y++) {
      const row = strip.rgb.subarray(3 * strip.width * y, 3 * strip.width * (y + 1));
      rgb.set(row, 3 * ((tops[i]! + y) * width + layout.margin));
    }
  });
  return { width, height, rgb };
}

/** One line without a margin: as wide as its glyphs advance, as high as the font ascends and descends. */
export function printLine({ text, font, size, isUpsideDown = false }: PrintedLine, layout: Layout): Picture {
  const scale = size / font.unitsPerEm;
  const glyphs = [...text].map((character) => font.glyph(character));
  const width = Math.ceil(glyphs.reduce((sum, glyph) => sum + glyph.advance, 0) * scale) + 1;
  const height = Math.ceil((font.ascent + font.descent) * scale);
  const coverage: Coverage = { width, height, shares: new Float32Array(width * height) };
  let x = 0;
  for (const glyph of glyphs) {
    drawGlyph(coverage, glyph, { scale, x, y: font.ascent * scale });
    x += glyph.advance * scale;
  }
  const rgb = new Uint8Array(3 * width * height);
  coverage.shares.forEach((share, i) => {
    for (let c = 0; c < 3; c++)
      rgb[3 * i + c] = Math.round(layout.paper[c]! * (1 - share) + layout.ink[c]! * share);
  });
  const line = { width, height, rgb };
  return isUpsideDown ? turned(line) : line;
}
