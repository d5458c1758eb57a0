import type { Worker } from 'node:cluster';
import { isMessage, type Message } from './messages';

/** A copy that is busy or frozen must not keep the others from answering; whoever probes waits a second or so. */
const ANSWERS_MS_MAX = 800;

interface Round {
  readonly answers: unknown[];
  pending: number;
  readonly finish: () => void;
}

/** The parent's side of the questions that copies ask each other. */
export function createRelay(running: () => readonly Worker[]) {
  const rounds = new Map<number, Round>();
  let lastId = 0;

  const askAll = (asker: Worker, askerId: number, about: string) => {
    const id = ++lastId;
    const asked = running();
    const finish = () => {
      clearTimeout(timer);
      rounds.delete(id);
      send(asker, { copies: 'all-say', id: askerId, answers: round.answers });
    };
    const round: Round = { answers: [], pending: asked.length, finish };
    const timer = setTimeout(finish, ANSWERS_MS_MAX);
    rounds.set(id, round);
    for (const copy of asked) send(copy, { copies: 'ask-one', id, about });
  };

  return {
    heard: (copy: Worker, message: unknown): void => {
      if (!isMessage(message)) return;
      if (message.copies === 'ask-all') askAll(copy, message.id, message.about);
      if (message.copies !== 'one-says') return;
      const round = rounds.get(message.id);
      if (!round) return;
      round.answers.push(message.answer);
      round.pending -= 1;
      if (round.pending === 0) round.finish();
    },
  };
}

/** To a copy that is about to end nothing can be said, and need not be: it has no more to answer. */
function send(copy: Worker, message: Message): void {
  if (copy.isConnected()) copy.send(message, () => undefined);
}
