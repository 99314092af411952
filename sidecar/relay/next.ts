/**
 * What a step on the way of a call leaves to do. `handled`: the step has answered the call, or holds it and resumes it
 * later, so that its caller leaves the call alone. Compared with `===`; never tested for truth.
 */
export const Next = { continue: 0, handled: 1 } as const;
export type Next = (typeof Next)[keyof typeof Next];
