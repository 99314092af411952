/**
 * Matrices of floats and the one product that training needs. Sums of a product are kept in double precision and in a
 * fixed order, so a seed decides every bit of what is trained, on any machine.
 */

/** Single precision to train with; double precision where a test compares gradients with differences. */
export type Floats = Float32Array | Float64Array;

/** Makes an array of zeros. */
export type FloatsConstructor = new (length: number) => Floats;

/** Row-major: `data[row * columns + column]`. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Floats;
}

/** A matrix of zeros. */
export function matrix(rows: number, columns: number, array: FloatsConstructor = Float32Array): Matrix {
  return { rows, columns, data: new array(rows * columns) };
}

/** `count` rows from `start`, over the same memory. */
export function rowsOf({ columns, data }: Matrix, start: number, count: number): Matrix {
  return { rows: count, columns, data: data.subarray(start * columns, (start + count) * columns) };
}

/** Every row becomes `row`, which is a matrix of one row. */
export function fillRows({ rows, columns, data }: Matrix, row: Matrix): void {
  for (let r = 0; r < rows; r++) data.set(row.data, r * columns);
}

/** Adds the rows of `from` to the one row of `sum`. */
export function addRows(sum: Matrix, from: Matrix): void {
  const { rows, columns, data } = from;
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) sum.data[c] = sum.data[c]! + data[r * columns + c]!;
}

/** Writes the transpose of `from` into `to`. */
export function transpose(to: Matrix, from: Matrix): void {
  const { rows, columns, data } = from;
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) to.data[c * rows + r] = data[r * columns + c]!;
}

/**
 * `sum += left · rightᵀ`: `sum` is [m, n], `left` [m, k], `right` [n, k]. Sixteen sums at a time, so that each number that
 * is read is used four times.
 */
export function addProduct(sum: Matrix, left: Matrix, right: Matrix): void {
  const wide = right.rows & ~3;
  const high = left.rows & ~3;
  for (let i = 0; i < high; i += 4) for (let j = 0; j < wide; j += 4) addBlock(sum, left, right, i, j);
  for (let i = 0; i < left.rows; i++)
    for (let j = i < high ? wide : 0; j < right.rows; j++) addOne(sum, left, right, i, j);
}

function addBlock(sum: Matrix, left: Matrix, right: Matrix, i: number, j: number): void {
  const depth = left.columns;
  const a = left.data;
  const b = right.data;
  const a0 = i * depth;
  const a1 = a0 + depth;
  const a2 = a1 + depth;
  const a3 = a2 + depth;
  const b0 = j * depth;
  const b1 = b0 + depth;
  const b2 = b1 + depth;
  const b3 = b2 + depth;
  let s00 = 0;
  let s01 = 0;
  let s02 = 0;
  let s03 = 0;
  let s10 = 0;
  let s11 = 0;
  let s12 = 0;
  let s13 = 0;
  let s20 = 0;
  let s21 = 0;
  let s22 = 0;
  let s23 = 0;
  let s30 = 0;
  let s31 = 0;
  let s32 = 0;
  let s33 = 0;
  for (let k = 0; k < depth; k++) {
    const w0 = b[b0 + k]!;
    const w1 = b[b1 + k]!;
    const w2 = b[b2 + k]!;
    const w3 = b[b3 + k]!;
    let x = a[a0 + k]!;
    s00 += x * w0;
    s01 += x * w1;
    s02 += x * w2;
    s03 += x * w3;
    x = a[a1 + k]!;
    s10 += x * w0;
    s11 += x * w1;
    s12 += x * w2;
    s13 += x * w3;
    x = a[a2 + k]!;
    s20 += x * w0;
    s21 += x * w1;
    s22 += x * w2;
    s23 += x * w3;
    x = a[a3 + k]!;
    s30 += x * w0;
    s31 += x * w1;
    s32 += x * w2;
    s33 += x * w3;
  }
  addFour(sum, i * sum.columns + j, s00, s01, s02, s03);
  addFour(sum, (i + 1) * sum.columns + j, s10, s11, s12, s13);
  addFour(sum, (i + 2) * sum.columns + j, s20, s21, s22, s23);
  addFour(sum, (i + 3) * sum.columns + j, s30, s31, s32, s33);
}

function addFour({ data }: Matrix, at: number, s0: number, s1: number, s2: number, s3: number): void {
  data[at] = data[at]! + s0;
  data[at + 1] = data[at + 1]! + s1;
  data[at + 2] = data[at + 2]! + s2;
  data[at + 3] = data[at + 3]! + s3;
}

function addOne(sum: Matrix, left: Matrix, right: Matrix, i: number, j: number): void {
  const depth = left.columns;
  let s = 0;
  for (let k = 0; k < depth; k++) s += left.data[i * depth + k]! * right.data[j * depth + k]!;
  const at = i * sum.columns + j;
  sum.data[at] = sum.data[at]! + s;
}
