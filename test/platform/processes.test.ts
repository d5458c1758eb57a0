import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const DIST = join(__dirname, '..', '..', 'dist');

/** Runs a built process to its end. */
async function run(main: string, env: Record<string, string>) {
  const child = spawn(process.execPath, [join(DIST, main)], { env });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (data: Buffer) => (output += data.toString()));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, output };
}

describe('a process that cannot start', () => {
  test.each([
    ['api/main.js', ['REDIS_ADDR', 'KAFKA_ADDR', 'PAYMENT_URL']],
    ['ingest/main.js', ['REDIS_ADDR', 'KAFKA_ADDR', 'TEMPORAL_ADDRESS']],
    ['worker/main.js', ['REDIS_ADDR', 'KAFKA_ADDR', 'TEMPORAL_ADDRESS', 'PAYMENT_URL']],
    ['archiver/main.js', ['KAFKA_ADDR', 'DATABASE_URL']],
    ['engine/payments/simulator/main.js', ['PAYMENT_LEDGER_FILE']],
  ])(
    '%s lists every problem of its configuration, without a stack, and exits with 1',
    async (main, names) => {
      const { code, output } = await run(main, {});
      expect(code).toBe(1);
      for (const name of names) expect(output).toContain(`${name} is required`);
      expect(output).not.toContain('    at ');
    },
  );

  test('says which port is taken, and exits with 1', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'flash-sale-'));
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as AddressInfo;
    try {
      const { code, output } = await run('engine/payments/simulator/main.js', {
        PORT: String(port),
        PAYMENT_LEDGER_FILE: join(folder, 'ledger.jsonl'),
      });
      expect(code).toBe(1);
      expect(output).toContain('EADDRINUSE');
    } finally {
      holder.close();
      rmSync(folder, { recursive: true });
    }
  });
});
