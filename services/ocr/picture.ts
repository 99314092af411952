/** Pictures in memory, and what the chain does with them: cut, turn, bring to another size. Nothing here knows a network. */

/** Red, green, blue, row by row, 0 to 255: 3 × width × height bytes. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** A rectangle of whole pixels: `left` and `top` belong to it, `right` and `bottom` do not. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** The part of a picture inside a box. The box lies in the picture and is not empty. */
export function cut({ width, rgb }: Picture, { left, top, right, bottom }: Box): Picture {
  const part = { width: right - left, height: bottom - top };
  const bytes = new Uint8Array(3 * part.width * part.height);
  for (let y = 0; y < part.height; y++) {
    const from = 3 * ((top + y) * width + left);
    bytes.set(rgb.subarray(from, from + 3 * part.width), 3 * part.width * y);
  }
  return { ...part, rgb: bytes };
}

/** Turned by 180 degrees. */
export function turned({ width, height, rgb }: Picture): Picture {
  const bytes = new Uint8Array(rgb.length);
  for (let from = 0, to = rgb.length - 3; from < rgb.length; from += 3, to -= 3) {
    bytes[to] = rgb[from]!;
    bytes[to + 1] = rgb[from + 1]!;
    bytes[to + 2] = rgb[from + 2]!;
  }
  return { width, height, rgb: bytes };
}

/**
 * In another size. Enlarged it is bilinear; reduced, each pixel is a mean of all that it covers, weighted by a triangle, so
 * that thin strokes do not vanish between two samples.
 */
export function resized(picture: Picture, width: number, height: number): Picture {
  if (width === picture.width && height === picture.height) return picture;
  const { rgb } = picture;
  const across = weights(picture.width, width);
  const down = weights(picture.height, height);
  const narrow = new Float32Array(3 * width * picture.height);
  for (let y = 0; y < picture.height; y++) {
    const row = 3 * y * picture.width;
    for (let x = 0; x < width; x++) {
      const { first, shares } = across[x]!;
      let [r, g, b] = [0, 0, 0];
      let at = row + 3 * first;
      for (const share of shares) {
        r += share * rgb[at++]!;
        g += share * rgb[at++]!;
        b += share * rgb[at++]!;
      }
      const to = 3 * (y * width + x);
      narrow[to] = r;
      narrow[to + 1] = g;
      narrow[to + 2] = b;
    }
  }
  const bytes = new Uint8Array(3 * width * height);
  const sums = new Float32Array(3 * width);
  for (let y = 0; y < height; y++) {
    const { first, shares } = down[y]!;
    sums.fill(0);
    shares.forEach((share, i) => {
      const row = 3 * width * (first + i);
      for (let x = 0; x < sums.length; x++) sums[x]! += share * narrow[row + x]!;
    });
    const to = 3 * width * y;
    for (let x = 0; x < sums.length; x++) bytes[to + x] = sums[x]! + 0.5;
  }
  return { width, height, rgb: bytes };
}

/** Which source pixels make one target pixel: `shares` of those from `first` on; they sum to 1. */
interface Weights {
  readonly first: number;
  readonly shares: readonly number[];
}

function weights(from: number, to: number): Weights[] {
  const scale = from / to;
  const reach = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale - 0.5;
    const first = Math.max(0, Math.ceil(centre - reach));
    const last = Math.min(from - 1, Math.floor(centre + reach));
    const shares = [];
    for (let at = first; at <= last; at++) shares.push(Math.max(0, 1 - Math.abs(at - centre) / reach));
    const sum = shares.reduce((a, b) => a + b, 0);
    return { first, shares: shares.map((share) => share / sum) };
  });
}
