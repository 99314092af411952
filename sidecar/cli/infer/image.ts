import { PNG } from 'pngjs';

/** A grey picture: values 0 to 1, row by row. */
export interface Grey {
  readonly width: number;
  readonly height: number;
  readonly values: Float32Array;
}

/** The picture cannot be used; the message says why, after the name of the file. */
export class ImageError extends Error {}

const MAX_PIXELS = 64 * 1024 * 1024;
/** Fainter than this share of the strongest ink counts as paper when the ink's box is measured. */
const FAINT = 0.15;

/** A picture as one grey picture for each colour; values 0 to 1. */
export interface Colours {
  readonly red: Grey;
  readonly green: Grey;
  readonly blue: Grey;
}

/**
 * Decodes any PNG (grey, colour, palette, alpha) to grey. Transparent parts count as paper.
 * @throws ImageError
 */
export function decodePng(bytes: Buffer): Grey {
  const png = readPng(bytes);
  const onWhite = flatten(png, 1);
  const { values } = onWhite;
  // White ink on a transparent ground shows only on black.
  return values.every((v) => v === values[0]) ? flatten(png, 0) : onWhite;
}

/**
 * Decodes any PNG to its colours, on white, in the given size; 0 in a dimension is that of the picture.
 * @throws ImageError
 */
export function decodeRgb(bytes: Buffer, { width, height }: { width: number; height: number }): Colours {
  const png = readPng(bytes);
  const plane = (channel: number): Grey => {
    const values = new Float32Array(png.width * png.height);
    for (let i = 0; i < values.length; i++) {
      const alpha = png.data[i * 4 + 3]! / 255;
      values[i] = (png.data[i * 4 + channel]! / 255) * alpha + 1 - alpha;
    }
    return toSize({ width: png.width, height: png.height, values }, width || png.width, height || png.height);
  };
  return { red: plane(0), green: plane(1), blue: plane(2) };
}

function readPng(bytes: Buffer): PNG {
  if (bytes.length < 24) throw new ImageError('it is no PNG');
  const width = bytes.readUInt32BE(16);
  const height = bytes.readUInt32BE(20);
  if (width * height > MAX_PIXELS)
    throw new ImageError(`it has ${width}×${height} pixels, at most ${MAX_PIXELS} are read`);
  try {
    return PNG.sync.read(bytes);
  } catch (error) {
    throw new ImageError(`it is no valid PNG: ${(error as Error).message}`);
  }
}

/** Scales a picture to the size of the model's input. */
export function toSize(picture: Grey, width: number, height: number): Grey {
  if (picture.width === width && picture.height === height) return picture;
  return resample(picture, { x: 0, y: 0, width: picture.width, height: picture.height }, width, height);
}

/**
 * Normalises a picture as in MNIST, for models with `normalise: ink-centred`: ink 1 on paper 0,
 * whether the picture is dark on light or light on dark, the longest side of the ink 20/28 of the
 * picture, its centre of mass in the middle.
 */
export function centredInk(picture: Grey, width: number, height: number): Grey {
  const ink = inkOf(picture);
  const box = boxOf(ink);
  const room = (Math.min(width, height) * 20) / 28;
  const scale = room / Math.max(box.width, box.height);
  const small = resample(
    ink,
    box,
    Math.max(1, Math.round(box.width * scale)),
    Math.max(1, Math.round(box.height * scale)),
  );
  const top = small.values.reduce((a, b) => Math.max(a, b), 0);
  const centre = centreOfMass(small);
  const dx = Math.round((width - 1) / 2 - centre.x);
  const dy = Math.round((height - 1) / 2 - centre.y);
  const values = new Float32Array(width * height);
  for (let y = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++) {
      const toX = x + dx;
      const toY = y + dy;
      if (toX < 0 || toX >= width || toY < 0 || toY >= height) continue;
      values[toY * width + toX] = small.values[y * small.width + x]! / top;
    }
  }
  return { width, height, values };
}

function flatten(png: PNG, paper: number): Grey {
  const values = new Float32Array(png.width * png.height);
  for (let i = 0; i < values.length; i++) {
    const at = i * 4;
    const alpha = png.data[at + 3]! / 255;
    // Rec. 709 luma.
    const luma = (0.2126 * png.data[at]! + 0.7152 * png.data[at + 1]! + 0.0722 * png.data[at + 2]!) / 255;
    values[i] = luma * alpha + paper * (1 - alpha);
  }
  return { width: png.width, height: png.height, values };
}

/**
 * Distance from the paper, whose grey is the median of the picture's edge, to the side where most
 * differs; the strongest ink is 1.
 */
function inkOf(picture: Grey): Grey {
  const { width, height, values } = picture;
  const edge: number[] = [];
  for (let x = 0; x < width; x++) edge.push(values[x]!, values[(height - 1) * width + x]!);
  for (let y = 0; y < height; y++) edge.push(values[y * width]!, values[y * width + width - 1]!);
  edge.sort((a, b) => a - b);
  const paper = edge[edge.length >> 1]!;
  let [darker, lighter] = [0, 0];
  for (const v of values) {
    if (v < paper) darker += paper - v;
    else lighter += v - paper;
  }
  const sign = darker > lighter ? -1 : 1;
  const ink = values.map((v) => Math.max(0, sign * (v - paper)));
  const top = ink.reduce((a, b) => Math.max(a, b), 0);
  if (top < 0.05) throw new ImageError('it shows no ink: every pixel has nearly the same grey as its edge');
  return { width, height, values: ink.map((v) => v / top) };
}

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

function boxOf(ink: Grey): Box {
  let [left, right, top, bottom] = [ink.width, -1, ink.height, -1];
  for (let y = 0; y < ink.height; y++) {
    for (let x = 0; x < ink.width; x++) {
      if (ink.values[y * ink.width + x]! < FAINT) continue;
      left = Math.min(left, x);
      right = Math.max(right, x);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y);
    }
  }
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}

/**
 * Area average where it shrinks, linear where it grows: the overlap of each new pixel with a kernel
 * of at least 1 old pixel.
 */
function resample(from: Grey, box: Box, width: number, height: number): Grey {
  const columns = weights(box.x, box.width, width, from.width);
  const rows = weights(box.y, box.height, height, from.height);
  const values = new Float32Array(width * height);
  rows.forEach((row, y) => {
    columns.forEach((column, x) => {
      let sum = 0;
      for (let r = 0; r < row.weights.length; r++) {
        const line = (row.first + r) * from.width + column.first;
        let inLine = 0;
        for (let c = 0; c < column.weights.length; c++) inLine += column.weights[c]! * from.values[line + c]!;
        sum += row.weights[r]! * inLine;
      }
      values[y * width + x] = sum;
    });
  });
  return { width, height, values };
}

interface Taps {
  readonly first: number;
  /** They sum to 1. */
  readonly weights: readonly number[];
}

/** For each of `count` new pixels over `[start, start + length)`: which old ones it is made of. */
function weights(start: number, length: number, count: number, limit: number): Taps[] {
  const step = length / count;
  const reach = Math.max(1, step) / 2;
  return Array.from({ length: count }, (_, i) => {
    const centre = start + (i + 0.5) * step;
    const from = Math.max(0, centre - reach);
    const to = Math.min(limit, centre + reach);
    const first = Math.floor(from);
    const overlaps: number[] = [];
    for (let p = first; p < to; p++) overlaps.push(Math.min(to, p + 1) - Math.max(from, p));
    const sum = overlaps.reduce((a, b) => a + b, 0);
    return { first, weights: overlaps.map((w) => w / sum) };
  });
}

function centreOfMass(picture: Grey): { x: number; y: number } {
  let [mass, x, y] = [0, 0, 0];
  picture.values.forEach((v, i) => {
    mass += v;
    x += v * (i % picture.width);
    y += v * Math.floor(i / picture.width);
  });
  return { x: x / mass, y: y / mass };
}
