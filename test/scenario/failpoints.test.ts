import { useChaosCases } from '../support/chaos-cases';

const expectNoViolation = useChaosCases();

/** One of each kind; `npm run chaos` runs them all, with bursts five times as large. */
const SOME = [
  // Acknowledged and queued; the buyer gets no response.
  'api.answer.before=kill',
  // In the topic twice.
  'api.send.after=drop',
  // Started, and consumed again after the restart.
  'ingest.commit.before=kill',
  // Charged by the worker of ingest; another worker carries the order on.
  'ingest.charge.after=kill',
  // Sold; the workflow does not know it.
  'worker.confirm.after=kill',
  // Refunded and recorded, and requested again.
  'worker.settle.after=drop',
  // Nobody can pay any more, and the units are not free yet.
  'worker.cancel-payment.after=kill',
  // Given back, and asked for again.
  'worker.refund-sale.after=kill',
];

test('a kill or a lost response at a failpoint violates no guarantee, for one order and in a burst', async () => {
  await expectNoViolation(SOME);
}, 600_000);
