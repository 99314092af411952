/**
 * Loaded into a sidecar by `--import`: fills its heap. The file `OUTRIDER_DRILL_BALLAST` says up to which share of what it
 * may hold, 0 or no file: everything is let go. What fills it cannot be collected, so the share is one of what lives.
 */

import { readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { processMemory } from '../../../sidecar/runtime/process/memory.js';

const LOOK_MS = 20;
/** 128 KiB each. */
const NUMBERS = 16 * 1024;
const PIECES = 10;
setFlagsFromString('--expose-gc');
const collect: () => void = runInNewContext('gc');
let kept: number[][] = [];

function wanted(): number {
  try {
    return Number(readFileSync(process.env['OUTRIDER_DRILL_BALLAST'] ?? '', 'utf8'));
  } catch {
    return 0;
  }
}

let filledTo = 0;
let missing = 0;

function begin(share: number): void {
  filledTo = share;
  missing = 0;
  if (share === 0) kept = [];
  collect();
  if (share === 0) return;
  const { usedBytes, limitBytes } = processMemory();
  missing = Math.floor((share * limitBytes - usedBytes) / (NUMBERS * 8));
}

setInterval(() => {
  const share = wanted();
  if (share !== filledTo) begin(share);
  // Little by little: the sidecar has calls to serve meanwhile.
  for (let i = 0; i < PIECES && missing > 0; i++, missing--) kept.push(new Array<number>(NUMBERS).fill(1.5));
}, LOOK_MS).unref();
