import { UnavailableError } from '../../engine/kafka/consumer';
import { createKeptClaims } from '../../ingest/kept-claims';
import { anOrder } from '../support/purchases';

function keptClaims() {
  const kept: string[][] = [];
  const state = { away: false };
  const claims = createKeptClaims({
    keepClaims: (orders) => {
      if (state.away) return Promise.reject(new Error('Command timed out'));
      kept.push(orders.map(({ requestId }) => requestId));
      return Promise.resolve();
    },
  });
  return { claims, kept, state };
}

describe('createKeptClaims', () => {
  test('keeps all claims of a while together, once', async () => {
    const { claims, kept } = keptClaims();
    const orders = [anOrder(), anOrder()];
    for (const order of orders) claims.keep(order);
    await claims.flush();
    await claims.flush();
    expect(kept).toEqual([orders.map(({ requestId }) => requestId)]);
  });

  test('keeps many in several calls', async () => {
    const { claims, kept } = keptClaims();
    for (let i = 0; i < 1_200; i++) claims.keep(anOrder());
    await claims.flush();
    expect(kept.map((ids) => ids.length)).toEqual([500, 500, 200]);
  });

  test('forgets none while Redis is away', async () => {
    const { claims, kept, state } = keptClaims();
    const order = anOrder();
    claims.keep(order);
    state.away = true;
    await expect(claims.flush()).rejects.toBeInstanceOf(UnavailableError);
    state.away = false;
    await claims.flush();
    expect(kept).toEqual([[order.requestId]]);
  });
});
