/**
 * What copies of a process say to each other, by way of their parent: one asks, the parent puts the question to all that
 * run, and the one who asked gets the list of their answers.
 */
export type Message =
  /** Copy to parent: what do all of us say about `about`? */
  | { readonly copies: 'ask-all'; readonly id: number; readonly about: string }
  /** Parent to copy: what do you say? */
  | { readonly copies: 'ask-one'; readonly id: number; readonly about: string }
  /** Copy to parent. */
  | { readonly copies: 'one-says'; readonly id: number; readonly answer: unknown }
  /** Parent to copy: the answers that came in time, in no order. */
  | { readonly copies: 'all-say'; readonly id: number; readonly answers: readonly unknown[] };

/** The channel also carries what Node and others send over it. */
export function isMessage(value: unknown): value is Message {
  return typeof value === 'object' && value !== null && 'copies' in value;
}
