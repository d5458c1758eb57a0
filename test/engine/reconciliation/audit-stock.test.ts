import type { ItemId } from '../../../engine/orders/order';
import { createArchiveLook } from '../../../engine/reconciliation/audit-archive';
import { auditStock } from '../../../engine/reconciliation/audit-stock';

const ITEMS = ['101', '102'] as ItemId[];

/** An audit of two registered items; only the calls that such items need are there. */
async function audit({
  free = null,
  open = false,
  write = () => Promise.resolve(),
}: {
  readonly free?: string | null;
  readonly open?: boolean;
  readonly write?: (itemId: ItemId) => Promise<void>;
}) {
  const failures: ItemId[] = [];
  const summary = await auditStock({
    registry: { items: () => Promise.resolve(ITEMS), find: () => Promise.resolve('token') },
    repair: {
      standing: () => Promise.resolve({ free, open }),
      page: () => Promise.resolve({ orders: [], next: '0' }),
      withoutEntry: () => Promise.resolve([]),
      size: () => Promise.resolve(0),
      compareCounts: () => Promise.resolve([]),
    },
    runs: {
      latest: () => Promise.resolve(new Map()),
      keptMs: () => Promise.resolve(3_600_000),
      countConfirmed: () => Promise.resolve(0),
      confirmed: async function* () {
        yield await Promise.resolve([]);
      },
    },
    progress: {
      read: () => Promise.resolve(new Map()),
      forget: () => Promise.resolve(),
      write,
    },
    archiveLook: createArchiveLook({ archive: undefined, behind: () => Promise.resolve(0) }),
    heartbeat: () => undefined,
    onItem: () => undefined,
    onFailure: ({ itemId }: { itemId: ItemId }) => failures.push(itemId),
  } as unknown as Parameters<typeof auditStock>[0]);
  return { summary, failures };
}

describe('an audit', () => {
  test('goes on with the other items when the progress of one is not written, and names that one', async () => {
    const { summary, failures } = await audit({
      write: (itemId) =>
        itemId === '101' ? Promise.reject(new Error('OOM command not allowed')) : Promise.resolve(),
    });
    expect(summary).toMatchObject({ differences: { 'ledger-lost': 2 }, failed: ['101'] });
    expect(failures).toEqual(['101']);
  });

  test('names an open ledger without its stock key', async () => {
    const { summary } = await audit({ open: true });
    expect(summary.differences).toEqual({ 'stock-missing': 2 });
  });

  test('finds nothing in an open ledger with its stock key', async () => {
    const { summary } = await audit({ open: true, free: '5' });
    expect(summary).toMatchObject({ differences: {}, failed: [] });
  });
});
