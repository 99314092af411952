/** Elements of an array that make one piece: about half a millisecond of work. */
const PIECE = 250;

/**
 * JSON in pieces, so that writing a large value takes many short turns of the event loop. Joined, they are what
 * `JSON.stringify` gives. Long arrays are cut, at the top and as members of a plain object.
 */
export function* jsonPieces(value: unknown): Generator<string> {
  if (Array.isArray(value)) yield* arrayPieces(value);
  else if (isPlain(value)) yield* memberPieces(value);
  else yield JSON.stringify(value) ?? 'null';
}

/** An array in slices of 250 elements, which are joined by commas without a bracket between them. */
function* arrayPieces(items: readonly unknown[]): Generator<string> {
  if (items.length <= PIECE) {
    yield JSON.stringify(items);
    return;
  }
  for (let from = 0; from < items.length; from += PIECE) {
    const inner = JSON.stringify(items.slice(from, from + PIECE)).slice(1, -1);
    yield from === 0 ? `[${inner}` : `,${inner}`;
  }
  yield ']';
}

/** An object whose long arrays are cut into pieces; one without long arrays is a single piece. */
function* memberPieces(members: Readonly<Record<string, unknown>>): Generator<string> {
  if (!Object.values(members).some((member) => Array.isArray(member) && member.length > PIECE)) {
    yield JSON.stringify(members);
    return;
  }
  let before = '{';
  for (const [name, member] of Object.entries(members)) {
    const text = Array.isArray(member) ? undefined : JSON.stringify(member);
    if (text === undefined && !Array.isArray(member)) continue;
    yield `${before}${JSON.stringify(name)}:`;
    if (Array.isArray(member)) yield* arrayPieces(member);
    else yield text!;
    before = ',';
  }
  yield before === '{' ? '{}' : '}';
}

/** Whether a value is written member by member: no class instance, and no `toJSON` of its own. */
function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    value !== null &&
    typeof value === 'object' &&
    Object.getPrototypeOf(value) === Object.prototype &&
    !('toJSON' in value)
  );
}
