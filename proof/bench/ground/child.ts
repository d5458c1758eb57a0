import { fork } from 'node:child_process';

/** A process of the bench's own that carries out one request at a time. */
export interface Child<Request, Answer> {
  readonly pid: number;
  /** Rejects when the process has ended. */
  readonly ask: (request: Request) => Promise<Answer>;
  readonly stop: () => void;
}

/** Starts a compiled file that speaks by messages. It has to end when its channel is closed, and so ends with this process. */
export function startChild<Request extends object, Answer>(
  file: string,
  args: readonly string[] = [],
): Child<Request, Answer> {
  const child = fork(file, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const { pid } = child;
  if (pid === undefined) throw new Error(`Cannot create a process for ${file}`);
  return {
    pid,
    ask: (request) =>
      new Promise((resolve, reject) => {
        const ended = () => {
          reject(new Error(`${file} has ended`));
        };
        if (child.exitCode !== null) ended();
        child.once('exit', ended);
        child.once('message', (answer) => {
          child.off('exit', ended);
          resolve(answer as Answer);
        });
        child.send(request);
      }),
    stop: () => {
      if (child.connected) child.disconnect();
    },
  };
}
