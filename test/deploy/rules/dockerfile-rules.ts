import { imageFaults } from './images';

interface Instruction {
  readonly word: string;
  readonly text: string;
}

/** What breaks our rules for the Dockerfile, one sentence each. */
export function dockerfileFaults(source: string): string[] {
  const all = instructions(source);
  const stages = all.filter(({ word }) => word === 'FROM').length;
  const last = all.slice(all.findLastIndex(({ word }) => word === 'FROM'));
  return [
    ...fromFaults(all),
    ...(stages > 1 ? [] : ['the image carries what it was built with']),
    ...installFaults(all),
    ...copyFaults(all, last),
    ...lastStageFaults(last),
  ];
}

/** Instructions with their continued lines joined; comments left out. */
function instructions(source: string): Instruction[] {
  return source
    .replaceAll(/^\s*#.*\n/gm, '')
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .flatMap((line) => {
      const [, word, text] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
      return word !== undefined && text !== undefined ? [{ word, text }] : [];
    });
}

function fromFaults(all: readonly Instruction[]): string[] {
  const args = new Map(
    all.filter(({ word }) => word === 'ARG').map(({ text }) => text.split('=') as [string, string]),
  );
  return all
    .filter(({ word }) => word === 'FROM')
    .flatMap(({ text }) => {
      const image = text
        .split(/\s+/)[0]
        ?.replace(/^\$\{(\w+)\}$/, (_, name) => args.get(String(name)) ?? '');
      const isMusl = image?.includes('alpine') ?? false;
      return [
        ...imageFaults('FROM', image),
        ...(isMusl ? ["FROM: Temporal's core does not run on musl"] : []),
      ];
    });
}

function installFaults(all: readonly Instruction[]): string[] {
  const runs = all.filter(({ word }) => word === 'RUN').map(({ text }) => text);
  const omits = runs.some((text) => text.includes('npm ci') && text.includes('--omit=dev'));
  return [
    ...(runs.some((text) => /npm (install|i)\b/.test(text))
      ? ['RUN: npm install does not keep to the lock file']
      : []),
    ...(omits ? [] : ['no packages are installed without the development ones']),
    ...(all.some(({ word }) => word === 'ADD') ? ['ADD unpacks and downloads: use COPY'] : []),
  ];
}

function copyFaults(all: readonly Instruction[], last: readonly Instruction[]): string[] {
  const stages = all.flatMap(({ word, text }) =>
    word === 'FROM' ? (/ AS (\w+)$/.exec(text)?.[1] ?? []) : [],
  );
  const unknown = all
    .flatMap(({ word, text }) => (word === 'COPY' ? (/--from=(\S+)/.exec(text)?.[1] ?? []) : []))
    .filter((from) => !stages.includes(from))
    .map((from) => `COPY: there is no stage ${from}`);
  const copiesAll = last.some(({ word, text }) => word === 'COPY' && /^\.\s/.test(text));
  return [...unknown, ...(copiesAll ? ['COPY: the sources end up in the image'] : [])];
}

function lastStageFaults(last: readonly Instruction[]): string[] {
  const of = (name: string) => last.findLast(({ word }) => word === name)?.text;
  const isExec = (text: string | undefined) => text?.trim().startsWith('[') ?? false;
  const user = /^(\d+)(?::\d+)?$/.exec(of('USER') ?? '')?.[1];
  const secret = last.find(
    ({ word, text }) => ['ENV', 'ARG'].includes(word) && /PASSWORD|SECRET|TOKEN|_KEY/.test(text),
  );
  return [
    ...(user !== undefined && Number(user) > 0 ? [] : ['USER is not a number other than 0']),
    // A shell in between would keep the signals to itself.
    ...(isExec(of('CMD')) ? [] : ['CMD is not in exec form']),
    ...(isExec(of('HEALTHCHECK')?.replace(/^.*?CMD/, ''))
      ? []
      : ['HEALTHCHECK is missing or not in exec form']),
    ...(of('WORKDIR')?.startsWith('/') ? [] : ['WORKDIR is not absolute']),
    ...(secret ? [`${secret.word} ${secret.text} puts a secret into the image`] : []),
  ];
}
