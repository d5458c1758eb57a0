import { isMessage, type Message } from './messages';

/** One copy's line to the others. */
export interface Siblings {
  /** What every running copy says, this one too; of one that does not answer within a second, nothing. */
  readonly ask: (about: string) => Promise<readonly unknown[]>;
}

/**
 * Makes this process one of the copies that `startCopies` runs. `answers` holds what it says about each thing that
 * siblings ask; anything that can be sent as JSON. They must not reject.
 */
export function joinCopies(answers: Readonly<Record<string, () => Promise<unknown>>>): Siblings {
  const waiting = new Map<number, (answers: readonly unknown[]) => void>();
  let lastId = 0;
  process.on('message', (message: unknown) => {
    if (!isMessage(message)) return;
    if (message.copies === 'all-say') {
      waiting.get(message.id)?.(message.answers);
      waiting.delete(message.id);
    }
    if (message.copies !== 'ask-one') return;
    const { id, about } = message;
    void answers[about]?.().then((answer) => {
      say({ copies: 'one-says', id, answer });
    });
  });
  return {
    ask: (about) =>
      new Promise((resolve) => {
        const id = ++lastId;
        waiting.set(id, resolve);
        say({ copies: 'ask-all', id, about });
      }),
  };
}

function say(message: Message): void {
  process.send?.(message);
}
