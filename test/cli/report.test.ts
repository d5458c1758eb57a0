import { report } from '../../cli/report';
import type { ReportBody } from '../../client/gateway';
import { textTerminal } from './text-terminal';

const REPORT: ReportBody = {
  item_id: '101',
  accepted: { orders: 3, units: 4, first_at: 'T1', last_at: 'T2' },
  confirmed: {
    orders: 2,
    units: 3,
    buyers: 2,
    revenue: [{ currency: 'USD', price_minor: 1000, units: 3, total_minor: 3000 }],
    last_at: 'T3',
    seconds_to_last_unit: 1.5,
  },
  failed: { orders: 1, by_reason: { 'payment-declined': 1 } },
  cancelled: { orders: 0 },
  refused: { requests: 7, by_reason: { 'sold-out': 7 } },
  open: { orders: 0 },
  to_outcome_ms: { p50: 10, p90: 20, p99: 30, max: 40 },
  curve: {
    seconds_per_point: 1,
    points: Array.from({ length: 41 }, (_, i) => ({
      at: `S${i}`,
      accepted_units: i,
      confirmed_units: 0,
      ended_without_a_sale: 0,
      refused_requests: 0,
    })),
  },
};

async function show(found: ReportBody | undefined, json = false) {
  const terminal = textTerminal();
  const gateway = { report: () => Promise.resolve(found) };
  const code = await report({ gateway, terminal }, { item: '101', json });
  return { code, out: terminal.written(), err: terminal.faults() };
}

test('shows units, money, reasons, times and the beginning of the curve', async () => {
  const { code, out } = await show(REPORT);
  expect(code).toBe(0);
  for (const part of [
    '3 orders, 4 units',
    '2 orders, 3 units, 2 buyers',
    '30.00 USD (3 × 10.00 USD)',
    'T3, after 1.5 s',
    '1: payment-declined 1',
    '7: sold-out 7',
    'p50 10 ms, p90 20 ms, p99 30 ms, longest 40 ms',
    'S39',
    '1 more with --json.',
  ]) {
    expect(out).toContain(part);
  }
  expect(out).not.toContain('S40');
});

test('has all of it as JSON', async () => {
  expect(JSON.parse((await show(REPORT, true)).out)).toEqual(REPORT);
});

test('says that there is no order, and exits with 1', async () => {
  const { code, out, err } = await show(undefined);
  expect([code, out, err]).toEqual([1, '', 'The archive has no order of 101.\n']);
});
