/** Adam (Kingma and Ba 2014) with gradients clipped to a norm. */

import type { Floats, Matrix } from './matrix.js';

const FIRST = 0.9;
const SECOND = 0.999;
const EPSILON = 1e-8;

/** Moves matrices against their gradients, with the moments of each number that it has seen. */
export class Adam {
  private readonly parts: readonly Matrix[];
  private readonly means: readonly Floats[];
  private readonly squares: readonly Floats[];
  private steps = 0;

  constructor(parts: readonly Matrix[]) {
    this.parts = parts;
    this.means = parts.map(({ data }) => new Float32Array(data.length));
    this.squares = parts.map(({ data }) => new Float32Array(data.length));
  }

  /** One step of size `rate`. Gradients whose norm over all matrices is above `norm` are scaled down to it. */
  step(gradients: readonly Matrix[], rate: number, norm: number): void {
    this.steps++;
    const found = normOf(gradients);
    const scale = found > norm ? norm / found : 1;
    const size = (rate * Math.sqrt(1 - SECOND ** this.steps)) / (1 - FIRST ** this.steps);
    this.parts.forEach(({ data }, p) => {
      const gradient = gradients[p]!.data;
      const mean = this.means[p]!;
      const square = this.squares[p]!;
      for (let i = 0; i < data.length; i++) {
        const g = scale * gradient[i]!;
        const m = FIRST * mean[i]! + (1 - FIRST) * g;
        const v = SECOND * square[i]! + (1 - SECOND) * g * g;
        mean[i] = m;
        square[i] = v;
        data[i] = data[i]! - (size * m) / (Math.sqrt(v) + EPSILON);
      }
    });
  }
}

function normOf(gradients: readonly Matrix[]): number {
  let sum = 0;
  for (const { data } of gradients) for (let i = 0; i < data.length; i++) sum += data[i]! * data[i]!;
  return Math.sqrt(sum);
}
