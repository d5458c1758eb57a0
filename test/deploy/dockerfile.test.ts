import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { dockerfileFaults } from './rules/dockerfile-rules';
import { readText, ROOT } from './rules/files';

const DOCKERFILE = readText('Dockerfile');

describe('the Dockerfile', () => {
  test('keeps our rules', () => {
    expect(dockerfileFaults(DOCKERFILE)).toEqual([]);
  });

  test('keeps of the Temporal core only the one of the platform', () => {
    expect(DOCKERFILE).toContain('! -name "$(uname -m)-unknown-linux-gnu" -exec rm -r {} +');
  });

  test.each([
    ['an unpinned tag', 'node:22.23.3-bookworm-slim', 'node:lts-slim', 'is not pinned'],
    ['musl', '-bookworm-slim', '-alpine', 'does not run on musl'],
    ['root', 'USER 1000:1000', 'USER 0', 'USER is not a number other than 0'],
    ['a user by name', 'USER 1000:1000', 'USER node', 'USER is not a number other than 0'],
    [
      'a shell around the process',
      'CMD ["node", "--min-semi-space-size=64", "--max-semi-space-size=64", "dist/api/main.js"]',
      'CMD node dist/api/main.js',
      'CMD is not in exec form',
    ],
    ['a missing health check', /HEALTHCHECK.*\n.*\n/, '', 'HEALTHCHECK is missing'],
    ['development packages', ' --omit=dev', '', 'without the development ones'],
    [
      'an install beside the lock file',
      'npm ci --no-fund',
      'npm install --no-fund',
      'does not keep to the lock file',
    ],
    ['a stage that is not there', '--from=packages', '--from=modules', 'there is no stage modules'],
    [
      'sources in the image',
      'COPY package.json ./\n',
      'COPY . .\n',
      'the sources end up in the image',
    ],
    ['a secret', 'ENV NODE_ENV', 'ENV REDIS_PASSWORD=x NODE_ENV', 'puts a secret into the image'],
  ])('would not pass with %s', (_what, right, wrong, fault) => {
    const planted = DOCKERFILE.replace(right, wrong);
    expect(planted).not.toBe(DOCKERFILE);
    expect(dockerfileFaults(planted)[0]).toContain(fault);
  });
});

describe('.dockerignore', () => {
  const letIn = [...readText('.dockerignore').matchAll(/^!([\w.-]+)$/gm)].map(
    ([, name]) => name ?? '',
  );

  test('lets in every folder that the code in the image is made of', () => {
    const folders = letIn.filter((name) => !name.includes('.'));
    const imported = folders.flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .flatMap((name) => {
          const source = readFileSync(join(ROOT, folder, name), 'utf8');
          return [...source.matchAll(/from '(\.[^']+)'/g)].map(
            ([, path = '']) => normalize(join(folder, name, '..', path)).split('/')[0] ?? '',
          );
        }),
    );
    expect([...new Set(imported)].filter((folder) => !folders.includes(folder))).toEqual([]);
  });

  test('lets in what the Dockerfile copies and the build reads, and no secrets, data or tests', () => {
    expect(letIn).toEqual(
      expect.arrayContaining([
        'package.json',
        'package-lock.json',
        '.npmrc',
        'tsconfig.json',
        'tsconfig.build.json',
      ]),
    );
    for (const name of ['.env', 'var', 'test', 'node_modules', '.git'])
      expect(letIn).not.toContain(name);
    expect(readText('.dockerignore')).toMatch(/^\*$/m);
  });
});
