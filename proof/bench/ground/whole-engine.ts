import { LOOPBACK } from '../../../platform/machine';
import type { BenchContext } from './context';
import { startEngineProcess, type BenchProcess, type EngineGround } from './engine';

export interface WholeEngine {
  readonly api: BenchProcess;
  readonly processes: readonly BenchProcess[];
  /** Base URL of the payment simulator. */
  readonly payments: string;
  readonly stop: () => Promise<void>;
}

/** The gateway, ingest, the worker and the payment simulator; `copies` of ingest and worker, one by default. */
export async function startWholeEngine(
  context: BenchContext,
  ground: EngineGround,
  copies: { readonly ingest?: number; readonly worker?: number } = {},
): Promise<WholeEngine> {
  const simulator = await startEngineProcess(context, 'simulator', ground);
  const payments = `http://${LOOPBACK}:${simulator.port}`;
  const start = (name: 'api' | 'ingest' | 'worker') =>
    startEngineProcess(context, name, ground, { env: { PAYMENT_URL: payments } });
  const several = (name: 'ingest' | 'worker') =>
    Array.from({ length: copies[name] ?? 1 }, () => start(name));
  const [api, ...others] = await Promise.all([
    start('api'),
    ...several('ingest'),
    ...several('worker'),
  ]);
  return {
    ...{ api, payments, processes: [simulator, api, ...others] },
    stop: async () => {
      await Promise.all([api, ...others].map(({ stop }) => stop()));
      await simulator.stop();
    },
  };
}
