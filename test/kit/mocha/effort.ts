/** How much of what comes out of chance is tried: little in `npm test`, several times as much in `.ci/nightly`. */

/** Set by `TEST_EFFORT`; 1 in `npm test`. */
export const EFFORT = Number(process.env['TEST_EFFORT'] ?? 1);

/** `few` in `npm test`, and as many times more as the effort says. */
export const runs = (few: number): number => Math.ceil(few * EFFORT);
